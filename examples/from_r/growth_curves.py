"""Growth curves: words read per minute, six waves, three programmes (the counterpart of growth_curves.R)."""

import numpy as np
import pandas as pd

from mlmparity import LmerControl, lmer, read_data

reading = read_data("reading.csv", factors=["child", "programme=control,phonics,tutoring"])
print(pd.crosstab(reading["programme"], reading["wave"]))
print(reading.groupby(["programme", "wave"], observed=True)["words"].mean())

lin = lmer("words ~ wave * programme + (wave | child)", reading)
quad = lmer("words ~ poly(wave, 2) * programme + (wave | child)", reading)
quad2 = lmer(
    "words ~ wave + I(wave^2) + wave:programme + (wave | child)", reading, control=LmerControl(optimizer="bobyqa")
)
print(lin.anova(quad2, quad, model_names=["lin", "quad2", "quad"]))
print(quad2.summary(ddf="Satterthwaite", correlation=False))
print(quad.anova(type="III", ddf="Satterthwaite"))
print(quad2.tidy(effects="fixed", conf_int=True, ddf="Satterthwaite"))
print(quad2.glance())
print(quad2.augment().head(3))

# rates of growth, and the programmes compared
print(lin.emtrends("pairwise ~ programme", "wave"))
print(quad2.emmeans("~ programme | wave", at={"wave": [0, 5]}))
print(quad2.emmeans("~ programme | wave", at={"wave": [1, 5]}).pairs())
print(quad2.emmeans("~ wave", at={"wave": range(6)}).contrast("poly", max_degree=2))
print(lin.predictions({"wave": [0, 5], "programme": None}))

# uncorrelated intercepts and slopes?
uncor = lin.update(". ~ . - (wave | child) + (wave || child)")
print(uncor.anova(lin, refit=False, model_names=["uncor", "lin"]))
print(lin.ranova())

# fitted growth of two children
children = reading.drop_duplicates("child").set_index("child")["programme"]
newdat = pd.MultiIndex.from_product([["101", "150"], range(6)], names=["child", "wave"]).to_frame(index=False)
newdat["programme"] = newdat["child"].map(children)
newdat["hat"] = lin.predict(newdat)
print(newdat.pivot(index="wave", columns="child", values="hat"))
print(lin.coef()["child"].loc[["101", "150"]])
print(np.corrcoef(lin.fitted(), reading["words"])[0, 1] ** 2)
print(lin.isSingular())
print(lin.confint("beta_", method="Wald"))
