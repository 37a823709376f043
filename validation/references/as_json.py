"""Recorded fits as JSON and back: plain data, each number to its last digit."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

import validation.plain
from validation.references.recorded import RecordedLmerFit, RecordedStanFit

__all__ = [
    "components_from_json",
    "components_to_json",
    "frame_from_json",
    "frame_to_json",
    "lmer_from_json",
    "lmer_to_json",
    "number_from_json",
    "plain",
    "stan_from_json",
    "stan_to_json",
]


def plain(value: object) -> Any:
    """A value as JSON, as the files of references have it."""
    return validation.plain.plain(value, infinity="inf")


def number_from_json(value: Any) -> float:
    """A number: missing as null, infinities as strings."""
    if value is None:
        return math.nan
    if isinstance(value, str):
        return {"inf": math.inf, "-inf": -math.inf}[value]
    return float(value)


def _array(values: Any) -> np.ndarray:
    def convert(item: Any) -> Any:
        return [convert(part) for part in item] if isinstance(item, list) else number_from_json(item)

    return np.array(convert(values), dtype=float)


def _index(index: pd.Index) -> list[Any]:
    return [plain(label) for label in index.tolist()]


def frame_to_json(frame: pd.DataFrame) -> dict[str, Any]:
    """A table of numbers with its labels."""
    return {
        "columns": [str(name) for name in frame.columns],
        "index": _index(frame.index),
        "values": [plain(frame.iloc[:, j].tolist()) for j in range(frame.shape[1])],
    }


def frame_from_json(stored: Mapping[str, Any]) -> pd.DataFrame:
    """The table that :func:`frame_to_json` wrote."""
    index = pd.Index(stored["index"])
    columns = {name: _array(values) for name, values in zip(stored["columns"], stored["values"], strict=True)}
    return pd.DataFrame(columns, index=index, columns=stored["columns"])


def _series(series: pd.Series) -> dict[str, Any]:
    return {"index": _index(series.index), "values": plain(series.to_numpy(dtype=float))}


def _to_series(stored: Mapping[str, Any]) -> pd.Series:
    return pd.Series(_array(stored["values"]), index=pd.Index(stored["index"]), dtype=float)


# ---------------------------------------------------------------------------------------------------- fits


def components_to_json(frame: pd.DataFrame) -> list[list[Any]]:
    """``as.data.frame(VarCorr(m))``, row by row."""
    return [
        [None if not isinstance(value, str) and pd.isna(value) else plain(value) for value in row]
        for row in frame[["grp", "var1", "var2", "vcov", "sdcor"]].itertuples(index=False)
    ]


def components_from_json(stored: list[list[Any]]) -> pd.DataFrame:
    """The table that :func:`components_to_json` wrote."""
    columns = list(zip(*stored, strict=True))
    labels = {name: pd.Series(list(columns[j]), dtype=object) for j, name in enumerate(("grp", "var1", "var2"))}
    return pd.DataFrame(
        {
            **labels,
            "vcov": [number_from_json(v) for v in columns[3]],
            "sdcor": [number_from_json(v) for v in columns[4]],
        }
    )


def lmer_to_json(fit: RecordedLmerFit) -> dict[str, Any]:
    """A likelihood fit; of Z the values of each term's columns, for the factors say where they stand."""
    terms, start = [], 0
    Z = sp.csr_array(fit.Z)
    factors = list(map(str, fit.factors.columns))
    for name, effects in fit.effects.items():
        group = name if name in factors else max((g for g in factors if name.startswith(f"{g}.")), key=len)
        codes = fit.factors[group].cat.codes.to_numpy().astype(int)
        p = len(effects)
        columns = np.stack(
            [np.asarray(Z[np.arange(Z.shape[0]), start + codes * p + k]).ravel() for k in range(p)], axis=0
        )
        start += len(fit.factors[group].cat.categories) * p
        terms.append({"name": name, "group": group, "effects": list(effects), "columns": plain(columns)})
        if fit.structures is not None:
            structure, hom = fit.structures.iloc[len(terms) - 1][["structure", "hom"]]
            terms[-1] |= {"structure": str(structure), "hom": bool(hom)}
    stored = {
        "scalars": plain(fit.scalars),
        "groups": _series(fit.groups),
        "coefficients": frame_to_json(fit.coefficients),
        "covariance": frame_to_json(fit.covariance),
        "components": components_to_json(fit.components),
        "theta": _series(fit.theta),
        "lower": _series(fit.lower),
        **({} if fit.par is None else {"par": _series(fit.par)}),
        "modes": {group: frame_to_json(frame) for group, frame in fit.modes.items()},
        "mode_variances": {group: plain(array) for group, array in fit.mode_variances.items()},
        "factors": {
            str(group): {
                "levels": [str(level) for level in fit.factors[group].cat.categories],
                "codes": plain(fit.factors[group].cat.codes.to_numpy()),
            }
            for group in fit.factors.columns
        },
        "terms": terms,
        "X": frame_to_json(fit.X),
        "y": plain(fit.y.to_numpy(dtype=float)),
        "fitted": plain(fit.fits.to_numpy(dtype=float)),
        "points": [[name, plain(list(theta)), plain(value)] for name, theta, value in fit.points],
        "warnings": list(fit.warnings),
        "messages": list(fit.messages),
        "printed": fit.printed,
        "optimizer": plain(fit.optimizer),
    }
    rebuilt = _random_design(terms, stored["factors"], len(fit.y))
    if abs(rebuilt - fit.Z).max() != 0.0:
        raise ValueError("Z is not made of one level of each grouping factor a row; it cannot be recorded")
    return stored


def _random_design(terms: list[Any], factors: Mapping[str, Any], N: int) -> sp.csc_array:
    blocks = []
    for term in terms:
        factor = factors[term["group"]]
        codes = np.asarray(factor["codes"], dtype=int)
        columns = _array(term["columns"])
        p = columns.shape[0]
        block = sp.coo_array(
            (columns.T.ravel(), (np.repeat(np.arange(N), p), (codes[:, None] * p + np.arange(p)).ravel())),
            shape=(N, len(factor["levels"]) * p),
        )
        blocks.append(block)
    return sp.csc_array(sp.hstack(blocks, format="csc"))


def _structures(terms: list[Any]) -> pd.DataFrame | None:
    """The terms' covariance structures; None where all are free."""
    if not any("structure" in term for term in terms):
        return None
    columns = {name: [term[name] for term in terms] for name in ("structure", "hom")}
    sizes = [len(term["effects"]) for term in terms]
    return pd.DataFrame({**columns, "nc": sizes}, index=[term["name"] for term in terms])


def lmer_from_json(stored: Mapping[str, Any], header: Mapping[str, Any]) -> RecordedLmerFit:
    """The fit that :func:`lmer_to_json` wrote."""
    X = frame_from_json(stored["X"])
    factors = pd.DataFrame(
        {
            group: pd.Categorical.from_codes(factor["codes"], categories=factor["levels"])
            for group, factor in stored["factors"].items()
        },
        index=X.index,
    )
    return RecordedLmerFit(
        formula=header["formula"],
        reml=bool(header["reml"]),
        scalars={name: number_from_json(value) for name, value in stored["scalars"].items()},
        groups=_to_series(stored["groups"]).astype("int64"),
        coefficients=frame_from_json(stored["coefficients"]),
        covariance=frame_from_json(stored["covariance"]),
        components=components_from_json(stored["components"]),
        theta=_to_series(stored["theta"]),
        lower=_to_series(stored["lower"]),
        par=_to_series(stored["par"]) if "par" in stored else None,
        structures=_structures(stored["terms"]),
        modes={group: frame_from_json(frame) for group, frame in stored["modes"].items()},
        mode_variances={group: _array(array) for group, array in stored["mode_variances"].items()},
        effects={term["name"]: list(term["effects"]) for term in stored["terms"]},
        factors=factors,
        X=X,
        Z=_random_design(stored["terms"], stored["factors"], len(X)),
        y=pd.Series(_array(stored["y"]), index=X.index),
        fits=pd.Series(_array(stored["fitted"]), index=X.index),
        points=tuple(
            (name, tuple(map(number_from_json, theta)), number_from_json(value))
            for name, theta, value in stored["points"]
        ),
        warnings=tuple(stored["warnings"]),
        messages=tuple(stored["messages"]),
        printed=stored["printed"],
        optimizer=stored["optimizer"],
        provenance=header["provenance"],
    )


def stan_to_json(fit: RecordedStanFit) -> dict[str, Any]:
    """A posterior: its summaries and its draws."""
    return {
        "table": frame_to_json(fit.table),
        "draws": frame_to_json(fit.draws),
        "points": plain(fit.points),
        "log_density": plain(fit.log_density),
        "divergences": fit.divergences,
        "observations": fit.observations,
        "warnings": list(fit.warnings),
        "messages": list(fit.messages),
        "printed": fit.printed,
        "priors": fit.priors,
    }


def stan_from_json(stored: Mapping[str, Any], header: Mapping[str, Any]) -> RecordedStanFit:
    """The posterior that :func:`stan_to_json` wrote."""
    table = frame_from_json(stored["table"])
    table.index = table.index.astype(object).map(str).rename("parameter")
    return RecordedStanFit(
        formula=header["formula"],
        table=table,
        draws=frame_from_json(stored["draws"]),
        points=np.ascontiguousarray(_array(stored["points"])),
        log_density=_array(stored["log_density"]),
        divergences=int(stored["divergences"]),
        observations=int(stored["observations"]),
        warnings=tuple(stored["warnings"]),
        messages=tuple(stored["messages"]),
        printed=stored["printed"],
        priors=stored["priors"],
        provenance=header["provenance"],
    )
