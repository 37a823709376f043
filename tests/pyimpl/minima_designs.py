"""Random designs with several minima: random slopes without their fixed effects, and variances of very unlike size."""

import numpy as np
import pandas as pd

from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optimum import optimize
from pyimpl.likelihood.starts import natural_units


def _codes(rng, n, levels):
    """Levels of n rows: balanced, at random, or with long tails."""
    kind = rng.integers(3)
    if kind == 0:
        return np.arange(n) % levels
    if kind == 1:
        return rng.integers(0, levels, n)
    return np.minimum((levels * rng.random(n) ** 2).astype(int), levels - 1)


def _predictor(rng, n):
    """A column of one of several kinds: a few times, times far from 0, normal, skew, two values, in other units."""
    kind = rng.integers(6)
    if kind == 0:
        return rng.integers(0, 5, n).astype(float)
    if kind == 1:
        return rng.integers(0, 5, n) + float(rng.choice([3, 20]))
    if kind == 2:
        return rng.normal(size=n)
    if kind == 3:
        return rng.gamma(1.0, size=n)
    if kind == 4:
        return rng.integers(0, 2, n).astype(float)
    return rng.normal(size=n) * 10.0 ** rng.integers(-4, 5)


def _effects(rng, x, codes, scale):
    """Slopes of unlike sizes with correlated deviations, on columns x (n, p)."""
    p, levels = x.shape[1], codes.max() + 1
    L = np.tril(rng.normal(size=(p, p))) * rng.choice([0.1, 0.5, 1.0, 3.0])
    slopes = scale * rng.normal(size=(levels, p)) @ L.T
    return np.einsum("ij,ij->i", x / np.sqrt(np.mean(x**2, axis=0)), slopes[codes])


#: Random parts, and the columns whose fixed effects some of the fixed parts lack.
_RANDOM = (
    "(t | g)", "(t | g)", "(t | g)", "(t || g)", "(0 + t | g)", "(t + u | g)", "(t | g) + (1 | h)", "(t | g) + (t | h)",
    "(t | g) + (u | h)", "(t | g) + (0 + u | g)", "(t | g) + (1 | g:h)", "(f | g)", "(0 + f | g)", "(f | g) + (1 | h)",
    "(t + u | g) + (1 | h)", "(t | g) + (t | k)",
)  # fmt: skip
_FIXED = ("1", "1", "1", "u", "0", "f", "0 + u")

_UNLIKE = ("(t | g)", "(t | g) + (1 | h)", "(1 | g) + (1 | h)", "(t || g)", "(t | g) + (t | h)")


def left_out(rng):
    """A model that lacks the fixed effects of random slopes: formula, data, REML, weights."""
    levels = int(rng.choice([6, 10, 30, 100]))
    n = max(12, int(levels * rng.choice([2, 3, 5, 10])))
    t, u = _predictor(rng, n), _predictor(rng, n)
    g, h = _codes(rng, n, levels), _codes(rng, n, int(rng.choice([4, 8, 20])))
    f = rng.integers(0, 3, n)
    s = 10.0 ** rng.uniform(-3, 0.5)
    one = np.ones(n)
    dummies = (f[:, None] == np.arange(3)).astype(float) + 1e-300
    y = 10 * rng.normal() + rng.choice([-1, 1]) * t / np.sqrt(np.mean(t**2))
    y += rng.choice([0, 1]) * u / np.sqrt(np.mean(u**2)) + rng.choice([0, 1]) * np.array([0, 1, -0.5])[f]
    y += _effects(rng, np.column_stack([one, t]), g, s) + rng.choice([0, 1]) * _effects(rng, one[:, None], h, s)
    y += rng.choice([0, 1]) * _effects(rng, dummies, g, s) + rng.choice([0, 1]) * _effects(rng, u[:, None], h, s)
    data = pd.DataFrame({"y": y + s * rng.normal(size=n), "t": t, "u": u})
    data["f"] = pd.Categorical(np.array(list("abc"))[f])
    for name, codes in (("g", g), ("h", h), ("k", g // 3)):
        data[name] = pd.Categorical([f"{name}{code}" for code in codes])
    formula = f"y ~ {_FIXED[rng.integers(len(_FIXED))]} + {_RANDOM[rng.integers(len(_RANDOM))]}"
    weights = 10.0 ** rng.uniform(-1, 1, n) if rng.random() < 0.2 else None
    return formula, data, bool(rng.integers(2)), weights


def unlike_sizes(rng):
    """A model whose random effects have standard deviations up to 10⁵ σ, perhaps confounded or wrongly offset."""
    levels = int(rng.choice([5, 10, 30]))
    n = int(levels * rng.choice([3, 5, 10]))
    t, g = _predictor(rng, n), _codes(rng, n, levels)
    h = _codes(rng, n, int(rng.choice([4, 8]))) if rng.random() < 0.6 else (g + (rng.random(n) < 0.1)) % levels
    one = np.ones(n)
    sizes = 10.0 ** rng.uniform(-1, 5, 3)
    y = t / np.sqrt(np.mean(t**2)) + rng.normal(size=n) + sizes[2] * _effects(rng, one[:, None], h, 1.0)
    y += sizes[0] * _effects(rng, one[:, None], g, 1.0) + sizes[1] * _effects(rng, t[:, None], g, 1.0)
    data = pd.DataFrame({"y": y, "t": t})
    for name, codes in (("g", g), ("h", h)):
        data[name] = pd.Categorical([f"{name}{code}" for code in codes])
    formula = "y ~ t + " + rng.choice(_UNLIKE)
    if rng.random() < 0.3:
        data["o"] = sizes[0] * t * rng.normal() + rng.normal(size=n)
        formula += " + offset(o)"
    return formula, data, bool(rng.integers(2)), None


def lowest_of_restarts(fit, rng, count):
    """The lowest value that searches from `count` random starts of all scales find, and from where."""
    objective = Objective(fit.model.reduced, fit.isREML())
    blocks, units = objective.blocks, natural_units(objective.blocks)
    lowest, where = np.inf, None
    for _ in range(count):
        theta = np.zeros(blocks.n_theta)
        for factor in blocks.factors:
            stops = [*factor.effect_start[1:], factor.p]
            T = np.zeros((factor.p, factor.p))
            for begin, stop in zip(factor.effect_start, stops, strict=True):
                p = stop - begin
                d = 10.0 ** rng.uniform(-2, 5, p) * rng.normal(size=p)
                root = np.tril(rng.normal(size=(p, p))) * 10.0 ** rng.uniform(-1, 2)
                T[begin:stop, begin:stop] = np.linalg.qr(np.vstack([root.T, d]), mode="r").T
            theta[factor.theta] = T[factor.rows, factor.cols]
        try:
            found = optimize(objective, [theta * units])
        except (ArithmeticError, np.linalg.LinAlgError):
            continue
        if found.return_code != 1 and found.final_objective < lowest and (np.abs(found.final) / units).max() < 1e6:
            lowest, where = found.final_objective, found.final
    return lowest, where
