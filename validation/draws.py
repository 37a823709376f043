"""Draws and posterior summaries that come without a fit: draws alone, and quadrature's answer."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from validation.contract import Draws


class DrawsAlone:
    """Draws alone, as a fit."""

    def __init__(self, draws: Draws) -> None:
        import xarray as xr

        if isinstance(draws, Mapping | pd.DataFrame) and not hasattr(draws, "children"):
            arrays = {str(name): np.asarray(draws[name], dtype=float) for name in draws}
            for name, values in arrays.items():
                if values.ndim not in (1, 2):
                    raise ValueError(
                        f"draws of {name!r} have shape {values.shape}; expected (draws,) or (chains, draws)"
                    )
            chains = {name: np.atleast_2d(values) for name, values in arrays.items()}
            lengths = {name: values.shape for name, values in chains.items()}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"parameters differ in their numbers of chains and draws: {lengths}")
            draws = xr.Dataset({name: (("chain", "draw"), values) for name, values in chains.items()})
        self.posterior = draws


def quadrature_of(fit: object) -> pd.DataFrame | None:
    """Posterior summaries by quadrature, where the candidate has them and the dimension allows."""
    quadrature = getattr(fit, "quadrature", None)
    if not callable(quadrature):
        return None
    try:
        return truth_table(quadrature())
    except Exception:  # more than a few dimensions, priors that cannot be integrated: there is no truth then
        return None


def truth_table(found: object) -> pd.DataFrame | None:
    """Quadrature's answer as a ``posterior_summary``: statistics, with numerical in place of Monte Carlo errors.

    ``found`` has ``table`` (and, where it gives them, ``error`` of the same shape and ``ranef``): index parameter,
    columns ``mean``, ``sd``, ``2.5%``, ``50%``, ``97.5%`` as far as they are known.
    """
    values = found if isinstance(found, pd.DataFrame) else getattr(found, "table", None)
    if not isinstance(values, pd.DataFrame) or values.empty:
        return None
    errors = getattr(found, "error", None)
    errors = errors if isinstance(errors, pd.DataFrame) else values * 0.0
    ranef = getattr(found, "ranef", None)
    if isinstance(ranef, pd.DataFrame) and len(ranef):
        values, errors = pd.concat([values, ranef]), pd.concat([errors, ranef * 0.0])
    names = {"2.5%": "q2.5", "50%": "q50", "97.5%": "q97.5"}
    values, errors = values.rename(columns=names), errors.rename(columns=names)
    table = pd.DataFrame(index=pd.Index([str(name) for name in values.index], name="parameter"))
    for statistic in ("mean", "sd", "q2.5", "q50", "q97.5"):
        if statistic in values.columns:
            table[statistic] = values[statistic].to_numpy(dtype=float)
            table[f"mcse_{statistic}"] = np.abs(errors[statistic].to_numpy(dtype=float))
    return table if len(table.columns) else None
