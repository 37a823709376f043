"""What ``poly``, ``scale``, ``bs`` and ``ns`` remember for new data: R's ``makepredictcall``, with all that it forgets.

R remembers the basis of a call that is itself a variable of the model: ``poly(x, 2)``, ``scale(x)``. One inside another
call, as in ``log(scale(x) + 5)``, is evaluated anew on new data. And it reads the basis from attributes of the value,
which arithmetic keeps, so that an inner call's may be taken for the outer's.
"""

import math

import numpy as np

from pyimpl.errors import DataError, FormulaError
from pyimpl.formula.parse import Call, Node, Num, deparse
from pyimpl.frame.column_types import NO_BASIS, Basis, Column, Numeric, PolynomialCoefs
from pyimpl.frame.summaries import mean
from pyimpl.linalg.dqrdc2 import dqrdc2

__all__ = [
    "column_mean",
    "exponents",
    "kept_attributes",
    "poly_at",
    "poly_fit",
    "remembered_basis",
    "root_mean_square",
    "scale_call",
]


def remembered_basis(node: Node, column: Column) -> Basis | None:
    """Return what new data are evaluated with, where this is a variable of a model (``makepredictcall``)."""
    basis = column.basis if isinstance(column, Numeric) else NO_BASIS
    if not isinstance(node, Call) or basis is NO_BASIS:
        return None
    # the method is that of the value's class, and knows calls of its own function alone: scale(poly(x, 2)) is not
    # remembered
    if node.fn == "poly":
        return None if basis.coefs is None else Basis(coefs=basis.coefs)
    if node.fn in ("bs", "ns"):
        return Basis(spline=basis.spline, maker=node.fn) if basis.maker == node.fn else None
    if node.fn != "scale" or basis.maker or (basis.center is None and basis.scale is None):
        return None
    return Basis(basis.center, basis.scale)


def kept_attributes(left: Numeric, right: Numeric) -> Basis:
    """Attributes of a result of arithmetic: of the longer operand, or of both where they are as long."""
    if left.array.size != right.array.size:
        return left.basis if left.array.size > right.array.size else right.basis
    if right.basis is NO_BASIS:
        return left.basis
    return right.basis.under(left.basis)


def scale_call(node: Call, basis: Basis) -> Call:
    """Return a call of ``scale`` with the arguments that R gives it for new data: those of `basis`, by their names.

    The values stand in the basis; the call has 0 in their places.

    Raises
    ------
    DataError
        The call has one of them by position already, which R then has no place for.
    """
    args = list(node.args)
    names: list[str | None] = list(node.names or (None,) * len(args))
    for name, value in (("center", basis.center), ("scale", basis.scale)):
        if value is None:
            continue
        if name in names:
            args[names.index(name)] = Num(0.0)
        else:
            args.append(Num(0.0))
            names.append(name)
    if len(args) > 3 or any(name not in (None, "x", "center", "scale") for name in names):
        raise DataError(
            f"{deparse(node)} cannot be evaluated on new data: R gives it the remembered center and scale by name, and "
            f"has no place left for what stands there (unused argument). Name the arguments in full: "
            "scale(x, center = ..., scale = ...)."
        )
    return Call(node.fn, tuple(args), tuple(names), node.place)


def column_mean(values: np.ndarray) -> float:
    """R's ``colMeans(na.rm = TRUE)``: summed and divided in long double."""
    known = values[~np.isnan(values)].astype(np.longdouble)
    return float(known.sum() / len(known)) if len(known) else float("nan")


def root_mean_square(values: np.ndarray) -> float:
    """R's divisor of ``scale``: the root of the sum of squares over n - 1, missing values left out."""
    kept = values[~np.isnan(values)]
    return math.sqrt(float((kept**2).astype(np.longdouble).sum()) / max(1, len(kept) - 1))


def poly_fit(x: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R's ``poly``: orthogonal polynomials from the QR decomposition of the centred powers."""
    middle = mean(x)
    centred = x - middle
    powers = np.stack([centred**k for k in range(degree + 1)], axis=1)
    qr = dqrdc2(powers)
    if qr.rank < degree:
        raise FormulaError(f"poly(): 'degree' ({degree}) must be less than number of unique points.")
    z = qr.multiply_q(np.diag(np.diag(qr.R)))
    norm2 = (z**2).astype(np.longdouble).sum(axis=0).astype(np.float64)
    alpha = (centred[:, None] * z**2).astype(np.longdouble).sum(axis=0).astype(np.float64) / norm2 + middle
    return z[:, 1:] / np.sqrt(norm2[1:]), alpha[:degree], np.concatenate([[1.0], norm2])


def poly_at(x: np.ndarray, degree: int, coefs: PolynomialCoefs) -> np.ndarray:
    """Orthogonal polynomials of another fit at new values, shape (len(x), degree)."""
    alpha, norm2 = coefs
    z = np.ones((len(x), degree + 1))
    z[:, 1] = x - alpha[0]
    for i in range(2, degree + 1):
        z[:, i] = (x - alpha[i - 1]) * z[:, i - 1] - (norm2[i] / norm2[i - 1]) * z[:, i - 2]
    scaled: np.ndarray = z[:, 1:] / np.sqrt(norm2[2:])
    return scaled


def exponents(variables: int, degree: int) -> np.ndarray:
    """Exponents of the terms of a polynomial in several variables, up to a total degree; the first varies fastest.

    Shape (terms, variables), without the constant.
    """
    grid = np.stack(np.meshgrid(*[np.arange(degree + 1)] * variables, indexing="ij"), axis=-1)
    flat = grid.transpose(*range(variables)[::-1], variables).reshape(-1, variables)
    total = flat.sum(axis=1)
    kept: np.ndarray = flat[(total > 0) & (total <= degree)]
    return kept
