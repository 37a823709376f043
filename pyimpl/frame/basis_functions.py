"""Functions of a formula that remember a basis for new data: ``scale``, ``poly``, ``bs``, ``ns``.

Each takes what it remembered (:class:`~pyimpl.frame.column_types.Basis`) where R's ``predvars`` would evaluate it on
new data; inside another call nothing is remembered, as in R.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from pyimpl.errors import DataError, FormulaError
from pyimpl.formula.parse import Call, Node, Num, deparse
from pyimpl.frame.bases import column_mean, exponents, poly_at, poly_fit, root_mean_square, scale_call
from pyimpl.frame.column_types import Basis, PolynomialCoefs, Spline
from pyimpl.frame.columns import Factor, Logical, Numeric
from pyimpl.frame.expressions import Expressions
from pyimpl.frame.splines import b_spline_basis, beyond, inner_knots, moved_inside, natural_spline_basis
from r_scripts.dialect import CHANGES

__all__ = ["BASIS_FUNCTIONS", "BasisFunction"]


class BasisFunction(Protocol):
    """A function that remembers a basis: None where it is first evaluated."""

    def __call__(self, e: Expressions, node: Call, /, basis: Basis | None = None) -> Numeric:
        """Value of a call of it."""


def scaled(e: Expressions, node: Call, basis: Basis | None = None) -> Numeric:
    """``scale(x, center, scale)``; with a basis as R evaluates it on new data."""
    if basis is not None:
        node = scale_call(node, basis)
    bound = e.match(node, "x", "center", "scale")
    value = e.numbers(bound["x"], node)
    x = value.array if value.array.ndim == 2 else value.array[:, None]
    remembered = basis or Basis()
    center = _scale_setting(e, bound.get("center"), remembered.center, x.shape[1], "center", node)
    with np.errstate(all="ignore"):
        if center is True:
            center = np.array([column_mean(x[:, j]) for j in range(x.shape[1])])
        if isinstance(center, np.ndarray):
            x = x - center
        scale = _scale_setting(e, bound.get("scale"), remembered.scale, x.shape[1], "scale", node)
        if scale is True:
            scale = np.array([root_mean_square(x[:, j]) for j in range(x.shape[1])])
        if isinstance(scale, np.ndarray):
            x = x / scale
    own = Basis(center if isinstance(center, np.ndarray) else None, scale if isinstance(scale, np.ndarray) else None)
    return Numeric(x, names=value.names, basis=value.basis.under(own))


def _scale_setting(
    e: Expressions, node: Node | None, remembered: np.ndarray | None, width: int, name: str, caller: Node
) -> bool | np.ndarray:
    if remembered is not None:
        if len(remembered) == width:
            return remembered
        raise DataError(
            f"{deparse(caller)}: it has {width} columns in the new data and had {len(remembered)} when the model "
            "was fitted."
        )
    if node is None:
        return True
    value = e.value(node)
    if isinstance(value, Logical) and len(value) == 1:
        return e.flag(node, True, caller)
    if isinstance(value, Factor) or value.array.size != width:
        raise FormulaError(f"{deparse(caller)}: length of '{name}' must equal the number of columns of 'x' ({width}).")
    return value.array.ravel().astype(np.float64)


def polynomials(e: Expressions, node: Call, basis: Basis | None = None) -> Numeric:
    """``poly(x, ..., degree, raw, simple)``: orthogonal polynomials of one variable, products of them of several."""
    columns, matrix, settings = _polynomial_arguments(e, node, basis is None)
    degree = int(e.one_number(settings.get("degree", Num(1.0)), node))
    if degree < 1:
        raise FormulaError(f"{deparse(node)}: 'degree' must be at least 1.")
    raw = e.flag(settings.get("raw"), False, node)
    remembered = None if basis is None else basis.coefs
    if remembered is not None and (len(remembered) != len(columns) or (matrix and len(columns) == 1)):
        raise DataError(
            f"{deparse(node)} cannot be evaluated on new data: wrong number of columns in new data. R takes the value "
            "of scale() for a matrix, of which it does not remember the polynomials. Make it a column beforehand, or "
            "write poly() of the column itself, which is the same model."
        )
    made = [
        _powers(x, degree) if raw else _orthogonal(x, degree, None if remembered is None else remembered[i], node)
        for i, x in enumerate(columns)
    ]
    coefs = tuple(part for _, part in made if part is not None)
    own = Basis(coefs=None if raw or e.flag(settings.get("simple"), False, node) else coefs, maker="poly")
    if len(made) == 1:
        return Numeric(made[0][0], names=tuple(str(i + 1) for i in range(degree)), basis=own)
    terms = exponents(len(made), degree)
    product = np.ones((len(columns[0]), len(terms)))
    for (one, _), powers in zip(made, terms.T, strict=True):
        product *= np.column_stack([np.ones(len(one)), one])[:, powers]
    return Numeric(product, names=tuple(".".join(map(str, term)) for term in terms.tolist()), basis=own)


def _polynomial_arguments(e: Expressions, node: Call, first: bool) -> tuple[list[np.ndarray], bool, dict[str, Node]]:
    """Variables of ``poly``, whether they come as a matrix, and the named arguments."""
    variables: list[Node] = []
    settings: dict[str, Node] = {}
    for (label, arg), (name, _) in zip(node.named_args(), e.arguments(node), strict=True):
        if name in (None, "x"):
            variables.append(arg)
        elif name == "degree" and label is None and len(e.value(arg)) != 1:
            variables.append(arg)  # R takes a number alone for the degree
        else:
            settings[str(name)] = arg
    if not variables:
        raise FormulaError(f"{deparse(node)}: poly() needs a value.")
    if first and e.dialect.has("poly_needs_order"):
        _refuse_unordered(e, variables, node)
    parts = [_numbers_inside(e, variable, node) for variable in variables]
    matrix = any(part.ndim == 2 for part in parts)
    columns = [column for part in parts for column in (part.T if part.ndim == 2 else [part])]
    if len({len(column) for column in columns}) > 1:
        raise FormulaError(f"{deparse(node)}: arguments must have the same length. Name the degree: degree = ...")
    return columns, matrix, settings


def _refuse_unordered(e: Expressions, variables: list[Node], caller: Call) -> None:
    for variable in variables:
        given = e.value(variable)
        if isinstance(given, Factor) and not given.text and not given.ordered:
            raise DataError(
                f"{deparse(caller)}: poly() takes numbers, and {deparse(variable)} is a factor whose levels have no "
                f"order (R refuses it since {CHANGES['poly_needs_order'].since}). Give numbers, or make it ordered "
                "where its levels are equally far apart."
            )


def _numbers_inside(e: Expressions, node: Node, caller: Call) -> np.ndarray:
    """Numbers, or the codes of a factor: R takes whatever has numbers inside."""
    given = e.value(node)
    if isinstance(given, Factor) and not given.text:
        return np.where(given.codes >= 0, given.codes + 1.0, np.nan)
    return given.array if isinstance(given, Numeric) else e.numbers(node, caller).array


def _powers(x: np.ndarray, degree: int) -> tuple[np.ndarray, None]:
    return np.stack([x**power for power in range(1, degree + 1)], axis=1), None


def _orthogonal(
    x: np.ndarray, degree: int, remembered: PolynomialCoefs | None, node: Call
) -> tuple[np.ndarray, PolynomialCoefs]:
    if remembered is not None:
        return poly_at(x, degree, remembered), remembered
    if np.isnan(x).any():
        raise DataError(
            f"{deparse(node)}: missing values are not allowed in 'poly'. R evaluates it on all rows before any are "
            "left out: drop the rows with missing values from the data first."
        )
    if degree >= len(np.unique(x)):
        raise DataError(f"{deparse(node)}: 'degree' must be less than number of unique points ({len(np.unique(x))}).")
    with np.errstate(all="ignore"):
        z, alpha, norm2 = poly_fit(x, degree)
    if not np.isfinite(z).all():
        raise DataError(f"{deparse(node)}: the values are too large or infinite for polynomials. Rescale the column.")
    return z, (alpha, norm2)


def splines(e: Expressions, node: Call, basis: Basis | None = None) -> Numeric:
    """``bs(x, df, knots, degree, intercept, Boundary.knots)`` and ``ns`` (the same without ``degree``)."""
    natural = node.fn == "ns"
    bound = e.match(node, "x", "df", "knots", *([] if natural else ["degree"]), "intercept", "Boundary.knots")
    x = e.numbers(bound["x"], node).array
    if x.ndim == 2 and x.shape[1] == 1:
        x = x[:, 0]
    if x.ndim == 2:
        raise FormulaError(f"{deparse(node)}: splines of one column, not of a matrix. Write one for each column.")
    known = ~np.isnan(x)
    spline = None if basis is None else basis.spline
    if spline is None:
        spline = _spline(e, node, bound, x[known])
    if not natural and beyond(x[known], spline.boundary).any():
        e.note("some 'x' values beyond boundary knots may cause ill-conditioned bases", node)
    values = (natural_spline_basis if natural else b_spline_basis)(x[known], spline)
    out = np.full((len(x), values.shape[1]), np.nan)
    out[known] = values
    names = tuple(str(i + 1) for i in range(out.shape[1]))
    return Numeric(out, names=names, basis=Basis(spline=spline, maker=node.fn))


def _spline(e: Expressions, node: Call, bound: Mapping[str, Node], x: np.ndarray) -> Spline:
    """Knots of a spline that is first evaluated, by R's rules."""
    if not len(x) or not np.isfinite(x).all():
        raise DataError(f"{deparse(node)}: splines need finite values.")
    degree = int(e.one_number(bound["degree"], node)) if "degree" in bound else 3
    if degree < 1:
        raise FormulaError(f"{deparse(node)}: 'degree' must be integer >= 1.")
    intercept = e.flag(bound.get("intercept"), False, node)
    if "Boundary.knots" in bound:
        boundary = np.sort(e.numbers(bound["Boundary.knots"], node).array.ravel())
    else:
        boundary = np.array([x.min(), x.max()])
    if len(boundary) != 2 or not boundary[0] < boundary[1]:
        raise DataError(
            f"{deparse(node)}: two different boundary knots are needed; found "
            f"{' and '.join(f'{edge:g}' for edge in boundary)}."
        )
    given = e.numbers(bound["knots"], node).array.ravel() if "knots" in bound else None
    if given is not None:
        if not np.isfinite(given).all():
            raise FormulaError(f"{deparse(node)}: non-finite knots.")
        return Spline(degree, given, boundary, intercept)
    knots = np.empty(0)
    if "df" in bound:
        natural = node.fn == "ns"
        least = 1 + intercept if natural else degree + intercept
        count = int(e.one_number(bound["df"], node)) - least
        if count < 0:
            e.note(f"'df' was too small; have used {least}", node)
        if count > 0:
            inside = x[~beyond(x, boundary)]
            knots = _chosen_knots(e, node, inner_knots(inside, count), boundary)
    return Spline(degree, knots, boundary, intercept)


def _chosen_knots(e: Expressions, node: Call, knots: np.ndarray, boundary: np.ndarray) -> np.ndarray:
    """Move knots that quantiles put on a boundary knot inside, as R does since 4.3."""
    if not np.isin(boundary, knots).any() or not e.dialect.has("inner_knots_moved"):
        return knots
    moved = moved_inside(knots, boundary)
    if moved is None:
        raise DataError(
            f"{deparse(node)}: all interior knots match a boundary knot: too few distinct values for df. Give knots."
        )
    e.note("shoving 'interior' knots matching boundary knots to inside", node)
    return moved


#: Name -> function.
BASIS_FUNCTIONS: Mapping[str, BasisFunction] = {
    "scale": scaled,
    "poly": polynomials,
    "bs": splines,
    "ns": splines,
}
