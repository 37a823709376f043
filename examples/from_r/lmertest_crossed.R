# Consumers and products: crossed random effects, tests of both kinds of terms
library(lmerTest)
library(broom.mixed)

t <- read.csv("tasting.csv", stringsAsFactors = TRUE)
t$consumer <- factor(t$consumer)
t$age10 <- (t$age - 40) / 10

m <- lmer(liking ~ product * temp + age10 + (1 | consumer) + (1 | consumer:product), data = t)
summary(m)
summary(m, ddf = "Kenward-Roger")$coefficients
anova(m)
anova(m, type = "I")
anova(m, ddf = "lme4")
ranova(m)
drop1(m, "age10")
contest(m, c(0, 1, 0, 0, 0, 0, 0, 0, 0), joint = FALSE)
L <- rbind(c(0, 0, 0, 0, 0, 0, 1, 0, 0), c(0, 0, 0, 0, 0, 0, 0, 1, 0))
contestMD(m, L)
contest1D(m, c(1, 0, 0, 0, 0, 0, 0, 0, 0), confint = TRUE)
contest(m, L)$DenDF
ls_means(m, "product:temp")
difflsmeans(m, which = "temp")
m2 <- update(m, . ~ . - product:temp)
anova(m, m2)
fixef(m2)
VarCorr(m2)
tidy(m2, effects = "ran_pars", scales = "vcov")
confint(m2, oldNames = FALSE, method = "Wald")
plot(m2)
qqnorm(resid(m2))
