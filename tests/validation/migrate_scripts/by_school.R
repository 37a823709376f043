# No pooling beside partial pooling: a regression for each school
library(lme4)
data(Hsb82, package = "mlmRev")
few <- subset(Hsb82, school %in% levels(school)[1:8])
few$school <- factor(few$school)
pooled <- lm(mAch ~ cses, data = few)
coef(pooled)
summary(pooled)$sigma
byschool <- split(few, few$school)
ols <- lapply(byschool, function(x) lm(mAch ~ cses, data = x))
t(sapply(ols, coef))
for (s in levels(few$school)) {
  m <- lm(mAch ~ cses, data = few[few$school == s, ])
  print(coef(m))
}
partial <- lmer(mAch ~ cses + (1 | school), few)
coef(partial)$school[, "(Intercept)"]
coef(partial)$school["1224", 1]
lmList(mAch ~ cses | school, data = few)
