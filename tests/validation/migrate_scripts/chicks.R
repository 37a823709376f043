# Growth of chicks: polynomial time, functions and while loop
library(lme4)
cw <- as.data.frame(ChickWeight)
cw$Chick <- factor(as.character(cw$Chick))
cw$Diet <- relevel(cw$Diet, ref = "3")
cw <- cw[cw$Time <= 18, ]
last <- tapply(cw$Time, cw$Chick, max)
complete <- names(last)[last == 18]
cw <- droplevels(cw[cw$Chick %in% complete, ])
cw$lw <- log(cw$weight)
poly_t <- poly(cw$Time, 3)
cw[, paste0("ot", 1:3)] <- poly_t[, 1:3]
base <- lmer(lw ~ ot1 + ot2 + (ot1 | Chick), data = cw, REML = FALSE)
best <- base
candidates <- c("Diet", "ot1:Diet", "ot2:Diet")
trace <- data.frame()
for (term in candidates) {
  cand <- update(best, as.formula(paste(". ~ . +", term)))
  test <- anova(best, cand)
  p <- test$`Pr(>Chisq)`[2]
  trace <- rbind(trace, data.frame(term = term, chisq = test$Chisq[2], df = test$Df[2], p = p))
  if (p < 0.05) best <- cand
}
trace
formula(best)
terms <- attr(terms(best), "term.labels")
terms
summary(best)
i <- 1
while (i <= 2) {
  cat("Diet", levels(cw$Diet)[i], ":", fixef(best)[1], "\n")
  i <- i + 1
}
get_slope <- function(diet, model = best) {
  d <- cw[cw$Diet == diet, ]
  fixef(lmer(lw ~ Time + (1 | Chick), data = d))["Time"]
}
setNames(sapply(levels(cw$Diet), get_slope), levels(cw$Diet))
mapply(function(a, b) a + b, fixef(base)[1:2], fixef(base)[2:3])
one_each <- by(cw, cw$Chick, function(d) coef(lm(lw ~ Time, data = d)))
mat <- do.call(rbind, one_each)
head(mat)
apply(mat, 2, sd)
pooled <- lmList(lw ~ Time | Chick, data = cw)
head(coef(pooled))
mixed <- lmer(lw ~ Time + (Time | Chick), cw)
compare <- cbind(nopool = coef(pooled)[, 2], partial = coef(mixed)$Chick[, 2])
summary(compare)
switch("b", a = fixef(base), b = sigma(base))
repeat {
  mixed <- update(mixed, REML = FALSE)
  break
}
isREML(mixed)
pf <- profile(mixed, which = "beta_", signames = FALSE)
confint(pf)
logLik(mixed)
dev <- deviance(mixed)
n <- nobs(mixed); k <- length(fixef(mixed)) + length(getME(mixed, "theta")) + 1
c(AIC = dev + 2 * k, BIC = dev + log(n) * k, AICc = dev + 2 * k + 2 * k * (k + 1) / (n - k - 1))
xy <- expand.grid(Time = c(0, 9, 18), Chick = levels(cw$Chick)[1:2])
cbind(xy, pred = exp(predict(mixed, xy)))
leave <- sapply(levels(cw$Chick)[1:4], function(g) fixef(update(mixed, data = cw[cw$Chick != g, ]))[["Time"]])
range(leave)
