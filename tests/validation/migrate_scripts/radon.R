# Radon in houses: pooled, not pooled, partly pooled
library("lme4")
library("rstanarm")
data(radon, package = "rstanarm")
attach(radon)

n <- nrow(radon)
y <- log_radon
x <- floor
county.name <- as.vector(county)
uniq <- unique(county.name)
J <- length(uniq)
county.id <- rep(NA, J)
for (i in 1:J) {
  county.id[county.name == uniq[i]] <- i
}

# no predictors
ybarbar <- mean(y)
sample.size <- as.vector(table(county))
cty.mns <- tapply(y, county, mean)
cty.vars <- tapply(y, county, var)
cty.sds <- mean(sqrt(cty.vars[!is.na(cty.vars)])) / sqrt(sample.size)

## Complete pooling and no pooling
lm.pooled <- lm(y ~ x)
summary(lm.pooled)
coef(lm.pooled)[2]

## Partial pooling
M0 <- lmer(y ~ 1 + (1 | county))
summary(M0)
M1 <- lmer(y ~ x + (1 | county))
print(summary(M1), correlation = FALSE)

# estimated regression coefficients
coef(M1)
fixef(M1)
ranef(M1)
# 95% CI for the slope
fixef(M1)["x"] + c(-2, 2) * sqrt(diag(vcov(M1)))[2]
a.hat.M1 <- coef(M1)$county[, 1]
b.hat.M1 <- coef(M1)$county[, 2]
head(a.hat.M1)
mean(b.hat.M1)

## With a group-level predictor
u <- log_uranium
M2 <- lmer(y ~ x + u + (1 | county))
print(M2, digits = 3)
M3 <- lmer(y ~ x + u + x:u + (1 + x | county), control = lmerControl(optimizer = "bobyqa"))
summary(M3)
anova(M1, M2)
anova(M1, M2, refit = FALSE)
sigma.y <- sigma(M2)
sigma.a <- attr(VarCorr(M2)$county, "stddev")
icc <- sigma.a^2 / (sigma.a^2 + sigma.y^2)
print(icc)
round(sqrt(unlist(VarCorr(M2))), 3)

pdf("radon.pdf")
plot(u, y)
curve(fixef(M2)[1] + fixef(M2)[3] * x, add = TRUE)
dev.off()
detach(radon)
