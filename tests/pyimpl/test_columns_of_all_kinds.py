"""Columns of every kind in formulas of every kind: a fit, or one error of ours; never a foreign one."""

import datetime
import decimal
import warnings

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.errors import DataError, ModelError, PyimplError

N = 40
RNG = np.random.default_rng(1)

COLUMNS = {
    "all missing": np.full(N, np.nan),
    "no levels": pd.Categorical([None] * N),
    "levels, all missing": pd.Categorical([None] * N, categories=["u", "v"]),
    "strings, all missing": pd.array([None] * N, dtype="string"),
    "nanoseconds": pd.date_range("2020-01-01", periods=N).as_unit("ns") + pd.to_timedelta(1, "ns"),
    "seconds": pd.date_range("2020-01-01", periods=N).as_unit("s"),
    "time zone": pd.date_range("2020-01-01", periods=N, tz="Europe/Berlin"),
    "durations": pd.to_timedelta(np.arange(N), "h"),
    "periods": pd.period_range("2020-01", periods=N, freq="M"),
    "dates": [datetime.date(2020, 1, 1 + i % 28) for i in range(N)],
    "float levels": pd.Categorical(RNG.choice([1.0, 2.0, 5.5], N)),
    "interval levels": pd.cut(RNG.normal(size=N), 3),
    "mixed": np.array([1, "a"] * (N // 2), dtype=object),
    "Int64 with NA": pd.array([None] + [1, 2, 3] * 13, dtype="Int64"),
    "boolean with NA": pd.array([None] + [True, False, True] * 13, dtype="boolean"),
    "Float64": pd.array(RNG.normal(size=N), dtype="Float64"),
    "half precision": RNG.normal(size=N).astype("f2"),
    "beyond int64": np.full(N, 2**63, dtype="u8"),
    "complex": RNG.normal(size=N) + 1j,
    "infinite": np.r_[np.inf, RNG.normal(size=N - 1)],
    "bytes": np.array([b"a", b"b"] * (N // 2)),
    "decimals": np.array([decimal.Decimal("1.5")] * N, dtype=object),
    "lists": pd.Series([[1]] * N),
    "sparse": pd.arrays.SparseArray(RNG.normal(size=N)),
    "NUL in a level": np.array(["a\0b", "c"] * (N // 2), dtype=object),
    "empty level": np.array(["", "z"] * (N // 2), dtype=object),
}

FORMULAS = """
y ~ {c} + (1 | g); y ~ x + (1 | {c}); y ~ x + ({c} | g); {c} ~ x + (1 | g); y ~ factor({c}) + (1 | g)
y ~ x + (1 | interaction(g, {c})); y ~ interaction(g, {c}) + (1 | g); y ~ scale({c}) + (1 | g)
y ~ poly({c}, 2) + (1 | g); y ~ cut({c}, 3) + (1 | g); y ~ log({c}) + (1 | g)
y ~ relevel({c}, 2) + (1 | g); y ~ ave({c}, g) + (1 | g)
y ~ I({c}^2) + (1 | g); y ~ {c}:g + (1 | g); y ~ ifelse(is.na({c}), 0, 1) + x + (1 | g); y ~ ordered({c}) + (1 | g)
y ~ dummy({c}) + (1 | g); y ~ x + (1 | g:{c}); y ~ I({c} == 'a') + (1 | g); y ~ x + offset({c}) + (1 | g)
y ~ droplevels({c}) + (1 | g); y ~ pmax({c}, 0) + (1 | g); y ~ as.character({c}) + (1 | g); y ~ rank({c}) + (1 | g)
""".replace("\n", ";")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {"y": RNG.normal(size=N), "x": RNG.normal(size=N), "g": pd.Categorical(RNG.choice(list("abcde"), N))}
    )


def _fits(formula: str, data: pd.DataFrame, **options: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = lmer(formula, data, **options)
            str(fit.summary())
            fit.predict(data.iloc[:3])
        except PyimplError:
            return False
    return True


def test_a_column_of_any_kind_is_fitted_or_refused_by_us(frame):
    formulas = [one.strip() for one in FORMULAS.split(";") if one.strip()]
    fitted = refused = 0
    for column in COLUMNS.values():
        data = frame.assign(c=column)
        for formula in formulas:
            if _fits(formula.format(c="c"), data):
                fitted += 1
            else:
                refused += 1
        for option in ({"weights": "c"}, {"offset": "c"}, {"subset": "c > 0"}):
            _fits("y ~ x + (1 | g)", data, **option)
    # neither a program that takes everything passes, nor one that refuses everything
    assert fitted > 0.25 * (fitted + refused)
    assert refused > 0.4 * (fitted + refused)


@pytest.mark.parametrize("h", [["a", "b"], []])
def test_an_interaction_without_a_complete_row_leaves_no_rows(frame, h):
    data = frame.assign(h=pd.Categorical([None] * N, categories=h))
    for formula in ("y ~ 1 + (1 | interaction(g, h))", "y ~ interaction(g, h) + (1 | g)"):
        with pytest.raises(ModelError, match=r"0 \(non-NA\) cases"):
            lmer(formula, data)


@pytest.mark.parametrize(
    ("parm", "said"),
    [(7, "counts parameters from 1 to 4"), (3.5, "parm must be"), (["x", 2], "parm must be"), ([0], "counts")],
)
@pytest.mark.parametrize("method", ["Wald", "profile", "boot"])
def test_parm_takes_names_or_counts_as_r_does(frame, parm, said, method):
    with pytest.raises(DataError, match=said):
        lmer("y ~ x + (1 | g)", frame).confint(parm, method=method)
