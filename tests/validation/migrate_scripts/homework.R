# HW 5 - multilevel models      name: ______
rm(list=ls())
library(lme4)
library(mlmRev)
data(Exam)
attach(Exam)
names(Exam)
summary(normexam)
mean(normexam); sd(normexam)
table(sex)
table(schgend, type)
prop.table(table(schgend))
round(prop.table(table(schgend, sex), 1), 3)
# Q1
fit0 = lmer(normexam ~ 1 + (1|school), REML=F)
fit0
icc = 0.16866/(0.16866+0.84776)
icc
v = as.data.frame(VarCorr(fit0))
v
icc2 = v[1,4]/(v[1,4]+v[2,4]); icc2
# Q2
fit1 = lmer(normexam ~ standLRT + (1|school), REML=F)
summary(fit1)
fit2 = lmer(normexam ~ standLRT + (1 + standLRT|school), REML=F)
anova(fit0,fit1,fit2)
# Q3 add gender
girl = as.integer(sex == "F")
fit3 = lmer(normexam ~ standLRT + girl + (1 + standLRT|school), REML = F)
summary(fit3)$coef
b = fixef(fit3)
se = sqrt(diag(vcov(fit3)))
z = b/se
p = 2*(1-pnorm(abs(z)))
cbind(b,se,z,p)
round(cbind(estimate=b, lower=b-1.96*se, upper=b+1.96*se), 3)
# Q4 which school is best
u = ranef(fit3)$school
u[which.max(u[,1]),]
rownames(u)[which.max(u[,1])]
head(u[order(u[,1], decreasing=T),], 5)
hist(u[,1])
plot(u)
cor(u)
cat("The ICC is", round(icc2,3), "\n")
lrt = -2*(logLik(fit1)-logLik(fit2))
lrt
as.numeric(lrt)
pchisq(as.numeric(lrt), 2, lower=F)
detach(Exam)
