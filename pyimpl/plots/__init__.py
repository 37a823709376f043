"""Plots of fits. Each returns a ``matplotlib.figure.Figure`` made without pyplot: nothing is shown, nothing is global.

Matplotlib (and ArviZ, for the plots it makes) is imported when a plot is drawn. ``figure.savefig("name.png")`` writes
it; in a notebook ``display(figure)`` shows it.
"""

from pyimpl.plots.likelihood import (
    caterpillar,
    profile_density,
    profile_zeta,
    qq,
    residuals_fitted,
    scale_location,
    shrinkage,
)
from pyimpl.plots.posterior import (
    PLOTS,
    PP_CHECKS,
    difference,
    ess_plot,
    intervals,
    posterior_vs_prior_plot,
    rhat_plot,
    trace,
)
from pyimpl.plots.results import plot_coefficients, plot_emmeans, plot_predictions, plot_trajectories

__all__ = [
    "PLOTS",
    "PP_CHECKS",
    "caterpillar",
    "difference",
    "ess_plot",
    "intervals",
    "plot_coefficients",
    "plot_emmeans",
    "plot_predictions",
    "plot_trajectories",
    "posterior_vs_prior_plot",
    "profile_density",
    "profile_zeta",
    "qq",
    "residuals_fitted",
    "rhat_plot",
    "scale_location",
    "shrinkage",
    "trace",
]
