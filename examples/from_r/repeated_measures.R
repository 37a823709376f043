# Repeated measures with post-hoc tests: memory of old and young, three delays, with and without noise
library(lmerTest)
library(emmeans)
options(contrasts = c("contr.sum", "contr.poly"))

recall <- read.csv("recall.csv")
recall$delay <- factor(recall$delay, levels = c("none", "hour", "day"))
recall[c("person", "group", "noise")] <- lapply(recall[c("person", "group", "noise")], factor)

m <- lmer(recalled ~ group * delay * noise + (1 | person), data = recall)
m.n <- lmer(recalled ~ group * delay * noise + (1 | person) + (1 | person:noise) + (1 | person:delay), data = recall)
anova(m, m.n, refit = FALSE)
anova(m)
anova(m, type = 2, ddf = "Kenward-Roger")
joint_tests(m)
joint_tests(m, by = "group")

emm <- emmeans(m, ~ delay | group)
emm
pairs(emm)
pairs(emm, adjust = "bonferroni", infer = c(TRUE, TRUE))
contrast(emm, "trt.vs.ctrl", ref = "none")
contrast(emm, "consec", simple = "each", combine = TRUE, adjust = "mvt")
contrast(emm, interaction = c(group = "pairwise", delay = "poly"), by = NULL)
contrast(emmeans(m, ~ delay), list(forgotten = c(1, -0.5, -0.5), later = c(0, 1, -1)))
eff_size(emmeans(m, ~ delay), sigma = sigma(m), edf = df.residual(m))
confint(pairs(emm), level = 0.9)
rbind(pairs(emmeans(m, ~ delay)), pairs(emmeans(m, ~ group)))
test(pairs(emmeans(m, ~ delay * group)), joint = TRUE)
as.data.frame(emmeans(m, pairwise ~ noise)$contrasts)
update(pairs(emm), by = NULL, adjust = "holm")
ls_means(m, which = "delay", pairwise = TRUE)
shapiro.test(residuals(m))$p.value
