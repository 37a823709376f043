"""Random data frames and formulas for the campaigns against live R; everything from an explicit seed."""

import numpy as np
import pandas as pd

NUMERIC = ("x", "z", "k")
FACTORS = ("f", "h", "o", "s", "l", "a b")


def random_frame(rng: np.random.Generator, missing: bool | None = None) -> pd.DataFrame:
    """A data frame with every kind of column; factors' levels out of order, unused levels, missing values."""
    n = int(rng.integers(24, 60))
    if missing is None:
        missing = bool(rng.random() < 0.4)

    def labels(pool: list[str], count: int) -> np.ndarray:
        chosen = rng.choice(pool, size=count, replace=False)
        values = rng.choice(chosen, size=n)
        values[:count] = chosen  # every one occurs
        return values

    letters = ["b", "a", "C", "d d", "_e", "10", "9", "é", "B:x", "1e5"]
    f_values, h_values = labels(letters, int(rng.integers(2, 5))), labels(letters, 2)
    o_values = labels(["lo", "mid", "hi", "top", "zz"], int(rng.integers(2, 6)))
    extra = ["never"] if rng.random() < 0.5 else []
    f_levels = [*rng.permutation(sorted(set(f_values))).tolist(), *extra]
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": np.round(rng.normal(size=n), 3),
            "z": np.abs(rng.normal(size=n)) + 0.1,
            "k": rng.integers(1, 6, size=n),
            "f": pd.Categorical(f_values, categories=f_levels),
            "h": pd.Categorical(h_values),
            "o": pd.Categorical(o_values, categories=rng.permutation(sorted(set(o_values))), ordered=True),
            "s": pd.Series(labels(["q", "B", "a", "Z z"], int(rng.integers(2, 4))), dtype="str"),
            "l": np.arange(n) % 2 == rng.integers(0, 2),
            "a b": pd.Categorical(labels(["u", "v", "w"], int(rng.integers(2, 4)))),
            "g": pd.Series(rng.choice(["g3", "G1", "g2", "g10", "g1"], size=n), dtype="str"),
            "id": rng.choice([100000, 20, 3, 1234567, 5], size=n),
            "num": rng.choice([1e5, 0.1 + 0.2, 1 / 3, -2.5, 1e-5], size=n),
        }
    )
    if missing:
        for name in rng.choice(["y", "x", "z", "f", "o", "s", "g"], size=2, replace=False):
            frame.loc[frame.index[-int(rng.integers(1, 4)) :], name] = None if name in ("s", "g") else np.nan
    return frame


def _quote(name: str) -> str:
    return f"`{name}`" if " " in name else name


def random_atom(rng: np.random.Generator) -> str:
    """One variable: a column or a call."""
    roll = rng.random()
    if roll < 0.55:
        return _quote(str(rng.choice(FACTORS)))
    if roll < 0.8:
        return str(rng.choice(NUMERIC))
    return str(
        rng.choice(
            [
                "I(x^2)", "log(z)", "I(x > 0)", "poly(z, 2)", "scale(x)", "factor(k)", "I(z * x - 1)", "sqrt(z)",
                "poly(x, 3, raw = TRUE)", "I(s == 'a')", "scale(z, scale = FALSE)", "I(x < 0 & l)", "exp(-z)",
                "as.numeric(f)", "ordered(k)", "I(x/2 + k%%2)", "abs(x)", "I(-x)", "I((x - 1)^3)", "log(z, 2)",
                "I(!l)",
                "poly(k, 2)", "ifelse(l, x, k)", "I(k^2)", "scale(k)", "as.character(k)", "I(s)", "factor(x > 0)",
                "relevel(h, 2)", "factor(l)", "as.factor(s)", "log1p(z)", "I(o)", "cut(x, 3)", "I(k %/% 2)",
                "I(f %in% c('a', 'b', '10'))", "as.integer(z * 10)", "cut(z, c(0, .5, 1, 10), right = FALSE)",
            ]
        )
    )  # fmt: skip


def random_expression(rng: np.random.Generator, depth: int) -> str:
    """A right-hand side of formula operators, nested to ``depth``."""
    if depth == 0 or rng.random() < 0.25:
        return random_atom(rng)
    operator = rng.choice(["+", "+", "+", "*", ":", "/", "-", "^", "%in%", "1", "0"])
    left = random_expression(rng, depth - 1)
    if operator == "^":
        return f"({left} + {random_atom(rng)} + {random_atom(rng)})^{rng.integers(1, 4)}"
    if operator == "1":
        return f"{left} {rng.choice(['-', '+'])} 1"
    if operator == "0":
        return f"0 + {left}"
    right = random_expression(rng, depth - 1)
    if operator in ("*", ":", "/", "-", "%in%") and rng.random() < 0.6:
        left, right = f"({left})", f"({right})"
    return f"{left} {operator} {right}" if operator != ":" else f"{left}:{right}"


def random_formula(rng: np.random.Generator) -> str:
    """A formula of fixed effects; interactions stay of a size that R's matrices bear."""
    while True:
        right = random_expression(rng, int(rng.integers(1, 4)))
        if right.count(":") + right.count("*") + right.count("/") + right.count("%in%") <= 3:
            break
    if rng.random() < 0.1:
        right = f"{right} + offset(z)"
    return f"{rng.choice(['y', 'y', 'log(z)', ''])} ~ {right}"


def random_bar(rng: np.random.Generator) -> str:
    """One random-effects term."""
    effects = rng.choice(
        [
            "1",
            "1",
            "1",
            "x",
            "0 + x",
            "1 + z",
            "h",
            "0 + f",
            "x - 1",
            "l",
            "poly(z, 2)",
            "x:h",
            "o",
            "s",
            "x + z",
            "I(x^2)",
        ]
    )
    group = rng.choice(
        ["g", "g", "id", "f", "s", "l", "k", "g:f", "g/h", "num", "f/h/l", "k:s", "`a b`", "(g:h)", "num:g"]
    )
    return f"({effects} {rng.choice(['|', '|', '|', '||'])} {group})"


def random_mixed_formula(rng: np.random.Generator) -> str:
    """A mixed-model formula."""
    fixed = random_expression(rng, int(rng.integers(0, 3))) if rng.random() < 0.7 else str(rng.choice(["1", "0", "x"]))
    if fixed.count(":") + fixed.count("*") + fixed.count("/") + fixed.count("%in%") > 2:
        fixed = "x"
    bars = " + ".join(random_bar(rng) for _ in range(int(rng.integers(1, 4))))
    right = f"{fixed} + {bars}" if rng.random() < 0.9 else f"{bars} + {fixed}"
    return f"{rng.choice(['y', 'y', 'log(z)', 'scale(x)'])} ~ {right}"
