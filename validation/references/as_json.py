"""Recorded fits as JSON and back: plain data, each number to its last digit.

A field is written and read by its type. What is read is written again and compared with what was found
(:mod:`validation.references.store`): so a text in place of a number, or half a count, need not be looked for here.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd
import scipy.sparse as sp

import validation.plain
from validation.algebra import pieces_of
from validation.references.recorded import RecordedLmerFit, RecordedStanFit, ReportedFit

#: A value as JSON, as the files of references have it.
plain = partial(validation.plain.plain, infinity="inf")


def _index(values: list[Any]) -> pd.Index:
    """Labels: all of them texts, or all of them whole numbers."""
    if {type(value) for value in values} not in ({str}, {int}, set()):
        raise ValueError("labels are neither all texts nor all whole numbers")
    return pd.Index(values)


def _array(values: Any) -> np.ndarray:
    return np.array(values, dtype=float)  # null becomes NaN, "inf" infinite


def _numbers(values: Any) -> Any:
    return plain(np.asarray(values, dtype=float))


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    columns = [_numbers(frame.iloc[:, j]) for j in range(frame.shape[1])]
    return {"columns": list(map(str, frame.columns)), "index": plain(frame.index), "values": columns}


def _to_table(stored: Mapping[str, Any]) -> pd.DataFrame:
    columns = {name: _array(values) for name, values in zip(stored["columns"], stored["values"], strict=True)}
    return pd.DataFrame(columns, index=_index(stored["index"]), columns=list(columns))


def _series(series: pd.Series) -> dict[str, Any]:
    return {"index": plain(series.index), "values": _numbers(series)}


def _to_series(stored: Mapping[str, Any]) -> pd.Series:
    return pd.Series(_array(stored["values"]), index=_index(stored["index"]), dtype=float)


_COMPONENTS = ["grp", "var1", "var2", "vcov", "sdcor"]


def _components(frame: pd.DataFrame) -> Any:
    """``as.data.frame(VarCorr(m))``, row by row."""
    return plain(list(frame[_COMPONENTS].itertuples(index=False, name=None)))


def components_from_json(stored: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """``as.data.frame(VarCorr(m))`` of its rows."""
    frame = pd.DataFrame(list(map(list, stored)), columns=_COMPONENTS, dtype=object)
    return frame.astype({"vcov": float, "sdcor": float})


#: How a value of a type is written, and how it is read.
_CODECS: dict[object, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    pd.DataFrame: (_table, _to_table),
    pd.Series: (_series, _to_series),
    np.ndarray: (_numbers, _array),
    float: (plain, lambda stored: float(_array(stored))),
    int: (int, int),
    str: (str, str),
    object: (plain, lambda stored: stored),
    "components": (_components, components_from_json),
}
_WRITE, _READ = 0, 1

#: Fields that stand in the file's header or term by term, or are never stored.
_ELSEWHERE = {"formula", "reml", "provenance", "effects", "factors", "Z", "structures"}
_ELSEWHERE |= {"objective", "tests", "predictor"}
#: Fields that are written otherwise than their types say: rows, and numbers whose labels are those of X.
_OTHERWISE = {"components": "components", "y": np.ndarray, "fits": np.ndarray}


def _kinds(fit: type) -> dict[str, Any]:
    """The fields of a fit that are stored, with their types."""
    return {name: _OTHERWISE.get(name, kind) for name, kind in get_type_hints(fit).items() if name not in _ELSEWHERE}


def _coded(kind: Any, value: Any, way: int) -> Any:
    """A value of a type written or read: of a mapping and of a tuple each part."""
    inner = get_args(kind)
    if get_origin(kind) is Mapping:
        return {name: _coded(inner[1], part, way) for name, part in value.items()}
    if get_origin(kind) is tuple:
        kinds = [inner[0]] * len(value) if ... in inner else inner
        return tuple(_coded(one, part, way) for one, part in zip(kinds, value, strict=True))
    return _CODECS[inner[0] if inner else kind][way](value)


def _key(name: str) -> str:
    """A field's name in the file."""
    return "fitted" if name == "fits" else name


def _read(fit: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a fit; one that it need not have may be missing."""
    return {
        name: _coded(kind, stored[_key(name)], _READ)
        for name, kind in _kinds(fit).items()
        if _key(name) in stored or type(None) not in get_args(kind)
    }


def to_json(fit: ReportedFit | RecordedStanFit) -> dict[str, Any]:
    """A recorded fit as JSON: of lme4 tight or by default, or a posterior."""
    found = {name: (kind, getattr(fit, name)) for name, kind in _kinds(type(fit)).items()}
    written = {_key(name): _coded(*one, _WRITE) for name, one in found.items() if one[1] is not None}
    if isinstance(fit, RecordedLmerFit):
        return {**written, **_random_terms(fit)}
    return written if isinstance(fit, RecordedStanFit) else written.pop("scalars") | written


def _random_terms(fit: RecordedLmerFit) -> dict[str, Any]:
    """The factors and terms; of Z the values of each term's columns, for the factors say where they stand."""
    terms, start = [], 0
    Z, rows = sp.csr_array(fit.Z), np.arange(len(fit.y))[:, None]
    factors = {str(group): factor.cat for group, factor in fit.factors.items()}
    for term in pieces_of(fit).terms:
        codes = factors[term.group].codes.to_numpy().astype(int)
        columns = Z[rows, start + codes[:, None] * term.p + np.arange(term.p)].toarray().T
        start += term.J * term.p
        known = {"name": term.name, "group": term.group, "effects": list(term.effects), "columns": plain(columns)}
        structure = {} if fit.structures is None else {"structure": term.structure.name, "hom": term.structure.hom}
        terms.append(known | structure)
    coded = {
        group: {"levels": list(map(str, factor.categories)), "codes": plain(factor.codes)}
        for group, factor in factors.items()
    }
    if abs(_random_design(terms, coded, len(fit.y)) - fit.Z).max() != 0.0:
        raise ValueError("Z is not made of one level of each grouping factor a row; it cannot be recorded")
    return {"factors": coded, "terms": terms}


def _random_design(terms: list[Any], factors: Mapping[str, Any], N: int) -> sp.csc_array:
    blocks = []
    for term in terms:
        factor, columns = factors[term["group"]], _array(term["columns"])
        p = len(columns)
        places = np.array(factor["codes"], dtype=int) * p + np.arange(p)[:, None]
        rows = np.broadcast_to(np.arange(N), places.shape)
        shape = N, len(factor["levels"]) * p
        blocks.append(sp.coo_array((columns.ravel(), (rows.ravel(), places.ravel())), shape=shape))
    return sp.csc_array(sp.hstack(blocks, format="csc"))


def _structures(terms: list[Any]) -> pd.DataFrame | None:
    """The terms' covariance structures; None where all are free."""
    if not any("structure" in term for term in terms):
        return None
    columns = {name: [term[name] for term in terms] for name in ("structure", "hom")}
    sizes = [len(term["effects"]) for term in terms]
    return pd.DataFrame({**columns, "nc": sizes}, index=[term["name"] for term in terms])


def lmer_from_json(stored: Mapping[str, Any], header: Mapping[str, Any]) -> RecordedLmerFit:
    """The likelihood fit that was written, of a file with this header."""
    found = _read(RecordedLmerFit, stored)
    rows = found["X"].index
    factors = {
        group: pd.Categorical.from_codes(
            np.array(factor["codes"], dtype=np.int64), categories=pd.Index(map(str, factor["levels"]))
        )
        for group, factor in stored["factors"].items()
    }
    labelled = {name: pd.Series(found[name], index=rows) for name in ("y", "fits")}
    return RecordedLmerFit(
        **found | labelled | {"groups": found["groups"].astype("int64")},
        formula=header["formula"],
        reml=bool(header["reml"]),
        structures=_structures(stored["terms"]),
        effects={term["name"]: list(map(str, term["effects"])) for term in stored["terms"]},
        factors=pd.DataFrame(factors, index=rows),
        Z=_random_design(stored["terms"], stored["factors"], len(rows)),
        provenance=header["provenance"],
    )


def stan_from_json(stored: Mapping[str, Any], header: Mapping[str, Any]) -> RecordedStanFit:
    """The posterior that was written."""
    return RecordedStanFit(formula=header["formula"], provenance=header["provenance"], **_read(RecordedStanFit, stored))


def default_from_json(stored: Mapping[str, Any]) -> ReportedFit:
    """What lme4 reports with its default optimizer, as it was written."""
    return ReportedFit(**_read(ReportedFit, {**stored, "scalars": {"logLik": stored["logLik"]}}))
