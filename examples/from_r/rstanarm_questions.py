"""What a posterior answers: growth by programme (the counterpart of rstanarm_questions.R)."""

import numpy as np
import pandas as pd

from mlmparity import decov, exponential, loo_compare, normal, read_data, stan_lmer

reading = read_data("reading.csv", factors="child", strings_as_factors=True)

b = stan_lmer(
    "words ~ wave * programme + (wave | child)", reading,
    prior=normal(0, 5), prior_intercept=normal(45, 10), prior_aux=exponential(0.5),
    prior_covariance=decov(regularization=2), chains=4, iter=1000, seed=12, refresh=0,
)  # fmt: skip
print(b.prior_summary())
print(b.print(digits=2))
print(b.summary(pars=["wave", "sigma"], probs=[0.05, 0.95], digits=2))
print(b.posterior_interval(prob=0.9, regex_pars="programme"))
draws = b.as_matrix()
print((draws["wave:programmetutoring"] > draws["wave:programmephonics"]).mean())
print((draws["wave"] + draws["wave:programmetutoring"]).quantile([0.05, 0.5, 0.95]))
print(list(draws.columns[:6]), list(draws.columns[179:190]))
sd0 = np.sqrt(draws["Sigma[child:(Intercept),(Intercept)]"])
print(sd0.median())
print(b.VarCorr())
print(b.ranef()["child"].head(2))
print(b.coef()["child"].head(2))
print(b.fixef())
print(b.se().head(3))

print(b.emtrends("pairwise ~ programme", "wave"))
print(b.emmeans("~ programme | wave", at={"wave": [0, 5]}))
print(b.emmeans("~ programme").contrast("trt.vs.ctrl").confint(0.9))
print(b.joint_tests())

new = pd.DataFrame({"wave": 5, "programme": reading["programme"].cat.categories, "child": "new"})
pp = b.posterior_predict(newdata=new)
print(pp.shape)
print((pp > 65).mean(axis=0))
ep = b.posterior_epred(new, re_form="~0")
print(np.quantile(ep, [0.1, 0.9], axis=0))
print(np.median(b.bayes_R2()))
simple = b.update(". ~ . - wave:programme")
l1, l0 = b.loo(), simple.loo()
print(l1)
print(loo_compare({"b": l1, "simple": l0}))
print(b.predictive_interval(prob=0.5, newdata=new.head(1)))
b.pp_check("stat", stat="sd")
print(b.summary().table["n_eff"].min() > 100)
