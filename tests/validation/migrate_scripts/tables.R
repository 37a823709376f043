# Tables of several models, and what is taken out of them
library(lme4)
data(Oxboys, package = "nlme")
ox <- as.data.frame(Oxboys)
ox$Subject <- factor(as.character(ox$Subject))
ox$old <- ox$age > 0
f1 <- lmer(height ~ age + (1 | Subject), ox)
f2 <- lmer(height ~ age + I(age^2) + (age | Subject), ox)
f3 <- lmer(height ~ poly(age, 2) + old + (age | Subject), ox, control = lmerControl(optimizer = "bobyqa"))
tab <- data.frame(AIC = c(AIC(f1), AIC(f2)), BIC = c(BIC(f1), BIC(f2)), row.names = c("linear", "quadratic"))
tab
se <- sqrt(diag(vcov(f2)))
se
fixef(f2) / se
cbind(fixef(f2), confint(f2, method = "Wald")[5:7, ])
round(coef(summary(f2)), 2)
if (isSingular(f3)) print("singular") else print(fixef(f3)["oldTRUE"])
getME(f2, "theta")
re <- as.data.frame(ranef(f1))
head(re)
deviance(refitML(f1))
