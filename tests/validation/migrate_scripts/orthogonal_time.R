# Growth curves with orthogonal time
library(lme4)
library(lattice)
data("ChickWeight")
chicks <- as.data.frame(ChickWeight)
chicks <- subset(chicks, !(Chick %in% c(8, 15, 16, 18, 44)))
chicks$Diet <- relevel(factor(chicks$Diet), ref = "1")

t <- poly((unique(chicks$Time)), 2)
chicks[, paste("ot", 1:2, sep = "")] <- t[match(chicks$Time, unique(chicks$Time)), 1:2]
chicks$logw <- log(chicks$weight)
xyplot(logw ~ Time | Diet, groups = Chick, data = chicks, type = "l")

#fit base model
m.base <- lmer(logw ~ (ot1 + ot2) + (ot1 + ot2 | Chick), data = chicks, REML = F)
#add effect of Diet on intercept
m.0 <- update(m.base, . ~ . + Diet)
m.1 <- lmer(logw ~ ot1 * Diet + ot2 + (ot1 + ot2 | Chick), data = chicks, REML = F)
m.2 <- lmer(logw ~ (ot1 + ot2) * Diet + (ot1 + ot2 | Chick), control = lmerControl(optimizer = "bobyqa"), data = chicks, REML = F)
anova(m.base, m.0, m.1, m.2)

coefs <- data.frame(coef(summary(m.2)))
coefs$p.z <- 2 * (1 - pnorm(abs(coefs$t.value)))
coefs
get_pvalues <- function(model, digits = 3) {
  coefs <- data.frame(coef(summary(model)))
  coefs$p <- format.pval(2 * (1 - pnorm(abs(coefs$t.value))), digits = digits, eps = 0.0001)
  coefs
}
get_pvalues(m.2)
VarCorr(m.2)
attr(VarCorr(m.2)$Chick, "correlation")

fits <- list()
orders <- c("ot1", "ot1 + ot2")
for (k in seq_along(orders)) {
  f <- as.formula(paste("logw ~ Diet + ", orders[k], " + (1 | Chick)", sep = ""))
  fits[[k]] <- lmer(f, data = chicks, REML = FALSE)
  cat("order", k, "AIC", round(AIC(fits[[k]]), 1), "\n")
}
anova(fits[[1]], fits[[2]])
chicks$fit <- fitted(m.2)
aggregate(fit ~ Time + Diet, chicks, mean)
rhs <- c("ot1", "Diet", "(1 | Chick)")
f2 <- reformulate(rhs, response = "logw")
lmer(f2, chicks)
sim <- simulate(m.base, nsim = 10, seed = 101)
dim(sim)
