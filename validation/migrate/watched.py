"""Which calls of R are watched, and what stands for each of them in Python.

One table, read by the instrumentation (what is watched), by the translation (what stands for it) and by the report
(why a call was not carried over).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "FITS",
    "INTERACTIVE",
    "NO_MEANING",
    "OF_MEANS",
    "PLOTS",
    "PRIORS",
    "PRIOR_FORMALS",
    "SHOWING",
    "UNSUPPORTED",
    "VERBS",
    "Fit",
    "Verb",
    "is_watched",
    "words",
]


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


@dataclass(frozen=True)
class Fit:
    """A function of R that fits a model, and ours.

    Attributes
    ----------
    python : str
        The name in ``mlmparity``.
    positions : tuple of str
        R's formals, in R's order: what arguments without a name are.
    rename : dict
        R's argument -> ours; None where it has no meaning in Python (``cores``, ``refresh``).
    """

    python: str
    positions: tuple[str, ...]
    rename: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Verb:
    """A function of R that is called on a fit, and our method.

    Attributes
    ----------
    method : str
        Our method; with ``()`` left out where it is a property.
    gives : str
        What it returns: ``number series frame frames summary fit table draws text intervals``.
    positions : tuple of str
        R's formals after the first.
    rename : dict
        R's argument -> ours.
    random : bool
        Draws random numbers: values are compared with their Monte Carlo error only.
    """

    method: str
    gives: str
    positions: tuple[str, ...] = ()
    rename: Mapping[str, str | None] = field(default_factory=dict)
    random: bool = False


_LMER = (
    "formula",
    "data",
    "REML",
    "control",
    "start",
    "verbose",
    "subset",
    "weights",
    "na.action",
    "offset",
    "contrasts",
)
_SAMPLER = {
    "cores": None,
    "refresh": None,
    "open_progress": None,
    "algorithm": None,
    "adapt_delta": None,
    "max_treedepth": None,
    "verbose": None,
    "control": None,
    "sparse": None,
}
FITS: dict[str, Fit] = {
    "lmer": Fit("lmer", _LMER, {"na.action": "na_action", "verbose": None}),
    "stan_lmer": Fit(
        "stan_lmer", ("formula", "data", "subset", "weights", "na.action"), {"na.action": "na_action", **_SAMPLER}
    ),
    "lm": Fit("lm", ("formula", "data", "subset", "weights", "na.action"), {"na.action": "na_action"}),
    "lmList": Fit("lmList", ("formula", "data"), {"na.action": "na_action"}),
}
#: Fitted by R here, with nothing in Python that stands for them: named in the report, by line.
UNSUPPORTED: dict[str, str] = {
    **dict.fromkeys(
        ("glmer", "glmer.nb", "stan_glmer", "stan_glmer.nb"), "a generalised model: mlmparity fits linear mixed models"
    ),
    **dict.fromkeys(
        ("glm", "stan_glm", "stan_lm", "stan_aov", "stan_polr", "stan_betareg"), "not a linear mixed model"
    ),
    **dict.fromkeys(("nlmer", "stan_nlmer"), "a nonlinear model: mlmparity fits linear mixed models"),
    **dict.fromkeys(("lme", "gls"), "nlme's own: correlation structures and grouped data that lme4 does not have"),
    **dict.fromkeys(
        (
            "brm",
            "brms",
            "gam",
            "gamm",
            "gamm4",
            "glmmTMB",
            "aov",
            "nls",
            "mixed",
            "blmer",
            "MCMCglmm",
            "step",
            "t.test",
            "cor.test",
            "rpt",
            "coxme",
            "lmeresampler",
            "stan_gamm4",
            "stan_jm",
            "stan_mvmer",
        ),
        "no counterpart in mlmparity",
    ),
}
PLOTS = words(
    """
    plot ggplot qplot xyplot dotplot hist boxplot barplot qqnorm qqline qqmath abline lines points legend
    curve par dev.off png pdf ggsave plot_model mcmc_areas mcmc_trace mcmc_intervals pp_check stan_trace
    interaction.plot matplot segments arrows polygon mtext axis title layout grid.arrange plot_grid ggarrange
    bwplot densityplot histogram stripchart dotchart coplot pairs.panels corrplot ggpairs scatterplot rug text
    jpeg svg tiff bmp dev.new graphics.off mcmc_hist mcmc_dens mcmc_dens_overlay mcmc_pairs ppc_stat
    ppc_dens_overlay ppc_hist ppc_intervals stan_hist stan_dens stan_plot stan_ac vip effect_plot plotFEsim plotREsim
    """
)
#: What waits for somebody at the screen: it is not run.
INTERACTIVE = words("launch_shinystan launch_shinystan_demo View fix edit browser runApp")
_RE = {"re.form": "re_form", "allow.new.levels": "allow_new_levels", "random.only": "random_only", "newdata": "newdata"}
VERBS: dict[str, Verb] = {
    "summary": Verb("summary", "summary", ("pars",)),
    "print": Verb("print", "summary"),
    "fixef": Verb("fixef", "series"),
    "ranef": Verb("ranef", "frames", (), {"condVar": None}),
    "coef": Verb("coef", "frames"),
    "VarCorr": Verb("VarCorr", "table"),
    "sigma": Verb("sigma", "number"),
    "logLik": Verb("logLik", "number", ("REML",)),
    "AIC": Verb("AIC", "number"),
    "BIC": Verb("BIC", "number"),
    "deviance": Verb("deviance", "number", ("REML",)),
    "REMLcrit": Verb("REMLcrit", "number"),
    "nobs": Verb("nobs", "number"),
    "ngrps": Verb("ngrps", "series"),
    "df.residual": Verb("df_residual", "number"),
    "vcov": Verb("vcov", "frame"),
    "residuals": Verb("residuals", "series", ("type",)),
    "resid": Verb("residuals", "series", ("type",)),
    "fitted": Verb("fitted", "series"),
    "predict": Verb("predict", "series", ("newdata",), _RE),
    "isSingular": Verb("isSingular", "number", ("tol",)),
    "isREML": Verb("isREML", "number"),
    "getME": Verb("getME", "any", ("name",)),
    "confint": Verb(
        "confint",
        "frame",
        ("parm", "level", "method"),
        {"quiet": None, "nsim": "nsim", "boot.type": "boot_type"},
    ),
    "anova": Verb("anova", "frame", (), {"model.names": "model_names"}),
    "drop1": Verb("drop1", "frame", ("scope",), {}),
    "ranova": Verb("ranova", "frame", ("reduce.terms",), {"reduce.terms": "reduce_terms"}),
    "rand": Verb("ranova", "frame"),
    "rePCA": Verb("rePCA", "any"),
    "update": Verb("update", "fit", ("formula",), {"formula.": "formula"}),
    "refit": Verb("refit", "fit", ("newresp",)),
    "refitML": Verb("refitML", "fit"),
    "weights": Verb("weights", "series"),
    "isLMM": Verb("isLMM", "number"),
    "isGLMM": Verb("isGLMM", "number"),
    "isNLMM": Verb("isNLMM", "number"),
    "hatvalues": Verb("hatvalues", "series"),
    "cooks.distance": Verb("cooks_distance", "series"),
    "rstudent": Verb("rstudent", "series"),
    "model.matrix": Verb("model_matrix", "frame"),
    "contest": Verb("contest", "frame", ("L",)),
    "contest1D": Verb("contest", "frame", ("L",)),
    "contestMD": Verb("contest", "frame", ("L",)),
    "posterior_interval": Verb(
        "posterior_interval", "intervals", ("prob",), {"type": None, "regex_pars": "regex_pars"}
    ),
    "prior_summary": Verb("prior_summary", "text", ("digits",)),
    "fixed.effects": Verb("fixef", "series"),
    "se": Verb("se", "series"),
    "loo": Verb("loo", "loo", (), {"cores": None}),
    "waic": Verb("waic", "loo"),
    "bayes_R2": Verb("bayes_R2", "series"),
    "as.matrix": Verb("as_matrix", "draws", ("pars",)),
    "posterior_predict": Verb("posterior_predict", "draws", ("newdata", "draws", "re.form"), _RE, random=True),
    "posterior_linpred": Verb("posterior_linpred", "draws", (), _RE),
    "posterior_epred": Verb("posterior_epred", "draws", (), _RE),
    "tidy": Verb(
        "tidy", "frame", (), {"conf.int": "conf_int", "conf.level": "conf_level", "conf.method": "conf_method"}
    ),
    "glance": Verb("glance", "frame"),
    "emmeans": Verb("emmeans", "emmeans", ("specs",), {"lmer.df": "ddf"}),
    "emtrends": Verb("emtrends", "emmeans", ("specs", "var"), {"lmer.df": "ddf"}),
    "simulate": Verb("simulate", "frame", ("nsim", "seed"), {"re.form": "re_form", "use.u": "use_u"}, random=True),
    "profile": Verb("profile", "profile", ("which",), {"signames": "signames"}),
    "fitted.values": Verb("fitted", "series"),
    "random.effects": Verb("ranef", "frames", (), {"condVar": None}),
    "coefficients": Verb("coef", "frames"),
    "ls_means": Verb("ls_means", "frame", ("which", "level", "ddf", "pairwise")),
    "lsmeansLT": Verb("ls_means", "frame", ("which", "level", "ddf", "pairwise")),
    "difflsmeans": Verb("difflsmeans", "frame", ("which", "level", "ddf")),
    "KRmodcomp": Verb("KRmodcomp", "frame", ("smallModel",), {"smallModel": "small"}),
    "r2": Verb("r2", "frame", (), {"by_group": "by_group"}),
    "r2_nakagawa": Verb("r2", "frame", (), {"by_group": "by_group"}),
    "icc": Verb("icc", "frame", (), {"by_group": "by_group"}),
    "model_performance": Verb("model_performance", "frame"),
    "performance_aicc": Verb("AICc", "number", ("REML",)),
    "AICc": Verb("AICc", "number", ("REML",)),
    "check_singularity": Verb("check_singularity", "number"),
    "check_collinearity": Verb("check_collinearity", "frame"),
    "check_heteroscedasticity": Verb("check_heteroscedasticity", "number"),
    "check_outliers": Verb("check_outliers", "frame"),
    "augment": Verb("augment", "frame"),
    "extractAIC": Verb("extractAIC", "series"),
    "model.frame": Verb("model_frame", "frame"),
    "loo_R2": Verb("loo_R2", "series"),
    "predictive_interval": Verb("predictive_interval", "frame", (), {"re.form": "re_form"}, random=True),
    "predictive_error": Verb("predictive_error", "draws", (), {}, random=True),
    "log_lik": Verb("log_lik", "draws"),
    "nsamples": Verb("nsamples", "number"),
    "bootMer": Verb("bootMer", "boot", ("FUN", "nsim", "seed"), {"use.u": "use_u"}, random=True),
}


#: Arguments that change nothing in Python, and why.
NO_MEANING = {
    "control": "there is one optimizer; the optimum does not depend on it",
    "start": "the optimum does not depend on where the search begins",
    "max_treedepth": "it tunes Stan's sampler; the collapsed sampler has no such setting",
    "sparse": "the design of the random effects is always sparse here",
    "condVar": "condVar=True of ranef() gives the conditional variances here",
    "quiet": "nothing is printed while it runs",
    "type": "posterior intervals are central ones, as in rstanarm",
    "cores": "all chains are drawn together, on one core",
}
PRIORS = words(
    """
    normal student_t cauchy hs hs_plus laplace lasso product_normal exponential decov lkj R2
    """
)
PRIOR_FORMALS = {
    "normal": ("location", "scale", "autoscale"),
    "student_t": ("df", "location", "scale", "autoscale"),
    "cauchy": ("location", "scale", "autoscale"),
    "exponential": ("rate", "autoscale"),
    "decov": ("regularization", "concentration", "shape", "scale"),
    "laplace": ("location", "scale", "autoscale"),
}
#: What shows or writes its first argument, whose numbers are compared: in R its own value is a text, or nothing.
SHOWING = words(
    """
    kable kbl datatable glimpse pander xtable gt flextable write.csv write.csv2 write.table write_csv fwrite saveRDS
    write_rds
    """
)
#: Verbs of what emmeans and loo give (:mod:`validation.migrate.means`).
OF_MEANS = words("pairs contrast test joint_tests loo_compare")


def is_watched(name: str) -> bool:
    """Whether a call of that name is watched when the script runs."""
    return name != "print" and (name in FITS or name in VERBS or name in UNSUPPORTED or name in OF_MEANS)
