"""Walls 1 and 2, each alone and with the sandbox off: no text that a user may give becomes code in R.

Wall 1 alone: R's check of its parse tree is switched off in the worker, and everything goes through Python's doors.
Wall 2 alone: Python's check is passed by, and every text goes to R as it is.
"""

import contextlib
import os
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge import datasets, formula, lme4, provenance, rstanarm, stats
from bridge.errors import BridgeError, FormulaError
from bridge.frames import frame_to_r
from bridge.session import Session, use
from tests.bridge import hostile

pytestmark = pytest.mark.r

NO_WALL_2 = """
check_tree <- function(tree, ...) invisible(tree)
as_checked_formula <- function(text, columns, home) {
  formula <- eval(inert_tree(parse(text = text, keep.source = FALSE)[[1L]]), home)
  environment(formula) <- home
  formula
}
one_of <- function(value, ...) value
plain_symbol <- function(name) name
package_name <- function(package) package
"""


class Canaries:
    """A folder with a victim: anything that comes, goes or changes is told."""

    def __init__(self, folder):
        self.folder = folder
        self.victim = folder / "victim"
        self.victim.write_text("precious")
        self.before = self.picture()

    def picture(self):
        return sorted((entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in self.folder.iterdir())

    def check(self, what: str) -> None:
        assert self.picture() == self.before, f"became code: {what!r}"

    def text(self, pattern: str) -> str:
        return pattern.replace("%", str(self.folder))

    def data(self) -> pd.DataFrame:
        n = 24
        victim = str(self.victim)
        rng = np.random.default_rng(1)
        return pd.DataFrame({
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "g": pd.Categorical(np.repeat(list("abcd"), 6)),
            "h": pd.Categorical(np.tile(list("pqr"), 8)),
            "L": pd.Categorical(np.where(np.arange(n) % 2, victim, f"{victim}-none")),
            "cmd": f"touch {self.folder}/canary",
        })  # fmt: skip


@pytest.fixture
def canaries(tmp_path):
    folder = tmp_path / "canaries"
    folder.mkdir()
    return Canaries(folder)


@pytest.fixture(scope="module")
def wall_1(tmp_path_factory):
    script = tmp_path_factory.mktemp("scripts") / "no_wall_2.R"
    script.write_text(NO_WALL_2)
    with Session(sandbox=False, scripts=[script]) as session, use(session):
        yield session


@pytest.fixture(scope="module")
def wall_2():
    with Session(sandbox=False) as session, use(session):
        yield session


FORMULAS = [
    *hostile.FORMULAS,
    *(f"y ~ {part.format(spell=spell)} + (1 | g)" for part in hostile.PARTS for spell in hostile.SPELLS),
]


def fit_in_r(session: Session, text: str, data: pd.DataFrame) -> None:
    described = {
        "formula": text, "data_name": "data", "na_action": "na.omit", "REML": True, "frame": frame_to_r(data),
    }  # fmt: skip
    with contextlib.suppress(BridgeError):
        session.call("lme4_lmer", described=described, timeout=20)


def test_wall_1_alone_formulas(wall_1, canaries):
    data = canaries.data()
    refused = 0
    for pattern in FORMULAS:
        text = canaries.text(pattern)
        try:
            formula.check_columns(formula.parse(text), data.columns)
        except BridgeError:
            refused += 1
            continue
        with warnings.catch_warnings(), contextlib.suppress(BridgeError):
            warnings.simplefilter("ignore")
            lme4.lmer(text, data, timeout=20)
        canaries.check(text)
    assert len(FORMULAS) > 500
    assert refused >= len(FORMULAS) * 0.95


def test_wall_2_alone_formulas(wall_2, canaries):
    data = canaries.data()
    pid = wall_2.information and wall_2.pid
    for pattern in FORMULAS:
        text = canaries.text(pattern)
        fit_in_r(wall_2, text, data)
        canaries.check(text)
    assert wall_2.pid == pid, "R ended"


def test_without_walls_the_corpus_bites(tmp_path, canaries):
    """The canaries can die: with both walls away some of these do run."""
    script = tmp_path / "no_wall_2.R"
    script.write_text(NO_WALL_2)
    with Session(sandbox=False, scripts=[script]) as session:
        fit_in_r(session, canaries.text("y ~ x + C(h, 'cat', file = '|touch %/canary') + (1 | g)"), canaries.data())
        assert (canaries.folder / "canary").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "shape", ["y ~ x + (x || `{}`)", "y ~ x + `{}` + (1 | g)", "y ~ (0 + `{}` || g)", "`{}` ~ x + (1 | g)"]
)
def test_column_names(wall_2, canaries, shape):
    data = canaries.data()
    where = "g" if shape.endswith("`{}`)") else "x" if "y ~" in shape else "y"
    for pattern in hostile.COLUMN_NAMES:
        name = canaries.text(pattern)
        quoted = name.replace("\\", "\\\\").replace("`", "\\`")
        renamed = data.rename(columns={where: name})
        if where != "y":
            renamed["x" if where == "x" else "g"] = data["x" if where == "x" else "g"]
        with warnings.catch_warnings(), contextlib.suppress(BridgeError):
            warnings.simplefilter("ignore")
            fit = lme4.lmer(shape.format(quoted), renamed, timeout=20)
            fit.drop1()
            fit.refitML()
            fit.predict(renamed)
        canaries.check(name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_names_and_options(wall_2, canaries):
    data = canaries.data()
    fit = lme4.lmer("y ~ x + (1 | g)", data)
    doors = {
        "data_name": lambda t: lme4.lmer("y ~ x + (1 | g)", data, data_name=t),
        "data set": lambda t: datasets.load(t, "lme4"),
        "package": lambda t: datasets.names(t),
        "versions": lambda t: provenance.r_versions((t,)),
        "anova": lambda t: fit.anova(fit, names=[t, "b"]),
        "weights": lambda t: lme4.lmer("y ~ x + (1 | g)", data, weights=t),
        "na_action": lambda t: lme4.lmer("y ~ x + (1 | g)", data, na_action=t),
        "contrasts": lambda t: lme4.lmer("y ~ h + (1 | g)", data, contrasts={"h": t}),
        "optimizer": lambda t: lme4.lmer("y ~ x + (1 | g)", data, control=lme4.lmerControl(optimizer=t)),
        "check": lambda t: lme4.lmer("y ~ x + (1 | g)", data, control=lme4.lmerControl(check_rankX=t)),
        "optCtrl": lambda t: lme4.lmer("y ~ x + (1 | g)", data, control=lme4.lmerControl(optCtrl={"method": t})),
        "optCtrl name": lambda t: lme4.lmer("y ~ x + (1 | g)", data, control=lme4.lmerControl(optCtrl={t: 1})),
        "re_form": lambda t: fit.predict(data, re_form=f"~({t} | g)"),
        "parm": lambda t: fit.confint(method="Wald", parm=t),
        "getME": lambda t: fit.getME(t),
        "bootMer": lambda t: fit.bootMer(t),
        "boot type": lambda t: fit.confint(method="boot", nsim=2, boot_type=t),
        "method": lambda t: fit.confint(method=t),
        "drop1": lambda t: fit.drop1(test=t),
        "residuals": lambda t: fit.residuals(type=t),
        "newdata": lambda t: fit.predict(data.assign(**{t: 1.0})),
        "level": lambda t: lme4.lmer("y ~ x + (x || g)", data.assign(g=data["g"].cat.rename_categories({"a": t}))),
        "matrix": lambda t: stats.model_matrix(f"~ {t}", data),
        "prior": lambda t: rstanarm.stan_lmer("y ~ x + (1 | g)", data, prior=rstanarm.Prior(t), iter=10, chains=1),
        "function": lambda t: wall_2.call(t),
    }  # fmt: skip
    for what, door in doors.items():
        for pattern in (*hostile.NAMES, *hostile.OPTIONS):
            text = canaries.text(pattern)
            with warnings.catch_warnings(), contextlib.suppress(BridgeError):
                warnings.simplefilter("ignore")
                door(text)
            canaries.check(f"{what}: {text}")
    assert len(hostile.NAMES) + len(hostile.OPTIONS) + len(hostile.COLUMN_NAMES) > 100


ATOMS = st.sampled_from(
    ["y", "x", "g", "h", "L", "cmd", "1", "'cat'", "'file.remove'", "system", "TRUE", "contr.sum", "max"]
)
LABELS = st.sampled_from(["", "", "", "FUN = ", "contr = ", "`FUN` = ", "x = ", "object = ", "file = ", "how.many = "])
NAMES = st.sampled_from(["C", "ave", "cut", "I", "factor", "c", "scale", "system", "poly", "interaction", "eval", "us"])
TREES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(NAMES, st.lists(st.tuples(LABELS, inner).map("".join), min_size=1, max_size=3)).map(
            lambda t: f"{t[0]}({', '.join(t[1])})"
        ),
        st.tuples(inner, st.sampled_from(["+", ":", "*", "|", "||", "%in%", ";", "<-", "~"]), inner).map(" ".join),
        inner.map("({})".format),
    ),
    max_leaves=8,
)
EXAMPLES = int(os.environ.get("MLMPARITY_FUZZ", "300"))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(right=TREES)
def test_what_python_lets_through_r_lets_through_and_nothing_more(wall_2, right):
    """Two readers of one list: the same verdict on every formula that R can read."""
    text = f"y ~ {right}"
    if "us(" in text:  # R, which has the tree, also sees whether a structure is a term of its own
        return
    columns = ["y", "x", "g", "h", "L", "cmd"]
    try:
        formula.check_columns(formula.parse(text), columns)
        ours = True
    except BridgeError:
        ours = False
    try:
        wall_2.call("check_formula", text=text, columns=columns)
        theirs = True
    except FormulaError as error:
        theirs = False
        if ours and ("R cannot read" in str(error) or "since lme4 2.0-1" in str(error)):
            return
    except BridgeError:
        theirs = False
    assert ours == theirs, text
