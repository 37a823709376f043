# Growth curves with lmerTest: degrees of freedom, random slopes, predictions
suppressPackageStartupMessages(library(lmerTest))
data("sleepstudy", package = "lme4")
d <- sleepstudy
d$week <- d$Days / 7
d <- d[d$Subject != "308", ]
d$Subject <- droplevels(d$Subject)

fit0 <- lmer(Reaction ~ week + (1 | Subject), d)
fit1 <- lmer(Reaction ~ week + (week | Subject), data = d)
fit2 <- lmer(Reaction ~ week + (week || Subject), data = d)
anova(fit1)
summary(fit1)
coef(summary(fit1))
anova(fit0, fit1, refit = FALSE)
ranova(fit0)
new <- data.frame(week = c(0, 0.5, 1), Subject = "309")
predict(fit1, newdata = new)
predict(fit1, newdata = new, re.form = NA)
head(coef(fit1)$Subject, 3)
isSingular(fit2)
fixef(fit1)[["week"]] * 7
