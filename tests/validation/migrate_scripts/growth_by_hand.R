# Linear, quadratic and piecewise growth
library(nlme)   # for the data
library(lme4)
dat <- as.data.frame(Orthodont)
dat$Subject <- factor(as.character(dat$Subject))
dat$age_c <- dat$age - mean(dat$age)
dat$age11 <- dat$age - 11
dat$male <- as.numeric(dat$Sex == "Male")
dat <- transform(dat, early = pmin(age - 11, 0), late = pmax(age - 11, 0))
head(dat)

wide <- reshape(dat[, c("Subject", "Sex", "age", "distance")], idvar = c("Subject", "Sex"),
                timevar = "age", direction = "wide")
head(wide)
round(cor(wide[, 3:6]), 2)
colMeans(wide[, -(1:2)])
sapply(wide[, 3:6], sd)
sapply(split(dat$distance, dat$Sex), mean)

g0 <- lmer(distance ~ 1 + (1 | Subject), dat)
g1 <- lmer(distance ~ age_c + (age_c | Subject), dat)
g2 <- lmer(distance ~ poly(age, 2) + (1 | Subject), dat)
g3 <- lmer(distance ~ early + late + (1 | Subject), dat)
g4 <- lmer(distance ~ age11 * Sex + (age11 | Subject), dat)
g5 <- lmer(distance ~ age_c + I(age_c^2) + male + (1 | Subject), dat)
print(summary(g4), correlation = FALSE)
for (g in list(g0, g1, g2, g3, g4, g5)) print(c(AIC = AIC(g), BIC = BIC(g)))
AIC(g0, g1, g2, g3, g4, g5)
anova(g3, g5)

# population trajectories
new <- expand.grid(age11 = c(-3, -1, 1, 3), Sex = levels(dat$Sex))
new$fit <- predict(g4, newdata = new, re.form = NA)
new
reshape(new, idvar = "age11", timevar = "Sex", direction = "wide")
X <- model.matrix(~ age11 * Sex, new)
new$se <- sqrt(diag(X %*% vcov(g4) %*% t(X)))
new$lo <- new$fit - qnorm(.975) * new$se
new$hi <- new$fit + qnorm(.975) * new$se
print(new, digits = 3)

# difference of the two slopes in the piecewise model
bb <- fixef(g3)
VV <- vcov(g3)
dif <- unname(bb["late"] - bb["early"])
se <- sqrt(VV["late", "late"] + VV["early", "early"] - 2 * VV["late", "early"])
c(dif, se, dif / se)

# individual slopes: OLS and shrunken
ols <- sapply(split(dat, dat$Subject), function(x) coef(lm(distance ~ age_c, data = x))[2])
eb <- coef(g1)$Subject[, "age_c"]
summary(ols)
var(eb) / var(ols)
cor(ols, eb)
compare <- data.frame(id = levels(dat$Subject), ols = ols, eb = eb, row.names = NULL)
compare[abs(compare$ols - compare$eb) > 0.2, ]
colnames(compare)
apply(compare[, 2:3], 2, range)

tapply(resid(g4), dat$Sex, sd)
aggregate(resid(g4) ~ Sex, data = dat, FUN = var)
interaction.plot(dat$age, dat$Sex, dat$distance)
fit_lme <- lme(distance ~ age11 * Sex, random = ~ age11 | Subject, data = dat)
VarCorr(fit_lme)
all.equal(fixef(fit_lme), lme4::fixef(g4), tolerance = 1e-3)
