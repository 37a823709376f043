# School effectiveness: null model, intake, context; ICC and likelihood-ratio tests
library(lme4)
data(Exam, package = "mlmRev")
exam <- Exam
exam$girl <- factor(ifelse(exam$sex == "F", "yes", "no"))
exam$intake <- with(exam, ave(standLRT, school))

null <- lmer(normexam ~ 1 + (1 | school), data = exam, REML = FALSE)
vc <- as.data.frame(VarCorr(null))
icc <- vc$vcov[1] / sum(vc$vcov)
cat("ICC:", round(icc, 3), "\n")

m1 <- update(null, . ~ . + standLRT)
m2 <- lmer(normexam ~ standLRT + girl + (1 | school), data = exam, REML = FALSE)
m3 <- lmer(normexam ~ standLRT + girl + intake + (standLRT | school), data = exam, REML = FALSE)
anova(null, m1, m2, m3)

LR <- 2 * (logLik(m3) - logLik(m2))
p <- pchisq(as.numeric(LR), df = 3, lower.tail = FALSE)
print(p)

explained <- 1 - sigma(m2)^2 / sigma(null)^2
explained
summary(m3)$coefficients[, "Estimate"]
res <- resid(m2)
sd(res)
AIC(m1, m2, m3)
BIC(m3)
confint(m2, method = "Wald")
table(exam$girl)
