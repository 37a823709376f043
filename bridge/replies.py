"""What R's replies hold, as pandas and scipy: vectors, matrices, factors, tables, text.

``r_scripts/handles.R`` and its neighbours describe R's objects in plain pieces; here they become what users get.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import pandas as pd

from bridge.frames import TEXT
from r_scripts.escapes import visible
from r_scripts.printed import printed_html

if TYPE_CHECKING:
    import scipy.sparse
    from numpy.typing import ArrayLike, DTypeLike

__all__ = ["Printed", "factors", "frame", "labels", "series", "sparse", "table", "term_names", "terms", "varcorr"]


class NamedVector(TypedDict):
    """A vector with names."""

    values: "ArrayLike"
    names: Sequence[str]


class NamedMatrix(TypedDict):
    """A matrix with dimnames."""

    values: "ArrayLike"
    rows: Sequence[str]
    columns: Sequence[str]


class SparseMatrix(TypedDict):
    """A ``dgCMatrix``."""

    shape: Sequence[int]
    values: "ArrayLike"
    indices: np.ndarray
    pointers: np.ndarray


class FactorCodes(TypedDict):
    """A factor: codes from 1, and levels."""

    codes: "ArrayLike"
    levels: Sequence[str]


class Factors(TypedDict):
    """Grouping factors, and their names."""

    groups: Sequence[str]
    factors: Sequence[FactorCodes]


class Table(TypedDict):
    """A data frame, and what R prints of it."""

    names: Sequence[str]
    columns: Sequence[np.ndarray | Sequence[str]]
    rows: Sequence[str]
    text: str


class VarianceComponents(TypedDict):
    """``as.data.frame(VarCorr(m))``."""

    grp: Sequence[str]
    var1: Sequence[str | None]
    var2: Sequence[str | None]
    vcov: "ArrayLike"
    sdcor: "ArrayLike"


class TermEffects(TypedDict):
    """``cnms``: each term's grouping factor and effects."""

    groups: Sequence[str]
    effects: Sequence[Sequence[str]]


class Printed(str):
    """Text as R prints it; shows itself as it is, in the console and in a notebook.

    R's ``cat`` leaves control characters in names as they are; here they are written out.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> "Printed":
        """Make one of R's text."""
        return super().__new__(cls, visible(text))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return printed_html(self)


def labels(names: Sequence[str]) -> pd.Index:
    """Return R's names as an index of strings."""
    return pd.Index(list(names), dtype=TEXT)


def series(vector: "NamedVector", dtype: "DTypeLike" = np.float64) -> pd.Series:
    """Return a named vector."""
    return pd.Series(np.array(vector["values"], dtype=dtype), index=labels(vector["names"]))


def frame(matrix: "NamedMatrix", index: pd.Index | None = None) -> pd.DataFrame:
    """Return a matrix with its dimnames, or with the rows' labels given."""
    values = np.asarray(matrix["values"], dtype=np.float64)
    rows = labels(matrix["rows"]) if index is None else index
    columns = labels(matrix["columns"])
    if not values.size:  # a model without fixed effects: R drops the dimensions of what is empty
        values = np.empty((len(rows), len(columns)))
    return pd.DataFrame(values.reshape(len(rows), len(columns)).copy(), index=rows, columns=columns)


def sparse(described: "SparseMatrix") -> "scipy.sparse.csc_array":
    """Return a ``dgCMatrix``."""
    from scipy.sparse import csc_array

    rows, columns = (int(extent) for extent in described["shape"])
    return csc_array(
        (np.asarray(described["values"], dtype=np.float64), described["indices"], described["pointers"]),
        shape=(rows, columns),
    )


def factors(described: "Factors", index: pd.Index) -> pd.DataFrame:
    """Return the grouping factors, rows used × factors."""
    columns = {
        group: pd.Categorical.from_codes(np.asarray(f["codes"], dtype=np.intp) - 1, categories=labels(f["levels"]))
        for group, f in zip(described["groups"], described["factors"], strict=True)
    }
    return pd.DataFrame(columns, index=index)


def table(described: "Table") -> pd.DataFrame:
    """Return a data frame of R's; ``attrs["text"]`` is what R prints of it."""
    columns = {
        name: np.array(values, dtype=np.float64) if isinstance(values, np.ndarray) else pd.array(values, dtype=TEXT)
        for name, values in zip(described["names"], described["columns"], strict=True)
    }
    result = pd.DataFrame(columns, index=labels(described["rows"]))
    result.attrs["text"] = described["text"]
    return result


def term_names(groups: Sequence[str]) -> list[str]:
    """Make the names of terms unique as R prints them: ``school``, ``school.1``."""
    seen: dict[str, int] = {}
    names = []
    for group in groups:
        count = seen.get(group, 0)
        seen[group] = count + 1
        names.append(group if count == 0 else f"{group}.{count}")
    return names


def varcorr(described: "VarianceComponents") -> pd.DataFrame:
    """Return ``as.data.frame(VarCorr(m))``."""
    return pd.DataFrame(
        {
            "grp": pd.array(described["grp"], dtype=TEXT),
            "var1": pd.array(described["var1"], dtype=TEXT),
            "var2": pd.array(described["var2"], dtype=TEXT),
            "vcov": np.asarray(described["vcov"], dtype=np.float64),
            "sdcor": np.asarray(described["sdcor"], dtype=np.float64),
        }
    )


def terms(cnms: "TermEffects") -> dict[str, list[str]]:
    """Return ``cnms``: term → effects, in R's order."""
    return dict(zip(term_names(cnms["groups"]), map(list, cnms["effects"]), strict=True))
