"""School effectiveness: value added by schools, pupils within schools (the counterpart of school_effectiveness.R)."""

import pandas as pd

from mlmparity import lmer, read_data

pupils = read_data("pupils.csv", strings_as_factors=True)
pupils["sector"] = pupils["sector"].cat.reorder_categories(["state", "private"])
pupils["cpre"] = pupils["pretest"] - pupils["pretest"].mean()
pupils["meanpre"] = pupils.groupby("school", observed=True)["cpre"].transform("mean")
pupils["within"] = pupils["cpre"] - pupils["meanpre"]
complete = pupils.dropna()

m0 = lmer("score ~ 1 + (1 | school)", pupils, REML=False)
print(m0.summary())
print(m0.icc())

m1 = lmer("score ~ cpre + sex + (1 | school)", complete, REML=False)
m2 = lmer("score ~ cpre + sex + (1 + cpre | school)", complete, REML=False)
m3 = lmer("score ~ within + meanpre + sex * sector + (1 + within | school)", complete, REML=False)
m0c = m0.update(data=complete)
print(m0c.anova(m1, m2, model_names=["m0c", "m1", "m2"]))
print(m0c.AIC(m1, m2, model_names=["m0c", "m1", "m2"]))
print(m3.summary())
print(m3.drop1(test="Chisq"))
print(m2.VarCorr())
print(m3.r2())
print(m1.model_performance())

# how much less variance between schools than in the empty model
v, w = m0c.VarCorr(), m1.VarCorr()
explained = (1 - w["vcov"] / v["vcov"]).round(3)
print(explained)

# league table: residuals of schools with their standard errors
u = m1.ranef_frame()
u["lower"] = u["condval"] - 1.96 * u["condsd"]
u["upper"] = u["condval"] + 1.96 * u["condsd"]
u = u.sort_values("condval")[["grp", "condval", "lower", "upper"]]
print(u.head(3))
print(u.tail(3))
print(((u["lower"] > 0) | (u["upper"] < 0)).sum())

print(m1.confint(method="profile"))
new = pd.MultiIndex.from_product([["state", "private"], [-10, 0, 10]], names=["sector", "within"]).to_frame(index=False)
new = new.assign(meanpre=0, sex="girl")
new["expected"] = m3.predict(new, re_form="~0")
print(new)
print(m1.predict_interval(complete.head(3), level=0.9, nsim=2000, seed=3))
