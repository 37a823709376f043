"""Responses that the formula transforms, ``log(y) ~ ...``: the scale of marginal means, and the way back from it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pyimpl.formula.parse import Call, Name, Node, Num
from pyimpl.text.numbers import as_character

__all__ = ["Transformation", "on_the_response", "quotients", "transformation_of"]


@dataclass(frozen=True, eq=False)
class Transformation:
    """A function of the response that emmeans knows the inverse of.

    Attributes
    ----------
    name : str
        ``"log"``, ``"log2"``, ``"log10"``, ``"log1p"``, ``"sqrt"``.
    offset : float
        What is added to the response first.
    """

    name: str
    offset: float = 0.0

    @property
    def shown(self) -> str:
        """What emmeans calls the scale."""
        return self.name if self.offset == 0 else f"{self.name}(mu + {as_character(self.offset)})"

    @property
    def makes_ratios(self) -> bool:
        """Whether differences on this scale are ratios on that of the response."""
        return self.name in ("log", "log2", "log10")

    def without_offset(self) -> "Transformation":
        """The scale of differences."""
        return replace(self, offset=0.0)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Values on the scale of the response."""
        return np.asarray(_INVERSES[self.name][0](values) - self.offset)

    def slope(self, values: np.ndarray) -> np.ndarray:
        """Derivative of :meth:`inverse`, for standard errors by the delta method."""
        return np.asarray(_INVERSES[self.name][1](values))


_INVERSES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "log": (np.exp, np.exp),
    "log2": (np.exp2, lambda x: math.log(2) * np.exp2(x)),
    "log10": (lambda x: 10.0**x, lambda x: math.log(10) * 10.0**x),
    "log1p": (np.expm1, np.exp),
    "sqrt": (np.square, lambda x: 2 * x),
}


def transformation_of(response: Node) -> Transformation | None:
    """The transformation of a response, ``log(y)``, ``sqrt(y)``, ``log(y + 1)``; None where there is none known."""
    if not (isinstance(response, Call) and response.fn in _INVERSES and len(response.args) == 1):
        return None
    (inside,) = response.args
    if isinstance(inside, Name):
        return Transformation(response.fn)
    if isinstance(inside, Call) and inside.fn == "+" and len(inside.args) == 2:
        one, other = inside.args
        if isinstance(one, Name) and isinstance(other, Num):
            return Transformation(response.fn, float(other.value))
        if isinstance(one, Num) and isinstance(other, Name):
            return Transformation(response.fn, float(one.value))
    return None


def on_the_response(table: pd.DataFrame, back: Transformation, estimate: str, name: str) -> pd.DataFrame:
    """A table of estimates with them and their intervals back-transformed; standard errors by the delta method.

    Parameters
    ----------
    table : DataFrame
    back : Transformation
    estimate, name : str
        The column of estimates, and what it is called then: of ``"ratio"`` labels are quotients.
    """
    out = table.copy()
    value = out[estimate].to_numpy(dtype=float)
    if "SE" in out:
        out["SE"] = np.abs(back.slope(value)) * out["SE"]
    for column in (estimate, "lower.CL", "upper.CL", "asymp.LCL", "asymp.UCL"):
        if column in out:
            out[column] = back.inverse(out[column].to_numpy(dtype=float))
    if name == "ratio":
        out = quotients(out, [str(column) for column in out.columns[: out.columns.get_loc(estimate)]])
    return out.rename(columns={estimate: name})


def quotients(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """A table whose labels of differences, ``a - b``, are those of quotients, ``a / b``, in these columns."""
    out = table.copy()
    for name in names:
        labels = [str(one).replace(" - ", " / ") for one in out[name]]
        if labels != [str(one) for one in out[name]]:
            out[name] = pd.Categorical(labels, categories=list(dict.fromkeys(labels)))
    return out
