"""Consumers and products: crossed random effects, tests of both kinds (the counterpart of lmertest_crossed.R)."""

from mlmparity import lmer, read_data

t = read_data("tasting.csv", factors="consumer", strings_as_factors=True)
t["age10"] = (t["age"] - 40) / 10

m = lmer("liking ~ product * temp + age10 + (1 | consumer) + (1 | consumer:product)", t)
print(m.summary(ddf="Satterthwaite"))
print(m.summary(ddf="Kenward-Roger").coefficients)
print(m.anova(type="III"))
print(m.anova(type="I"))
print(m.anova(ddf="lme4"))
print(m.ranova())
print(m.drop1(scope="age10", ddf="Satterthwaite"))
print(m.contest([0, 1, 0, 0, 0, 0, 0, 0, 0], joint=False))
L = [[0, 0, 0, 0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1, 0]]
print(m.contest(L))
print(m.contest([1, 0, 0, 0, 0, 0, 0, 0, 0], joint=False))
print(m.contest(L)["DenDF"])
print(m.ls_means("product:temp"))
print(m.difflsmeans("temp"))
m2 = m.update(". ~ . - product:temp")
print(m.anova(m2, model_names=["m", "m2"]))
print(m2.fixef())
print(m2.VarCorr())
print(m2.tidy(effects="ran_pars", scales="vcov"))
print(m2.confint(oldNames=False, method="Wald"))
m2.plot()
m2.plot_qq()
