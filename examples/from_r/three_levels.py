"""Three levels: pupils within classes within schools (the counterpart of three_levels.R)."""

import numpy as np
import pandas as pd

from mlmparity import lmer, read_data

d = read_data("pupils.csv").dropna()
d["size"] = pd.Categorical(d["class.size"], ["small", "regular"])
d["z"] = (d["pretest"] - d["pretest"].mean()) / d["pretest"].std()
print(len(d), d["class"].nunique())

empty = lmer("score ~ 1 + (1 | school/class)", d)
print(empty.VarCorr().to_text(comp=["Variance", "Std.Dev."]))
vc = empty.VarCorr().set_index("grp")["vcov"]
vpc = (vc / vc.sum()).round(3)
print(vpc)
print(empty.icc(by_group=True))

full = lmer("score ~ z + sex + size + sector + (1 | school) + (z | class)", d)
print(full)
print(full.coef_table())
print(full.ngrps())
print(full.r2(by_group=True))
cross = lmer("score ~ z * size + sex + sector + (1 | school) + (z | class)", d)
print(full.anova(cross, model_names=["full", "cross"]))
print(full.logLik())
print(empty.AIC(full, cross, model_names=["empty", "full", "cross"]))
print(full.BIC())

print(full.emmeans("~ size", ddf="satterthwaite"))
print(full.emmeans("~ size + sector").contrast("pairwise", adjust="holm"))
print(full.emmeans("sector", ddf="asymptotic").pairs(reverse=True))

# the two best and the two worst classes
re = full.ranef()["class"]
print(re.sort_values("(Intercept)").iloc[[0, 1, -2, -1]])
print(full.check_collinearity())
print(full.model_matrix().head(3))
print(np.sqrt(np.diag(full.vcov())))
b = full.bootMer(lambda fit: fit.fixef(), nsim=5, seed=1)
print(b.shape)
print(full.sigma())
print(full.residuals(type="pearson", scaled=True).head())
print(full.check_outliers()["Outlier_Cook"].sum())
print(full.isSingular())
