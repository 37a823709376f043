"""The golden net: what `lmer` and `stan_lmer` answered for some thousand random designs before the engine was rebuilt.

``python -m tests.pyimpl.golden FILE`` records; ``differences`` holds a design to what is recorded. Each step of a
redesign must keep: texts equal, the objective at given theta to 1e-10 of its size, the minimum no higher than 1e-9,
theta to 1e-6 of its standard error where the minimum is not flat.

Two of the 2000 designs differ since. 1176: three minima of refits were recorded 1e-7 to 7e-7 below what the criterion
is in 40 digits at that theta (today's values have 16 of these digits). 1146: the last digit of a printed standard
deviation, 51.18272, in a direction in which the criterion is flat.
"""

import gzip
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from pyimpl import lmer, stan_lmer
from tests.pyimpl.golden_designs import SEEDS, design

FILE = Path(__file__).parent / "data" / "golden.json.gz"
OBJECTIVE = 1e-10  # relative: the algebra's rounding errors over the sizes of design that occur here
MINIMUM = 1e-9  # absolute and per unit of |value|: how far above the recorded minimum a search may end
THETA = 1e-6  # in standard errors of theta: a Newton step's last digits
POINTS = 5
EXACT = 1e5  # theta from which residuals are rounding errors of the response
RESPONSES = 3
NOTHING = 1e-9  # printed numbers below this are rounding errors: the designs' columns are of the size of 1
DENSITY = 1e-10  # relative to the size of the log density: rounding, as of the objective
DENSITIES = 20
#: Designs whose posterior's log density is held: the first of each kind, then on.
POSTERIORS = tuple(range(24)) + tuple(range(48, 60))


def _criterion(fit: Any) -> float:
    return fit.REMLcrit() if fit.isREML() else fit.deviance()


def _thetas(seed: int, fit: Any) -> np.ndarray:
    """Thetas at which the objective is compared, shape (POINTS, n_theta)."""
    rng = np.random.default_rng([7, seed])
    lower = np.asarray(fit.getME("lower"))
    drawn = rng.normal(size=(POINTS, lower.size)) * 10 ** rng.uniform(-1, 1, (POINTS, 1))
    return np.where(np.isneginf(lower), drawn, np.abs(drawn))


def _standard_errors(fit: Any) -> list[float]:
    """Of each theta, from the Hessian of the criterion at the minimum; infinite where it is flat or at a bound."""
    hessian = np.asarray(fit.optinfo["Hessian"])
    free = ~np.isin(np.arange(len(hessian)), list(fit.optinfo["summary"].boundary))
    out = np.full(len(hessian), np.inf)
    if free.any() and np.isfinite(hessian).all():
        values, vectors = np.linalg.eigh(hessian[np.ix_(free, free)])
        if values.min() > 1e-6 * max(values.max(), 1.0):
            out[free] = np.sqrt((2 * vectors**2 / values).sum(axis=1))
    return [float(x) if np.isfinite(x) else -1.0 for x in out]


def answer(seed: int, **further: Any) -> dict[str, Any]:
    """Everything that is held of one design; plain data."""
    formula, data, options = design(seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit = lmer(formula, data, **options, **further)
        except Exception as error:  # a refusal is an answer, too
            return {"refused": type(error).__name__, "said": str(error)}
    out: dict[str, Any] = {"warnings": [[type(w.message).__name__, str(w.message)] for w in caught]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out["objective"] = [fit.devfun(theta) for theta in _thetas(seed, fit)]
        out["theta"] = np.asarray(fit.getME("theta")).tolist()
        out["se"] = _standard_errors(fit)
        out["value"] = _criterion(fit)
        out["messages"] = list(map(str, fit.optinfo["message"])) if isinstance(fit.optinfo["message"], list) else str(
            fit.optinfo["message"]
        )  # fmt: skip
        out["text"] = str(fit.summary())
        rng = np.random.default_rng([8, seed])
        fitted = np.asarray(fit.getME("mu"), float)
        spread = float(np.std(np.asarray(fit.getME("y")))) or 1.0
        out["refits"] = []
        for _ in range(RESPONSES):
            try:
                again = fit.refit(fitted + spread * rng.normal(size=fitted.size))
                out["refits"].append([_criterion(again), np.asarray(again.getME("theta")).tolist()])
            except Exception as error:
                out["refits"].append([type(error).__name__, []])
    return out


def density(seed: int) -> list[float] | str:
    """The log density of a design's posterior at points around 0 of the unconstrained space, ``rstan::log_prob``'s."""
    formula, data, options = design(seed)
    options.pop("REML")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = stan_lmer(formula, data, chains=1, iter=200, seed=1, **options)
        except Exception as error:
            return type(error).__name__
        points = np.random.default_rng([9, seed]).normal(size=(DENSITIES, fit.num_upars)) * 0.5
        return np.asarray(fit.log_prob(points)).tolist()


def density_differences(seed: int, kept: list[float] | str) -> list[str]:
    """What of a posterior's log density is not as recorded."""
    now = density(seed)
    if isinstance(now, str) or isinstance(kept, str):
        return [] if now == kept else [f"{kept if isinstance(kept, str) else 'densities'} became {now}"]
    off = np.abs(np.array(now) - kept) > DENSITY * np.maximum(np.abs(kept), 1.0)
    return [f"log density off at {off.sum()} of {len(off)} points"] if off.any() else []


def _unbounded(one: dict[str, Any]) -> bool:
    """Whether the random effects fit the rows exactly: the criterion has no minimum, and a search ends anywhere."""
    if "refused" in one:
        return "criterion cannot be computed" in one["said"]
    return max(map(abs, one["theta"]), default=0.0) > EXACT


def _fitted_exactly(one: dict[str, Any]) -> bool:
    """Whether it is said that the fixed effects fit the response exactly, so that sigma is a rounding error."""
    return any("is rounding error of" in text for _, text in one.get("warnings", ()))


def differences(seed: int, kept: dict[str, Any], **further: Any) -> list[str]:
    """What of a design is not as recorded; empty where all is."""
    now = answer(seed, **further)
    if _unbounded(kept):
        return []
    if _fitted_exactly(kept):  # every number is a rounding error, down to the order of a sum
        return [] if _fitted_exactly(now) else ["is no longer said to be fitted exactly"]
    if "refused" in kept or "refused" in now:
        same = now.get("refused") == kept.get("refused")
        return [] if same else [f"{kept.get('refused', 'fitted')} became {now.get('refused', 'fitted')}"]
    out = []
    old, new = np.array(kept["objective"]), np.array(now["objective"])
    off = np.abs(new - old) > OBJECTIVE * np.maximum(np.abs(old), 1.0)
    if old.shape != new.shape or off.any():
        out.append(f"objective at given theta: {new[off]} was {old[off]}")
    allowed = MINIMUM * max(abs(kept["value"]), 1.0)
    if not now["value"] <= kept["value"] + allowed:
        out.append(f"the minimum {now['value']!r} is above {kept['value']!r}")
    lower = now["value"] < kept["value"] - allowed
    se = np.array(kept["se"])
    apart = np.abs(np.array(now["theta"]) - np.array(kept["theta"]))
    if not lower and (apart[se > 0] > THETA * se[se > 0]).any():
        out.append(f"theta {now['theta']} was {kept['theta']}, standard errors {kept['se']}")
    # a lower minimum has other fitted values, around which the responses of refits are drawn, and so has another place
    # of a flat one
    same = not lower and not _flat(kept)
    for (value, _), (before, _) in zip(now["refits"], kept["refits"], strict=True) if same else ():
        if isinstance(value, str) or isinstance(before, str):
            if value != before and not isinstance(before, str):  # what was refused may be fitted now
                out.append(f"a refit gave {value} where it gave {before}")
        elif not value <= before + MINIMUM * max(abs(before), 1.0):
            out.append(f"a refit's minimum {value!r} is above {before!r}")
    unbounded = any("no lowest value" in text for _, text in now["warnings"])  # was not said when this was recorded
    if same and not unbounded and not _zero_as_rounding_error(kept):
        out += [
            f"{name}: {now[name]!r}\nwas\n{kept[name]!r}"
            for name in ("text", "warnings")
            if _words(now[name]) != _words(kept[name])
        ]
    return out


def _flat(kept: dict[str, Any]) -> bool:
    """Whether theta, but for what is 0, is not determined: there is no single minimum."""
    return any(se < 0 and value != 0 for value, se in zip(kept["theta"], kept["se"], strict=True))


def _zero_as_rounding_error(kept: dict[str, Any]) -> bool:
    """Whether a standard deviation that is 0 was recorded as a rounding error, which changes the table's columns."""
    return any(0 < abs(value) < NOTHING for value in kept["theta"])


def _words(text: Any) -> list[str]:
    """The words of a text, numbers that are rounding errors as 0: they differ from machine to machine."""
    out = []
    for word in str(text).split():
        try:
            small = abs(float(word)) < NOTHING
        except ValueError:
            small = False
        out.append("0" if small else word)
    return out


def load() -> dict[str, Any]:
    """What is recorded, by seed; ``densities`` by seed in one of its own."""
    return json.loads(gzip.decompress(FILE.read_bytes()))


def main(path: str) -> None:
    """Record all designs."""
    kept = {}
    for seed in range(SEEDS):
        kept[str(seed)] = answer(seed)
        if seed % 100 == 99:
            print(seed + 1, file=sys.stderr, flush=True)
    kept["densities"] = {str(seed): density(seed) for seed in POSTERIORS}
    text = json.dumps(kept, separators=(",", ":"))
    Path(path).write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
