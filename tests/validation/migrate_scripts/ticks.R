# Grouse ticks, log counts; sites within regions
library(lme4)
data(grouseticks)
ticks <- transform(grouseticks, logticks = log1p(TICKS), cheight = (HEIGHT - mean(HEIGHT)) / 100)
str(ticks)
ticks$YEAR <- factor(ticks$YEAR, labels = c("y95", "y96", "y97"))
table(ticks$YEAR)
forms <- c(
  null = "logticks ~ 1 + (1 | LOCATION/BROOD)",
  year = "logticks ~ YEAR + (1 | LOCATION/BROOD)",
  height = "logticks ~ YEAR + cheight + (1 | LOCATION/BROOD)",
  inter = "logticks ~ YEAR * cheight + (1 | LOCATION/BROOD)"
)
fits <- lapply(forms, function(f) lmer(as.formula(f), data = ticks, REML = FALSE))
tab <- do.call(rbind, lapply(names(fits), function(n) {
  f <- fits[[n]]
  data.frame(model = n, AIC = AIC(f), logLik = as.numeric(logLik(f)), npar = attr(logLik(f), "df"))
}))
tab$dAIC <- tab$AIC - min(tab$AIC)
tab <- tab[order(tab$dAIC), ]
print(tab)
best <- fits[[tab$model[1]]]
best <- update(best, REML = TRUE)
summary(best)
do.call(anova, unname(fits))

vc <- as.data.frame(VarCorr(best))
vc$share <- round(100 * vc$vcov / sum(vc$vcov), 1)
vc[, c("grp", "vcov", "share")]

boot_r2 <- function(m) {
  v <- as.data.frame(VarCorr(m))$vcov
  f <- var(as.vector(model.matrix(m) %*% fixef(m)))
  c(marginal = f / (f + sum(v)), conditional = (f + sum(v) - sigma(m)^2) / (f + sum(v)))
}
boot_r2(best)
set.seed(42)
b <- bootMer(best, boot_r2, nsim = 50)
b$t0
apply(b$t, 2, quantile, probs = c(0.025, 0.975))

for (loc in head(levels(ticks$LOCATION), 3)) {
  cat(loc, round(ranef(best)$LOCATION[loc, 1], 3), "\n")
}
slopes <- sapply(levels(ticks$YEAR), function(y) {
  m <- lmer(logticks ~ cheight + (1 | LOCATION), data = ticks, subset = YEAR == y)
  c(fixef(m)["cheight"], n = nobs(m))
})
t(slopes)
nd <- data.frame(YEAR = factor("y96", levels = levels(ticks$YEAR)), cheight = seq(-0.5, 0.5, 0.25))
X <- model.matrix(~ YEAR + cheight, nd)
m3 <- fits$height
nd$fit <- drop(X %*% fixef(m3))
nd$se <- sqrt(diag(X %*% vcov(m3) %*% t(X)))
nd$lo <- nd$fit - qnorm(0.975) * nd$se
nd$hi <- nd$fit + qnorm(0.975) * nd$se
nd
sims <- simulate(best, nsim = 20, seed = 7)
mean(sapply(sims, function(s) mean(s == 0)))
