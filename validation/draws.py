"""Draws and posterior summaries that come without a fit: draws alone, and quadrature's answer."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from validation.contract import Draws
from validation.quantities import QUANTILES


class DrawsAlone:
    """Draws alone, as a fit."""

    def __init__(self, draws: Draws) -> None:
        import xarray as xr

        if isinstance(draws, Mapping | pd.DataFrame) and not hasattr(draws, "children"):
            variables = {}
            for name in draws:
                values = np.asarray(draws[name], dtype=float)
                if values.ndim == 1:
                    values = values[None]
                if values.ndim != 2:
                    raise ValueError(
                        f"draws of {name!r} have shape {values.shape}; expected (draws,) or (chains, draws)"
                    )
                variables[str(name)] = (("chain", "draw"), values)
            lengths = {name: array[1].shape for name, array in variables.items()}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"parameters differ in their numbers of chains and draws: {lengths}")
            draws = xr.Dataset(variables)
        self.posterior = draws


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
    names = {f"{100 * probability:g}%": name for name, probability in QUANTILES.items()}
    values, errors = values.rename(columns=names), errors.rename(columns=names).abs()
    known = [name for name in ("mean", "sd", *QUANTILES) if name in values.columns]
    table = pd.concat([values[known], errors[known].add_prefix("mcse_")], axis=1).astype(float)
    return table.set_axis(pd.Index(map(str, values.index), name="parameter")) if known else None
