# Airline-like panel: investment of firms over years
library(lme4)
firms <- paste0("F", 1:12)
set.seed(5)
panel <- expand.grid(firm = firms, year = 1995:2009)
panel$sector <- factor(c("tech", "steel", "food")[as.integer(factor(panel$firm)) %% 3 + 1])
panel$value <- round(exp(rnorm(nrow(panel), 5, 0.4)))
panel$capital <- with(panel, 100 + 8 * (year - 1995) + rnorm(nrow(panel), 0, 20))
fe <- rnorm(12, 0, 15)
panel$invest <- 10 + 0.1 * panel$value + 0.3 * panel$capital + fe[as.integer(panel$firm)] + rnorm(nrow(panel), 0, 12)
panel <- panel[order(panel$firm, panel$year), ]
panel$lag_invest <- ave(panel$invest, panel$firm, FUN = function(x) c(NA, head(x, -1)))
panel$t <- panel$year - min(panel$year)

# Mundlak
panel$value_m <- ave(panel$value, panel$firm)
panel$value_d <- panel$value - panel$value_m
panel$capital_m <- ave(panel$capital, panel$firm)
panel$capital_d <- panel$capital - panel$capital_m

ols <- lm(invest ~ value + capital, data = panel)
lsdv <- lm(invest ~ value + capital + firm, data = panel)
re <- lmer(invest ~ value + capital + (1 | firm), data = panel)
mundlak <- lmer(invest ~ value_d + capital_d + value_m + capital_m + (1 | firm), data = panel)
summary(ols)
cbind(OLS = coef(ols)[2:3], FE = coef(lsdv)[2:3], RE = fixef(re)[2:3], Within = fixef(mundlak)[2:3])

# Hausman by hand
b <- coef(lsdv)[2:3] - fixef(re)[2:3]
V <- vcov(lsdv)[2:3, 2:3] - as.matrix(vcov(re))[2:3, 2:3]
H <- as.numeric(t(b) %*% solve(V) %*% b)
c(chisq = H, p = pchisq(H, df = length(b), lower.tail = FALSE))

trend <- lmer(invest ~ value + capital + t + (t | firm), panel)
ll <- c(logLik(re), logLik(trend))
isSingular(trend)
rho <- function(model) {
  s2 <- sapply(VarCorr(model), function(v) v[1, 1])
  unname(s2 / (s2 + attr(VarCorr(model), "sc")^2))
}
rho(re)
dyn <- lmer(invest ~ lag_invest + value + capital + (1 | firm), data = panel, na.action = na.exclude)
panel$fit <- fitted(dyn)
sum(is.na(panel$fit))
head(panel[, c("firm", "year", "invest", "fit")], 3)
rmse <- sqrt(mean((panel$invest - panel$fit)^2, na.rm = TRUE))
rmse
by_sector <- by(panel, panel$sector, function(x) fixef(lmer(invest ~ value + capital + (1 | firm), data = x)))
do.call(rbind, by_sector)
holdout <- panel$year >= 2008
train <- panel[!holdout, ]
test <- panel[holdout, ]
m_train <- lmer(invest ~ value + capital + (1 | firm), data = train)
test$pred <- predict(m_train, newdata = test)
test$pred0 <- predict(m_train, newdata = test, re.form = ~0)
colMeans((test[, c("pred", "pred0")] - test$invest)^2)
w <- lmer(invest ~ value + capital + offset(0.1 * t) + (1 | firm), data = panel, weights = value / mean(value))
fixef(w)
sigma(w)
lattice::dotplot(ranef(re, condVar = TRUE))
