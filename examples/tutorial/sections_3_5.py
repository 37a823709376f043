"""Sections 3 and 4 of "Multilevel Models with rstanarm" (Lee, Sim, Ji & Rabe-Hesketh, 2018), from Python.

The steps take the fits of either side, ``pyimpl.stan_lmer`` or ``bridge.rstanarm``: they work on ``as_matrix()``. Every
number that the tutorial prints of its posteriors can be judged (:func:`compare_printed`): it came from 4000 draws of
another sampler run, and so is right to within its Monte Carlo error.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module, resources
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from examples.tutorial.sections_1_2 import FORMULAS

if TYPE_CHECKING:
    from plotnine import ggplot

__all__ = [
    "alpha",
    "alpha_table",
    "compare_printed",
    "difference",
    "difference_table",
    "drawn",
    "fit_models",
    "monte_carlo_sd",
    "plot_caterpillar",
    "plot_difference",
    "printed_numbers",
]

#: The quantiles that the tutorial's tables show.
PROBS = (0.025, 0.5, 0.975)

#: Draws that the tutorial kept (4 chains of 1000): the n_eff of what it prints no n_eff for, the strictest there is.
TUTORIAL_DRAWS = 4000

#: A number agrees when it is off by no more than so many Monte Carlo standard errors, and half its last printed digit.
MOST_MCSE = 4.0

_BATCHES = 100


def fit_models(
    GCSE: pd.DataFrame,
    engine: str = "pyimpl",
    seed: int = 349,
    models: Sequence[str] = ("M1", "M2", "M3"),
    **options: Any,
) -> dict[str, Any]:
    """Sections 3.1, 4.1 and 4.2: Models 1, 2 and 3 with the tutorial's priors.

    Where the tutorial took rstanarm's defaults of 2018, these are given: N(0, 10 s_y) for the intercept, N(0, 2.5 s_y)
    for the coefficient of a 0/1 predictor. For Model 2 it gives N(0, 100) for both.

    Parameters
    ----------
    GCSE : pandas.DataFrame
        As :func:`examples.tutorial.sections_1_2.prepare` makes it.
    engine : {"pyimpl", "rstanarm"}
    seed : int
    models : sequence of str
        Which of them.
    **options
        Of either ``stan_lmer``: ``iter``, ``chains``, ...

    Returns
    -------
    dict of str to BayesianFit
        By the models' names.
    """
    if engine not in ("pyimpl", "rstanarm"):
        raise ValueError(f"engine is 'pyimpl' or 'rstanarm', not {engine!r}")
    s_y = float(GCSE["course"].std(ddof=1))
    scales = {"M1": (10 * s_y, None), "M2": (100.0, 100.0), "M3": (10 * s_y, 2.5 * s_y)}
    fits = {}
    for name in models:
        formula = FORMULAS[name]
        intercept, slope = scales[name]
        module: Any = import_module("pyimpl" if engine == "pyimpl" else "bridge.rstanarm")
        priors = {"prior_intercept": module.normal(0, intercept)}
        if slope is not None:
            priors["prior"] = module.normal(0, slope)
        fits[name] = module.stan_lmer(formula, GCSE, seed=seed, **priors, **options)
    return fits


# -- 3.4 The draws -------------------------------------------------------------------------------------------------


def alpha(fit: Any, group: str = "school") -> pd.DataFrame:
    """Draws of each group's intercept α_j = μ + u_j: draws x level.

    Parameters
    ----------
    fit : BayesianFit
    group : str
        The grouping factor.

    Raises
    ------
    KeyError
        The model has no varying intercept for `group`.
    """
    try:
        return _alpha(fit.as_matrix(), group)
    except KeyError:
        raise KeyError(f"the model {fit.formula} has no varying intercept for {group!r}") from None


def _alpha(draws: pd.DataFrame, group: str = "school") -> pd.DataFrame:
    start = f"b[(Intercept) {group}:"
    columns = [name for name in draws.columns if name.startswith(start) and "_NEW_" not in name]
    if not columns:
        raise KeyError(group)
    values = draws[columns].to_numpy() + draws[["(Intercept)"]].to_numpy()
    return pd.DataFrame(values, columns=[name[len(start) : -1] for name in columns])


def _describe(draws: pd.DataFrame, probs: Sequence[float] = PROBS) -> pd.DataFrame:
    table = pd.DataFrame({"mean": draws.mean(), "sd": draws.std(ddof=1)})
    for prob in probs:
        table[f"{100 * prob:g}%"] = draws.quantile(prob)
    return table


def alpha_table(draws: pd.DataFrame, probs: Sequence[float] = PROBS) -> pd.DataFrame:
    """Mean, sd and quantiles of each group's intercept: level x statistic, in the order of the levels.

    Parameters
    ----------
    draws : pandas.DataFrame
        What :func:`alpha` returns.
    probs : sequence of float
    """
    return _describe(draws, probs)


def difference(draws: pd.DataFrame, first: str, second: str) -> pd.Series:
    """Draws of the difference between two groups' intercepts, `first` minus `second`."""
    for level in (first, second):
        if level not in draws.columns:
            raise KeyError(f"there is no level {level!r}; the levels are {', '.join(map(str, draws.columns[:8]))}, ...")
    return (draws[first] - draws[second]).rename(f"{first} - {second}")


def difference_table(draws: pd.Series, probs: Sequence[float] = PROBS) -> pd.DataFrame:
    """Mean, sd, quantiles of a difference, and the probability that it is positive: one row."""
    table = _describe(draws.to_frame(), probs)
    table["P(> 0)"] = float((draws > 0).mean())
    return table


def plot_caterpillar(table: pd.DataFrame, centre: float | None = None) -> "ggplot":
    """Every group's intercept with its 95% interval, the groups by rank.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`alpha_table` returns, with 2.5% and 97.5%.
    centre : float, optional
        Where to draw the average of all groups; default the mean of the means.
    """
    import plotnine as p9

    ranked = table.sort_values("mean").reset_index(names="level")
    ranked = ranked.rename(columns={"2.5%": "low", "97.5%": "high"}).assign(rank=np.arange(1, len(table) + 1))
    return (
        p9.ggplot(ranked, p9.aes("rank", "mean"))
        + p9.geom_hline(yintercept=float(table["mean"].mean()) if centre is None else centre, color="#8a8f98", size=0.5)
        + p9.geom_linerange(p9.aes(ymin="low", ymax="high"), color="#7da7cc", size=0.7)
        + p9.geom_point(color="#12233a", size=1.2)
        + p9.labs(
            title="Intercepts of the schools by rank, with 95% intervals",
            x="rank",
            y="varying intercept, $\\alpha_j$",
        )
        + p9.theme_bw()
        + p9.theme(figure_size=(8.0, 4.2), panel_grid_minor=p9.element_blank())
    )


def plot_difference(draws: pd.Series, bins: int = 50) -> "ggplot":
    """Histogram of a difference's draws, with a line at its mean and its 2.5% and 97.5% quantiles."""
    import plotnine as p9

    marks = pd.DataFrame({"x": [draws.mean(), *draws.quantile([0.025, 0.975])], "what": ["mean", "95%", "95%"]})
    marks["what"] = pd.Categorical(marks["what"], categories=["mean", "95%"])
    first, _, second = str(draws.name).partition(" - ")
    return (
        p9.ggplot(pd.DataFrame({"difference": draws.to_numpy()}), p9.aes("difference"))
        + p9.geom_histogram(bins=bins, fill="#c9dcec", color="#7da7cc", size=0.25)
        + p9.geom_vline(marks, p9.aes(xintercept="x", linetype="what"), color="#c03a1e", size=0.7)
        + p9.scale_linetype_manual(values=["solid", "dashed"])
        + p9.labs(title=f"School {first} minus school {second}", x="difference in intercept", y="draws", linetype="")
        + p9.theme_bw()
        + p9.theme(figure_size=(6.4, 3.8), panel_grid_minor=p9.element_blank(), legend_position="bottom")
    )


# -- Against the printed page --------------------------------------------------------------------------------------


def printed_numbers() -> pd.DataFrame:
    """Every number that the tutorial prints of its posteriors.

    Returns
    -------
    pandas.DataFrame
        Columns model, parameter, statistic, printed (the text: its decimals say how precisely), n_eff (of the
        tutorial's run; empty where it prints none) and where.
    """
    file = resources.files("examples.tutorial") / "data" / "tutorial_bayes_printed.csv"
    with file.open(encoding="utf-8") as text:
        return pd.read_csv(text, dtype=str, keep_default_na=False)


_Statistic = Callable[[np.ndarray], float]

#: Statistics of the draws of one quantity, or (the last) of several: shape (draws, quantities) -> number.
STATISTICS: dict[str, _Statistic] = {
    "mean": lambda x: float(x[:, 0].mean()),
    "sd": lambda x: float(x[:, 0].std(ddof=1)),
    "Median": lambda x: float(np.median(x[:, 0])),
    "MAD_SD": lambda x: float(1.4826 * np.median(np.abs(x[:, 0] - np.median(x[:, 0])))),
    "P(> 0)": lambda x: float((x[:, 0] > 0).mean()),
    "2.5%": lambda x: float(np.quantile(x[:, 0], 0.025)),
    "50%": lambda x: float(np.median(x[:, 0])),
    "97.5%": lambda x: float(np.quantile(x[:, 0], 0.975)),
    # rstanarm's "Error terms": the root of the mean variance, the correlation of the mean matrix, the mean of sigma
    "Std.Dev.": lambda x: float(np.sqrt(x[:, 0].mean())),
    "Corr": lambda x: float(x[:, 0].mean() / np.sqrt(x[:, 1].mean() * x[:, 2].mean())),
}


def _quantity(draws: pd.DataFrame, parameter: str) -> np.ndarray:
    """Draws of what a printed number is of, shape (draws, quantities), from all columns of a fit."""
    if parameter.startswith("alpha["):
        levels = [part.strip()[len("alpha[") : -1] for part in parameter.split(" - ")]
        schools = _alpha(draws)
        values = schools[levels[0]] if len(levels) == 1 else difference(schools, *levels)
        return values.to_numpy()[:, None]
    if parameter.startswith("school "):
        effects = parameter.removeprefix("school ").split(", ")
        pairs = [(effects[0], effects[0])]
        if len(effects) == 2:
            pairs = [(effects[1], effects[0]), pairs[0], (effects[1], effects[1])]
        return draws[[f"Sigma[school:{row},{column}]" for row, column in pairs]].to_numpy()
    return draws[["sigma" if parameter == "Residual" else parameter]].to_numpy()


def drawn(fit: Any, parameter: str) -> tuple[np.ndarray, int, float]:
    """Draws of a quantity, shape (draws, quantities), the number of chains, and the smallest bulk ESS."""
    from pyimpl.posterior.diagnostics import ess_bulk

    draws = _quantity(fit.stanfit_matrix(), parameter)
    chains = int(fit.posterior["posterior"].sizes["chain"])
    return draws, chains, float(ess_bulk(draws.T.reshape(draws.shape[1], chains, -1)).min())


def monte_carlo_sd(statistic: _Statistic, draws: np.ndarray, seed: int = 1) -> float:
    """Sd of a statistic of one independent draw: its standard error for n independent draws, times sqrt(n).

    From batches of the draws in random order, so that autocorrelation has no part in it.
    """
    shuffled = np.random.default_rng(seed).permutation(draws)
    batches = min(_BATCHES, len(draws) // 100)
    if batches < 20:
        raise ValueError(f"{len(draws)} draws are too few for a Monte Carlo error; 2000 are needed at least")
    size = len(draws) // batches
    values = [statistic(shuffled[k * size : (k + 1) * size]) for k in range(batches)]
    return float(np.std(values, ddof=1) * np.sqrt(size))


def compare_printed(fits: Mapping[str, Any], printed: pd.DataFrame | None = None) -> pd.DataFrame:
    """Judge every printed number of the tutorial's posteriors.

    The tolerance is four Monte Carlo standard errors of the difference (of the tutorial's run, by its n_eff, and of
    the fit at hand) and half a unit of the last printed digit. Four: of some 70 numbers one beyond it by chance
    would come once in 200 runs. The tutorial's n_eff is a property of its sampler, not of the posterior, and judged by
    nothing; its mcse is judged by the posterior's sd over the root of that n_eff.

    Parameters
    ----------
    fits : mapping of str to BayesianFit
        As :func:`fit_models` returns them, at least 2000 draws each; numbers of models that are not there are left out.
    printed : pandas.DataFrame, optional
        Default :func:`printed_numbers`.

    Returns
    -------
    pandas.DataFrame
        The printed numbers with columns ``value`` (of the fits), ``mcse`` (of the difference), ``tolerance``, ``off``
        (the absolute difference) and ``agrees``.
    """
    from pyimpl.posterior.diagnostics import stan_rhat

    table = printed_numbers() if printed is None else printed
    table = table[table["model"].isin(list(fits))]
    rows = []
    for (model, parameter), part in table.groupby(["model", "parameter"], sort=False):
        draws, chains, own = drawn(fits[str(model)], str(parameter))
        for row in part.itertuples():
            name, text = str(row.statistic), str(row.printed)
            theirs = float(str(row.n_eff) or TUTORIAL_DRAWS)
            if name == "Rhat":
                # of chains that agree, R-hat exceeds 1 by half the halves of the chains over the effective draws
                value, mcse = float(stan_rhat(draws.T.reshape(1, chains, -1))[0]), chains * (1 / own + 1 / theirs)
            else:
                # the tutorial's mcse is the sd over the root of *its* effective draws
                unit = np.sqrt(theirs) if name == "mcse" else 1.0
                statistic = STATISTICS["mean" if parameter == "Residual" else "sd" if name == "mcse" else name]
                value = statistic(draws) / unit
                mcse = monte_carlo_sd(statistic, draws) * np.sqrt(1 / own + 1 / theirs) / unit
            tolerance = MOST_MCSE * mcse + 0.5 * 10.0 ** -len(text.partition(".")[2])
            off = abs(value - float(text))
            rows.append((row.Index, value, mcse, tolerance, off, off <= tolerance))
    judged = pd.DataFrame(rows, columns=["row", "value", "mcse", "tolerance", "off", "agrees"]).set_index("row")
    return table.join(judged)
