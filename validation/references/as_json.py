"""Recorded fits as JSON and back: plain data, each number to its last digit.

What is read is written again and compared with what was found (:mod:`validation.references.store`): so a text in place
of a number, or half a count, need not be looked for here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

import validation.plain
from validation.references.recorded import RecordedLmerFit, RecordedStanFit, ReportedFit


def plain(value: object) -> Any:
    """A value as JSON, as the files of references have it."""
    return validation.plain.plain(value, infinity="inf")


def _index(values: list[Any]) -> pd.Index:
    """Labels: all of them texts, or all of them whole numbers."""
    if {type(value) for value in values} not in ({str}, {int}, set()):
        raise ValueError("labels are neither all texts nor all whole numbers")
    return pd.Index(values)


def _array(values: Any) -> np.ndarray:
    return np.array(values, dtype=float)  # null becomes NaN, "inf" infinite


def _number(value: Any) -> float:
    return float(_array(value))


def frame_to_json(frame: pd.DataFrame) -> dict[str, Any]:
    """A table of numbers with its labels."""
    return {
        "columns": [str(name) for name in frame.columns],
        "index": plain(frame.index),
        "values": [plain(frame.iloc[:, j].tolist()) for j in range(frame.shape[1])],
    }


def frame_from_json(stored: Mapping[str, Any]) -> pd.DataFrame:
    """The table that :func:`frame_to_json` wrote."""
    columns = {name: _array(values) for name, values in zip(stored["columns"], stored["values"], strict=True)}
    return pd.DataFrame(columns, index=_index(stored["index"]), columns=list(columns))


def _series(series: pd.Series) -> dict[str, Any]:
    return {"index": plain(series.index), "values": plain(series.to_numpy(dtype=float))}


def _to_series(stored: Mapping[str, Any]) -> pd.Series:
    return pd.Series(_array(stored["values"]), index=_index(stored["index"]), dtype=float)


# ---------------------------------------------------------------------------------------------------- fits


_COMPONENTS = ["grp", "var1", "var2", "vcov", "sdcor"]


def components_to_json(frame: pd.DataFrame) -> list[list[Any]]:
    """``as.data.frame(VarCorr(m))``, row by row."""
    rows: list[list[Any]] = plain(list(frame[_COMPONENTS].itertuples(index=False, name=None)))
    return rows


def components_from_json(stored: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """The table that :func:`components_to_json` wrote."""
    frame = pd.DataFrame(list(map(list, stored)), columns=_COMPONENTS, dtype=object)
    return frame.astype({"vcov": float, "sdcor": float})


#: How a field of a fit is written and read.
_Codec = tuple[Callable[[Any], Any], Callable[[Any], Any]]
_SERIES: _Codec = (_series, _to_series)
_TABLE: _Codec = (frame_to_json, frame_from_json)
_VECTOR: _Codec = (lambda values: plain(np.asarray(values, dtype=float)), _array)
_TEXT: _Codec = (str, str)
_TEXTS: _Codec = (list, lambda stored: tuple(map(str, stored)))


def _by_group(codec: _Codec) -> _Codec:
    write, read = codec
    return (
        lambda found: {group: write(one) for group, one in found.items()},
        lambda stored: {group: read(one) for group, one in stored.items()},
    )


#: Field of a likelihood fit -> its codec; the factors and Z are written term by term.
_LMER: dict[str, _Codec] = {
    "scalars": (plain, lambda stored: {name: _number(value) for name, value in stored.items()}),
    "groups": (_series, lambda stored: _to_series(stored).astype("int64")),
    "components": (components_to_json, components_from_json),
    "modes": _by_group(_TABLE),
    "mode_variances": _by_group((plain, _array)),
    "points": (plain, lambda stored: tuple(map(_point, stored))),
    "optimizer": (plain, lambda stored: stored),
    "printed": _TEXT,
    **dict.fromkeys(("coefficients", "covariance", "X"), _TABLE),
    **dict.fromkeys(("theta", "lower", "par"), _SERIES),
    **dict.fromkeys(("y", "fits", "weights", "offset"), _VECTOR),
    **dict.fromkeys(("warnings", "messages"), _TEXTS),
}

#: What of it is recorded of default lme4, too.
_REPORTED = {name: _LMER[name] for name in ("coefficients", "components", "printed")}

#: The same of a posterior.
_STAN: dict[str, _Codec] = {
    "table": (frame_to_json, lambda stored: _by_parameter(frame_from_json(stored))),
    "draws": _TABLE,
    "points": (plain, lambda stored: np.ascontiguousarray(_array(stored))),
    "log_density": _VECTOR,
    **dict.fromkeys(("divergences", "observations"), (int, int)),
    **dict.fromkeys(("warnings", "messages"), _TEXTS),
    **dict.fromkeys(("printed", "priors"), _TEXT),
}


def _point(stored: Any) -> tuple[str, tuple[float, ...], float]:
    name, theta, value = stored
    return str(name), tuple(_array(theta).tolist()), _number(value)


def _by_parameter(table: pd.DataFrame) -> pd.DataFrame:
    table.index = table.index.astype(object).map(str).rename("parameter")
    return table


def _key(name: str) -> str:
    """A field's name in the file."""
    return "fitted" if name == "fits" else name


def _written(fit: object, layout: Mapping[str, _Codec]) -> dict[str, Any]:
    values = {name: getattr(fit, name) for name in layout}
    return {_key(name): layout[name][0](value) for name, value in values.items() if value is not None}


def _read(stored: Mapping[str, Any], layout: Mapping[str, _Codec]) -> dict[str, Any]:
    """The fields of a fit; what is missing is found where the fit is checked (:mod:`validation.references.whole`)."""
    left_out = {"par", "weights", "offset"} - stored.keys()
    return {name: read(stored[_key(name)]) for name, (_, read) in layout.items() if name not in left_out}


def _random_terms(fit: RecordedLmerFit) -> dict[str, Any]:
    """The factors and terms; of Z the values of each term's columns, for the factors say where they stand."""
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
    coded = {
        str(group): {
            "levels": [str(level) for level in fit.factors[group].cat.categories],
            "codes": plain(fit.factors[group].cat.codes.to_numpy()),
        }
        for group in fit.factors.columns
    }
    if abs(_random_design(terms, coded, len(fit.y)) - fit.Z).max() != 0.0:
        raise ValueError("Z is not made of one level of each grouping factor a row; it cannot be recorded")
    return {"factors": coded, "terms": terms}


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


def to_json(fit: ReportedFit | RecordedStanFit) -> dict[str, Any]:
    """A recorded fit as JSON: of lme4 tight or by default, or a posterior."""
    if isinstance(fit, RecordedStanFit):
        return _written(fit, _STAN)
    if isinstance(fit, RecordedLmerFit):
        return {**_written(fit, _LMER), **_random_terms(fit)}
    return {**_written(fit, _REPORTED), "logLik": plain(fit.logLik())}


def lmer_from_json(stored: Mapping[str, Any], header: Mapping[str, Any]) -> RecordedLmerFit:
    """The likelihood fit that was written, of a file with this header."""
    found = _read(stored, _LMER)
    rows = found["X"].index
    for name in ("y", "fits"):
        found[name] = pd.Series(found[name], index=rows)
    factors = {
        group: pd.Categorical.from_codes(
            np.array(factor["codes"], dtype=np.int64), categories=pd.Index(map(str, factor["levels"]))
        )
        for group, factor in stored["factors"].items()
    }
    return RecordedLmerFit(
        formula=header["formula"],
        reml=bool(header["reml"]),
        structures=_structures(stored["terms"]),
        effects={term["name"]: list(map(str, term["effects"])) for term in stored["terms"]},
        factors=pd.DataFrame(factors, index=rows),
        Z=_random_design(stored["terms"], stored["factors"], len(rows)),
        provenance=header["provenance"],
        **found,
    )


def stan_from_json(stored: Mapping[str, Any], header: Mapping[str, Any]) -> RecordedStanFit:
    """The posterior that was written."""
    return RecordedStanFit(formula=header["formula"], provenance=header["provenance"], **_read(stored, _STAN))


def default_from_json(stored: Mapping[str, Any]) -> ReportedFit:
    """What lme4 reports with its default optimizer, as it was written."""
    return ReportedFit(scalars={"logLik": _number(stored["logLik"])}, **_read(stored, _REPORTED))
