"""What `record.R` is given: written as JSON for R, and made again by the tests that read what R wrote."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

DRAWS, OBSERVATIONS = 320, 16
#: Observations whose tails are of every kind, of two kinds, and good.
COLUMNS = {"all": list(range(16)), "ok": [0, 1, 4, 5, 6, 7, 8], "good": [9, 10, 11, 12, 13, 14]}
COMPARE = {"a": [9, 10, 11, 12], "worse one": [2, 3, 4, 5], "c": [11, 12, 13, 14]}
FORMULA = "y ~ x + (1 + x | g)"


def log_lik() -> np.ndarray:
    """Log likelihoods, shape (draws, observations), some with heavy tails; the same on every machine to 1e-12."""
    rng = np.random.Generator(np.random.PCG64(20261128))
    value = np.round(rng.normal(-1, 0.3, (DRAWS, OBSERVATIONS)) + rng.normal(size=OBSERVATIONS), 6)
    value[:, 2] -= np.round(np.abs(rng.standard_cauchy(DRAWS)), 6)
    value[:, 4] -= np.round(np.abs(rng.standard_t(2, DRAWS)), 6)
    value[:, 5] -= np.round(0.6 * rng.exponential(size=DRAWS), 6)
    value[:, 8] -= np.round(0.75 * rng.exponential(size=DRAWS), 6)
    # chains that move slowly
    slow = np.round(np.cumsum(rng.normal(0, 0.05, (2, DRAWS // 2)), axis=1).ravel(), 6)
    value[:, 6] += slow
    value[:, 13] += 0.5 * slow
    return value


def chains() -> list[np.ndarray]:
    """Chains of each length that is treated in its own way, each of shape (chains, draws): antithetic to stuck."""
    rng = np.random.Generator(np.random.PCG64(17))
    out = []
    for m in (1, 2, 4):
        for n in (6, 7, 8, 13, 26, 50, 53):
            for rho in (-0.9, 0.0, 0.7, 0.99):
                values = rng.normal(size=(m, n))
                for t in range(1, n):
                    values[:, t] += rho * values[:, t - 1]
                out.append(np.round(values + rng.normal(size=(m, 1)), 6))
    return out


def data() -> pd.DataFrame:
    """A small grouped data set."""
    rng = np.random.Generator(np.random.PCG64(7))
    codes = np.arange(24) % 4
    x = np.round(rng.normal(size=24), 3)
    y = np.round(3 + 0.7 * x + rng.normal(0, 1.5, 4)[codes] + rng.normal(size=24), 3)
    return pd.DataFrame({"y": y, "x": x, "g": [f"G {k}" for k in codes]})


def _grouped(name: str, levels: list[str], formula: str, **columns: list[str]) -> dict[str, object]:
    frame = data()[["y", "x"]]
    frame[name] = [levels[k % len(levels)] for k in range(24)]
    for other, values in columns.items():
        frame[other] = [values[k // 3 % len(values)] for k in range(24)]
    return {"formula": formula, "data": frame, "factors": [name, *columns]}


_PLAIN = ["a", "b", "c"]

#: Groups, levels and effects with names that are taken apart somewhere.
NAMES: dict[str, dict[str, object]] = {
    "spaces in the group": _grouped("Animal ID", _PLAIN, "y ~ x + (1 | `Animal ID`)"),
    "spaces everywhere": _grouped("Animal ID", ["a 1", "b  2", " c"], "y ~ x + (1 + x | `Animal ID`)"),
    "colons": _grouped("g", ["a:1", "b:", ":c"], "y ~ x + (1 | g)"),
    "brackets": _grouped("g", ["a]", "[b", "b[x g:1]"], "y ~ x + (1 | g)"),
    "commas and percent": _grouped("g", ["a,1", "50%", "b, c"], "y ~ x + (1 | g)"),
    "colon in the group": _grouped("a:b", _PLAIN, "y ~ x + (1 | `a:b`)"),
    "percent in the group": _grouped("50%", _PLAIN, "y ~ x + (1 | `50%`)"),
    "comma in the group": _grouped("a,b", _PLAIN, "y ~ x + (1 + x | `a,b`)"),
    "bracket in the group": _grouped("a[1]", _PLAIN, "y ~ x + (1 | `a[1]`)"),
    "levels called new": _grouped("g", ["_NEW_g", "NEW", "x_NEW_"], "y ~ x + (1 | g)"),
    "group called new": _grouped("a_NEW_b", _PLAIN, "y ~ x + (1 | a_NEW_b)"),
    "effect called new": _grouped("g", _PLAIN, "y ~ x + (1 + I_NEW_ | g)", I_NEW_=["u", "v"]),
    "levels that become the same": _grouped("g", ["a 1", "a_1", "b"], "y ~ x + (1 | g)"),
    "effects of a factor": _grouped("g", _PLAIN, "y ~ x + (0 + f | g)", f=["u v", "w:x"]),
    "two terms of a factor": _grouped("g", _PLAIN, "y ~ x + (1 | g) + (0 + x | g)"),
    "nested": _grouped("g h", ["a 1", "b", "c"], "y ~ x + (1 | `g h`/k)", k=["p q", "r"]),
    "crossed with spaces": _grouped("g h", ["a 1", "b", "c"], "y ~ x + (1 | k) + (1 | `g h`)", k=["p q", "r"]),
    "no fixed effects": _grouped("g", _PLAIN, "y ~ 0 + (1 | g)"),
    "only a slope": _grouped("g", _PLAIN, "y ~ 0 + x + (1 | g)"),
}


def write(path: Path) -> None:
    """Write the inputs for R."""
    names = {
        key: {**case, "data": case["data"].to_dict("list")}  # type: ignore[attr-defined]
        for key, case in NAMES.items()
    }
    content = {
        "log_lik": log_lik().T.ravel().tolist(),
        "observations": OBSERVATIONS,
        "columns": COLUMNS,
        "compare": COMPARE,
        "formula": FORMULA,
        "data": data().to_dict("list"),
        "names": names,
    }
    path.write_text(json.dumps(content))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
