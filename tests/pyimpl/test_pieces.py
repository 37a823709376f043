"""``getME``: every piece beside live R."""

import json

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import DataError, SingularFitWarning
from pyimpl.inference.get_me import unique_names
from pyimpl.models.lmer import lmer

_R = r"""
suppressMessages({library(lme4); library(jsonlite)})
set.seed(3); d <- data.frame(g = factor(sample(9, 80, TRUE)), h = factor(sample(4, 80, TRUE)), x = round(rnorm(80), 2))
d$z <- round(rnorm(80), 2); d$w <- rep(c(1, 2), 40)
d$y <- rnorm(9)[d$g] + rnorm(9)[d$g] * d$x + rnorm(9)[d$g] * d$z + rnorm(4, 0, 2)[d$h] + rnorm(80)
write.csv(d, file.path(folder, "d.csv"), row.names = FALSE)
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.2, rhoend = 2e-8))
whole <- function(x) if (is(x, "Matrix")) as.matrix(x) else unname(x)
out <- lapply(list(y ~ x + (x + z | g) + (1 | h), y ~ z + (x || g) + (0 + x | h)), function(f) {
  m <- suppressMessages(lmer(f, d, weights = w, control = tight))
  listed <- function(p) list(names = names(p), values = lapply(unname(p), whole))
  pieces <- lapply(getME(m, c("Ztlist", "mmList", "ST")), listed)
  counts <- suppressWarnings(getME(m, c("Tp", "m_i", "p_i")))
  c(pieces, lapply(counts, function(p) list(names = names(p), values = unname(p))),
    list(Lind = getME(m, "Lind"), A = as.matrix(getME(m, "A")), L = names(getME(m, "ALL"))))
})
cat(toJSON(out, digits = NA))
"""
FORMULAS = ["y ~ x + (x + z | g) + (1 | h)", "y ~ z + (x || g) + (0 + x | h)"]


@pytest.fixture(scope="module")
def answers(rscript, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pieces")
    text = rscript(f'folder <- "{folder}"\n{_R}')
    data = pd.read_csv(folder / "d.csv", dtype={"g": "str", "h": "str"})
    return data, json.loads(text)


@pytest.mark.r
@pytest.mark.parametrize("i", range(len(FORMULAS)))
def test_pieces_are_those_of_lme4(answers, i, live_dialect):
    data, theirs = answers[0], answers[1][i]
    fit = lmer(FORMULAS[i], data, weights="w", dialect=live_dialect)
    pieces = fit.getME(["Ztlist", "mmList", "ST"])
    for name, ours in pieces.items():
        # R's names may be repeated, ours are keys
        assert list(ours) == unique_names(theirs[name]["names"])
        for value, other in zip(ours.values(), theirs[name]["values"], strict=True):
            dense = value.toarray() if hasattr(value, "toarray") else np.asarray(value)
            np.testing.assert_allclose(dense, np.asarray(other, dtype=float), atol=2e-4 if name == "ST" else 1e-15)
    for name in ("Tp", "m_i", "p_i"):
        assert fit.getME(name).index.tolist() == theirs[name]["names"]
        assert fit.getME(name).tolist() == theirs[name]["values"]
    assert fit.getME("Lind").tolist() == theirs["Lind"]
    np.testing.assert_allclose(fit.getME("A").toarray(), theirs["A"], atol=2e-4)
    every = fit.getME("ALL")
    assert set(theirs["L"]) - set(every) == {"L", "RZX", "glmer.nb.theta"}
    for count, term in zip(
        every["q_i"], fit.design.terms, strict=True
    ):  # R's own is wrong with more terms than factors
        assert count == sum(every["Ztlist"][f"{term.group}.{effect}"].shape[0] for effect in term.effects)


@pytest.mark.r
def test_theta_by_its_index_is_lambda(answers):
    fit = lmer("y ~ x + (x | g) + (1 | h)", answers[0], weights="w")
    assert (fit.getME("theta") != 0).all()  # a sparse matrix may leave zeros out
    lambdat = fit.getME("Lambdat")
    lambdat.sort_indices()
    np.testing.assert_array_equal(lambdat.data, fit.getME("theta").to_numpy()[fit.getME("Lind") - 1])


def test_a_scale_of_zero_is_not_hidden():
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(12), 8), np.tile(np.linspace(-1, 1, 8), 12)
    y = 3 * rng.normal(size=12)[g] * (1 + 0.5 * x) + 0.5 * rng.normal(size=96)
    with pytest.warns(SingularFitWarning):
        fit = lmer("y ~ x + (x | g)", pd.DataFrame({"y": y, "x": x, "g": g.astype(str)}))
    with np.errstate(all="raise"):
        out = fit.getME("ST")["g"]
    template = fit.getME("Tlist")["g"]
    assert template[1, 1] == 0
    assert out[1, 0] == template[1, 0] / template[0, 0] > 0.3
    assert out[1, 1] == 0
    assert np.isnan(out[0, 1])


def test_a_piece_that_is_not_there_is_named():
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "b", "b"]})
    with pytest.raises(DataError, match=r"no piece 'L'; there are X, Z"):
        lmer("y ~ 1 + (1 | g)", data).getME("L")
