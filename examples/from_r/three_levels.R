# Three levels: pupils within classes within schools
library(lme4)
library(performance)
library(emmeans)

d <- read.csv("pupils.csv")
d <- na.omit(d)
d$school <- factor(d$school)
d$size <- factor(d$class.size, levels = c("small", "regular"))
d$z <- as.numeric(scale(d$pretest))
nrow(d)
length(unique(d$class))

empty <- lmer(score ~ 1 + (1 | school/class), data = d)
print(VarCorr(empty), comp = c("Variance", "Std.Dev."))
vc <- as.data.frame(VarCorr(empty))
vpc <- vc$vcov / sum(vc$vcov)
names(vpc) <- vc$grp
round(vpc, 3)
icc(empty, by_group = TRUE)

full <- lmer(score ~ z + sex + size + sector + (1 | school) + (z | class), data = d)
print(full, correlation = FALSE)
summary(full)$coefficients
ngrps(full)
r2(full, by_group = TRUE)
cross <- lmer(score ~ z * size + sex + sector + (1 | school) + (z | class), data = d)
anova(full, cross)
logLik(full)
AIC(empty, full, cross)
BIC(full)

emmeans(full, ~ size, lmer.df = "satterthwaite")
contrast(emmeans(full, ~ size + sector), method = "pairwise", adjust = "holm")
emm_options(lmer.df = "asymptotic")
pairs(emmeans(full, "sector"), reverse = TRUE)

# the two best and the two worst classes
re <- ranef(full)$class
re[order(re[["(Intercept)"]]), ][c(1, 2, nrow(re) - 1, nrow(re)), ]
check_collinearity(full)
model.matrix(full)[1:3, ]
sqrt(diag(as.matrix(vcov(full))))
b <- bootMer(full, fixef, nsim = 5, seed = 1)
dim(b$t)
sigma(full)
head(residuals(full, type = "pearson", scaled = TRUE))
check_outliers(full)
isSingular(full)
