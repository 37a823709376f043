"""Repeated measures with post-hoc tests: memory of old and young (the counterpart of repeated_measures.R)."""

from scipy import stats

from mlmparity import lmer, read_data

recall = read_data("recall.csv", factors="delay=none,hour,day", strings_as_factors=True)
sums = dict.fromkeys(["group", "delay", "noise"], "contr.sum")

m = lmer("recalled ~ group * delay * noise + (1 | person)", recall, contrasts=sums)
m_n = lmer(
    "recalled ~ group * delay * noise + (1 | person) + (1 | person:noise) + (1 | person:delay)", recall, contrasts=sums
)
print(m.anova(m_n, refit=False, model_names=["m", "m.n"]))
print(m.anova(type="III"))
print(m.anova(type=2, ddf="Kenward-Roger"))
print(m.joint_tests())
print(m.joint_tests("group"))

emm = m.emmeans("~ delay | group")
print(emm)
print(emm.pairs())
print(emm.pairs().summary(infer=True, adjust="bonferroni"))
print(emm.contrast("trt.vs.ctrl", ref="none"))
print(emm.simple_contrasts("consec").bind("mvt"))
print(emm.contrast(interaction={"group": "pairwise", "delay": "poly"}, by=[]))
print(m.emmeans("~ delay").contrast({"forgotten": [1, -0.5, -0.5], "later": [0, 1, -1]}))
print(m.emmeans("~ delay").eff_size(sigma=m.sigma(), edf=m.df_residual()))
print(emm.pairs().confint(level=0.9))
print(m.emmeans("~ delay").pairs().rbind(m.emmeans("~ group").pairs()))
print(m.emmeans("~ delay * group").pairs().test(joint=True))
print(m.emmeans("pairwise ~ noise").contrasts.frame)
print(emm.pairs().summary(by=[], adjust="holm"))
print(m.ls_means("delay", pairwise=True))
print(stats.shapiro(m.residuals()).pvalue)
