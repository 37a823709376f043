# Achievement in schools, level by level
library(lme4)
library(nlme)
hsb <- merge(MathAchieve, MathAchSchool[, c("School", "Sector", "MEANSES")], by = "School")
names(hsb) <- tolower(gsub("\\.x$", "", names(hsb)))
detach("package:nlme")
hsb <- hsb[, c("school", "minority", "sex", "ses", "mathach", "sector", "meanses")]
hsb <- within(hsb, {
  cses <- ses - ave(ses, school)
  school <- factor(as.character(school))
  female <- as.numeric(sex == "Female")
})
contrasts(hsb$sector) <- contr.sum(2)
str(hsb)
aggregate(mathach ~ sector, data = hsb, FUN = mean)
xtabs(~ sector + sex, data = hsb)
tapply(hsb$mathach, hsb$sector, sd)

# Model 1: unconditional means
m1 <- lmer(mathach ~ 1 + (1 | school), data = hsb)
summary(m1)
vc <- as.data.frame(VarCorr(m1))
vc$vcov[1] / sum(vc$vcov)
print(VarCorr(m1), comp = c("Variance", "Std.Dev."))

# Model 2-4
m2 <- update(m1, . ~ . + meanses)
m3 <- lmer(mathach ~ cses + (cses | school), data = hsb)
m4 <- lmer(mathach ~ meanses * cses + sector * cses + (1 + cses | school), data = hsb, REML = TRUE)
models <- list(means = m1, level2 = m2, level1 = m3, both = m4)
t(sapply(models, function(m) c(AIC = AIC(m), BIC = BIC(m), logLik = as.numeric(logLik(m)))))
sapply(models, sigma)
do.call(rbind, lapply(models, function(m) data.frame(n = nobs(m), s = sigma(m), dev = -2 * as.numeric(logLik(m)))))
Reduce(function(a, b) if (AIC(a) < AIC(b)) a else b, models)

# variance explained
1 - vc$vcov[1] ** 1 / vc$vcov[1]
vc4 <- as.data.frame(VarCorr(m4))
(vc$vcov[1] - vc4$vcov[1]) / vc$vcov[1]
vc4[vc4$grp == "school", c("var1", "sdcor")]
confint(m3, parm = "beta_", method = "Wald")
confint(m1, oldNames = FALSE)
predict(m4, newdata = data.frame(meanses = c(-0.5, 0, 0.5), cses = 0, sector = "Public"), re.form = NA)
re <- ranef(m4)$school
re[order(re[["(Intercept)"]]), ][1:5, ]
cor(re[, 1], re[, 2])
head(coef(m3)$school, 10)
with(hsb, cor(fitted(m4), mathach))
sum(resid(m4)^2)
