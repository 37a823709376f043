"""Random designs of every kind for the golden net; everything from an explicit seed.

``design(seed)`` is a formula, its data and the options of the fit; ``KINDS`` says which kinds there are.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tests.pyimpl.random_models import random_frame, random_mixed_formula

__all__ = ["KINDS", "SEEDS", "design"]

#: How many designs the net has.
SEEDS = 2000

Made = tuple[str, pd.DataFrame, dict[str, Any]]


def _labels(codes: np.ndarray, prefix: str) -> pd.Categorical:
    return pd.Categorical([f"{prefix}{code}" for code in codes])


def _effects(rng: np.random.Generator, codes: np.ndarray, columns: np.ndarray, sd: float) -> np.ndarray:
    """Random effects of each level on the columns, shape (rows,)."""
    levels = int(codes.max()) + 1
    p = columns.shape[1]
    mixing = rng.normal(size=(p, p)) * sd
    return np.einsum("np,np->n", columns, (rng.normal(size=(levels, p)) @ mixing)[codes])


def _slopes(rng: np.random.Generator) -> tuple[str, list[str]]:
    effects, columns = [("1", []), ("x", ["x"]), ("0 + x", ["x"]), ("x + z", ["x", "z"])][int(rng.integers(0, 4))]
    return effects, columns


def _with_terms(rng: np.random.Generator, frame: pd.DataFrame, groups: list[str], slopes: bool) -> str:
    """A response with random effects of each group added to the frame; the formula's bars."""
    n = len(frame)
    y = rng.normal(size=n) + 2 + 0.5 * frame["x"].to_numpy()
    bars = []
    for name in groups:
        effects, columns = _slopes(rng) if slopes else ("1", [])
        joined = "||" if len(columns) + (effects[0] != "0") > 1 and rng.random() < 0.3 else "|"
        codes = pd.factorize(frame[name])[0] if name in frame else frame.groupby(name.split(":")).ngroup().to_numpy()
        sd = float(rng.choice([0.0, 0.2, 1.0, 3.0, 30.0]))
        y += _effects(rng, codes, np.column_stack([np.ones(n), *(frame[c] for c in columns)]), sd)
        bars.append(f"({effects} {joined} {name})")
    frame["y"] = y
    return " + ".join(bars)


def _rows(rng: np.random.Generator, n: int) -> pd.DataFrame:
    frame = pd.DataFrame({"x": rng.normal(size=n), "z": rng.integers(0, 5, n).astype(float)})
    frame["f"] = _labels(rng.integers(0, 3, n), "f")
    return frame


def _one_factor(rng: np.random.Generator) -> Made:
    n, levels = int(rng.integers(20, 400)), int(rng.integers(3, 60))
    frame = _rows(rng, n)
    frame["g"] = _labels(rng.integers(0, min(levels, n // 3), n), "g")
    return f"y ~ x + z + {_with_terms(rng, frame, ['g'], True)}", frame, {}


def _balanced(rng: np.random.Generator) -> Made:
    levels, each = int(rng.integers(3, 30)), int(rng.integers(2, 12))
    frame = _rows(rng, levels * each)
    frame["g"] = _labels(np.repeat(np.arange(levels), each), "g")
    frame["x"] = np.tile(np.arange(each, dtype=float), levels)
    return f"y ~ x + {_with_terms(rng, frame, ['g'], True)}", frame, {}


def _crossed(rng: np.random.Generator) -> Made:
    n = int(rng.integers(60, 500))
    frame = _rows(rng, n)
    groups = ["g", "h", "k"][: int(rng.integers(2, 4))]
    for name in groups:
        frame[name] = _labels(rng.integers(0, int(rng.integers(3, 15)), n), name)
    return f"y ~ x * f + {_with_terms(rng, frame, groups, bool(rng.random() < 0.5))}", frame, {}


def _nested(rng: np.random.Generator) -> Made:
    outer, inner, each = int(rng.integers(3, 12)), int(rng.integers(2, 6)), int(rng.integers(2, 8))
    n = outer * inner * each
    frame = _rows(rng, n)
    frame["g"] = _labels(np.arange(n) // (inner * each), "g")
    frame["h"] = _labels(np.arange(n) // each % inner, "h")
    keep = rng.random(n) < rng.choice([1.0, 0.7])
    frame = frame[keep].reset_index(drop=True)
    return f"y ~ x + {_with_terms(rng, frame, ['g', 'g:h'], bool(rng.random() < 0.4))}", frame, {}


def _weighted(rng: np.random.Generator) -> Made:
    formula, frame, options = (_one_factor, _crossed, _nested)[int(rng.integers(0, 3))](rng)
    frame["w"] = np.round(rng.uniform(0.2, 5, len(frame)), 2)
    frame["o"] = rng.normal(size=len(frame)) * 3
    if rng.random() < 0.7:
        options["weights"] = "w"
    if rng.random() < 0.7:
        options["offset"] = "o"
    return formula, frame, options


def _singular(rng: np.random.Generator) -> Made:
    formula, frame, options = (_balanced, _crossed, _nested)[int(rng.integers(0, 3))](rng)
    frame["y"] = rng.normal(size=len(frame))  # no group has an effect
    return formula, frame, options


def _rank_deficient(rng: np.random.Generator) -> Made:
    formula, frame, options = (_one_factor, _crossed)[int(rng.integers(0, 2))](rng)
    frame["c"] = 2 * frame["x"] - frame["z"] + 1
    frame["e"] = _labels(frame["f"].cat.codes.to_numpy(), "e")
    return formula.replace("y ~", "y ~ c + z + e + f +"), frame, options


def _sparse(rng: np.random.Generator) -> Made:
    n = int(rng.integers(1500, 3000))
    frame = _rows(rng, n)
    levels = int(rng.integers(450, 600))
    frame["g"] = _labels(rng.integers(0, levels, n), "g")
    near = (frame["g"].cat.codes.to_numpy() + rng.integers(0, 3, n)) % (levels - 20)
    frame["h"] = _labels(near, "h")
    return f"y ~ x + {_with_terms(rng, frame, ['g', 'h'], False)}", frame, {}


def _many_effects(rng: np.random.Generator) -> Made:
    n = int(rng.integers(150, 500))
    frame = _rows(rng, n)
    frame["g"] = _labels(rng.integers(0, 15, n), "g")
    _with_terms(rng, frame, ["g"], True)
    return f"y ~ x + f + ({rng.choice(['x + z + f', '0 + f', 'f', 'x * z'])} | g)", frame, {}


def _odd(rng: np.random.Generator) -> Made:
    return random_mixed_formula(rng), random_frame(rng), {}


#: Makers of designs by kind, with their shares.
KINDS: dict[str, tuple[Callable[[np.random.Generator], Made], int]] = {
    "odd": (_odd, 5),
    "one factor": (_one_factor, 4),
    "balanced": (_balanced, 2),
    "crossed": (_crossed, 3),
    "nested": (_nested, 3),
    "weighted": (_weighted, 3),
    "singular": (_singular, 2),
    "rank-deficient": (_rank_deficient, 1),
    "many effects": (_many_effects, 1),
}

_WHEEL = [maker for maker, share in KINDS.values() for _ in range(share)]


def design(seed: int) -> Made:
    """Formula, data and ``lmer``'s options of a design; every fiftieth is a sparse one, every second by ML."""
    rng = np.random.default_rng([20261128, seed])
    formula, frame, options = (_sparse if seed % 50 == 49 else _WHEEL[seed % len(_WHEEL)])(rng)
    return formula, frame, {**options, "REML": bool(rng.random() < 0.5)}
