# Multi-centre trial, ANCOVA style, written by a statistician
library(lme4)
library(lmerTest)
library(emmeans)
options(contrasts = c("contr.treatment", "contr.poly"))
set.seed(2718)
n <- 240
trial <- data.frame(
  id = sprintf("P%03d", 1:n),
  centre = factor(sample(paste0("C", 1:12), n, replace = TRUE)),
  arm = factor(sample(c("placebo", "low", "high"), n, TRUE), levels = c("placebo", "low", "high")),
  sex = factor(sample(c("f", "m"), n, TRUE)),
  base = round(rnorm(n, 50, 10))
)
ce <- rnorm(12, 0, 3)
trial$y12 <- with(trial, 10 + .7 * base + c(0, 2, 4)[as.integer(arm)] + ce[as.integer(centre)] + rnorm(n, 0, 6))
trial$y24 <- with(trial, y12 + c(0, 1, 1.5)[as.integer(arm)] + rnorm(n, 0, 4))
trial$y24[sample(n, 20)] <- NA
trial$base_c <- trial$base - mean(trial$base)
trial$age_band <- cut(trial$base, breaks = c(0, 45, 55, 100), labels = c("lo", "mid", "hi"))
# descriptives
nrow(trial); levels(trial$arm)
addmargins(table(trial$centre, trial$arm))
with(trial, table(arm, age_band))
sapply(trial[c("base", "y12", "y24")], function(x) c(mean = mean(x, na.rm = TRUE), sd = sd(x, na.rm = TRUE), miss = sum(is.na(x))))
tapply(trial$y24, trial$arm, function(x) mean(x, na.rm = TRUE))
aggregate(cbind(y12, y24) ~ arm + sex, data = trial, FUN = mean)
colMeans(is.na(trial[, c("y12", "y24")]))
# long format
long <- reshape(trial, varying = c("y12", "y24"), v.names = "y", timevar = "week", times = c(12, 24), idvar = "id", direction = "long")
long <- long[order(long$id, long$week), ]
long$week <- factor(long$week)
long <- subset(long, !is.na(y))
nrow(long)
# models
m_centre <- lmer(y12 ~ arm + base_c + sex + (1 | centre), data = trial)
m_long <- lmer(y ~ arm * week + base_c + (1 | centre/id), data = long)
m_noint <- update(m_long, ~ . - arm:week)
anova(m_noint, m_long)
anova(m_long)
summary(m_centre)$coefficients
ci <- confint(m_centre, parm = "beta_", method = "Wald")
out <- cbind(est = fixef(m_centre), ci)
round(out, 2)
out["armhigh", ]
emm <- emmeans(m_long, ~ arm | week)
emm
contrast(emm, method = "trt.vs.ctrl", adjust = "none")
as.data.frame(pairs(emm))[1:3, c("contrast", "week", "estimate", "p.value")]
emmeans(m_long, pairwise ~ arm)$contrasts
confint(contrast(emmeans(m_centre, "arm"), list(dose = c(-1, 0, 1))))
ranova(m_long)
re <- ranef(m_centre)$centre
re$centre <- row.names(re)
names(re)[1] <- "effect"
re <- re[order(-re$effect), ]
head(re, 3)
re[re$effect > 0, "centre"]
paste(round(re$effect[1:3], 2), collapse = ", ")
worst <- which(re$effect == min(re$effect))
re$centre[worst]
vc <- as.data.frame(VarCorr(m_long))
vc[, c("grp", "vcov", "sdcor")]
icc <- function(model) { v <- as.data.frame(VarCorr(model)); v$vcov / sum(v$vcov) }
round(icc(m_long), 3)
mapply(function(m, lab) sprintf("%s: %.1f", lab, AIC(m)), list(m_noint, m_long), c("no interaction", "interaction"))
res <- data.frame(fit = fitted(m_centre), res = resid(m_centre), arm = trial$arm)
by(res$res, res$arm, sd)
tapply(res$res, res$arm, function(v) round(sd(v), 2))
do.call("rbind", tapply(res$res, res$arm, summary))
quantile(abs(res$res), probs = 0.95)
shapiro.test(res$res)$p.value
bartlett.test(res ~ arm, res)$p.value
newd <- expand.grid(arm = levels(trial$arm), base_c = c(-10, 0, 10), sex = "f", stringsAsFactors = TRUE)
newd$pred <- predict(m_centre, newd, re.form = NA)
xtabs(pred ~ arm + base_c, newd)
newd[which.max(newd$pred), ]
ifelse(coef(summary(m_centre))[, 5] < 0.05, "sig", "ns")
