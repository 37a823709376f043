# School effectiveness: value added by schools, pupils within schools
library(lme4)
library(performance)
library(merTools)

pupils <- read.csv("pupils.csv", stringsAsFactors = TRUE)
pupils$sector <- relevel(pupils$sector, ref = "state")
pupils$cpre <- pupils$pretest - mean(pupils$pretest, na.rm = TRUE)
schoolmean <- aggregate(cpre ~ school, data = pupils, FUN = mean)
names(schoolmean)[2] <- "meanpre"
pupils <- merge(pupils, schoolmean, by = "school")
pupils$within <- pupils$cpre - pupils$meanpre
complete <- na.omit(pupils)

m0 <- lmer(score ~ 1 + (1 | school), data = pupils, REML = FALSE)
summary(m0)
icc(m0)

m1 <- lmer(score ~ cpre + sex + (1 | school), data = complete, REML = FALSE)
m2 <- lmer(score ~ cpre + sex + (1 + cpre | school), data = complete, REML = FALSE)
m3 <- lmer(score ~ within + meanpre + sex * sector + (1 + within | school), data = complete, REML = FALSE,
           control = lmerControl(optimizer = "bobyqa"))
m0c <- update(m0, data = complete)
anova(m0c, m1, m2)
AIC(m0c, m1, m2)
summary(m3)
drop1(m3, test = "Chisq")
VarCorr(m2)
r2(m3)
model_performance(m1)

# how much less variance between schools than in the empty model
v <- as.data.frame(VarCorr(m0c))
w <- as.data.frame(VarCorr(m1))
round(1 - w$vcov / v$vcov, 3)

# league table: residuals of schools with their standard errors
u <- as.data.frame(ranef(m1, condVar = TRUE))
u$lower <- u$condval - 1.96 * u$condsd
u$upper <- u$condval + 1.96 * u$condsd
u <- u[order(u$condval), c("grp", "condval", "lower", "upper")]
head(u, 3)
tail(u, 3)
sum(u$lower > 0 | u$upper < 0)

confint(m1, method = "profile")
new <- expand.grid(within = c(-10, 0, 10), meanpre = 0, sex = "girl", sector = c("state", "private"))
new$expected <- predict(m3, newdata = new, re.form = NA)
new
head(predictInterval(m1, complete[1:3, ], level = 0.9, n.sims = 2000, seed = 3), 3)
