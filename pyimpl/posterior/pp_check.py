"""Posterior predictive check: density of the data over those of predicted data (``bayesplot::ppc_dens_overlay``)."""

from typing import TYPE_CHECKING

import numpy as np

from pyimpl.extras import need

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["density", "density_overlay"]

_POINTS = 512


def density(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Gaussian kernel density estimate with R's bandwidth ``bw.nrd0`` (Silverman's rule of thumb).

    Parameters
    ----------
    values : ndarray, shape (n,)
    at : ndarray, shape (points,)
    """
    from scipy.stats import gaussian_kde

    sd = values.std(ddof=1)
    lower, upper = np.quantile(values, [0.25, 0.75])
    width = 0.9 * (min(sd, (upper - lower) / 1.34) or sd) * values.size**-0.2
    return gaussian_kde(values, bw_method=width / sd)(at)


def density_overlay(y: np.ndarray, yrep: np.ndarray, name: str = "y") -> "Figure":
    """Draw the density of `y` over those of the rows of `yrep`.

    Parameters
    ----------
    y : ndarray, shape (N,)
    yrep : ndarray, shape (replications, N)
    name : str
        Of the response.
    """
    need("plots", "a plot", "matplotlib")
    from pyimpl.figures import ShownFigure

    low, high = min(y.min(), yrep.min()), max(y.max(), yrep.max())
    margin = 0.03 * (high - low)
    grid = np.linspace(low - margin, high + margin, _POINTS)
    figure = ShownFigure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for i, replication in enumerate(yrep):
        label = "predicted, $y_{rep}$" if i == 0 else None
        axes.plot(grid, density(replication, grid), color="#7da7cc", linewidth=0.6, alpha=0.6, label=label)
    axes.plot(grid, density(y, grid), color="#12233a", linewidth=1.8, label="observed, $y$")
    axes.set_title("Density of the data and of predicted data", fontsize=10)
    axes.set_xlabel(name.replace("$", r"\$"))
    axes.set_yticks([])
    axes.set_ylim(bottom=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    legend = axes.legend(frameon=False)
    for line in legend.get_lines():
        line.set_linewidth(1.8)
        line.set_alpha(1)
    return figure
