"""R's printed text and R's optimum, for the models that lmer is judged by and for models of all sorts."""

import warnings
from typing import Any

import pytest

from pyimpl.models.lmer import LmerFit, lmer
from tests.pyimpl.judging_list import CHOSEN, LARGE, NAMED, PREPARED, STRANGE
from tests.pyimpl.printing_oracle import frames_of, r_text

#: A few for the quick suite: contrasts, weights with offset and subset, a dropped column, a note about scales.
QUICK = [
    case
    for case in CHOSEN
    if case[1] == "tied" or ("offset" in case[2] and "subset" in case[2]) or case[2].get("contrasts", {}).get("Machine")
]

Case = tuple[str, str, dict[str, Any]]


def ours(fit: LmerFit) -> dict[str, str]:
    texts = {
        "summary": str(fit.summary()),
        "print": str(fit),
        "varcorr": fit.VarCorr().to_text(),
        "both": fit.VarCorr().to_text(("Variance", "Std.Dev."), 3),
        "anova": str(fit.anova()) if len(fit.fixef()) else "",
    }
    return {what: f"{text}\n" if text else "" for what, text in texts.items()}


def differences(fit: LmerFit, theirs: dict[str, str], ties: tuple[str, ...] = ()) -> list[str]:
    """Texts that are not R's, and an optimum that is not R's."""
    found = [
        f"{what}:\n{text}\nis not R's\n{theirs[what]}"
        for what, text in ours(fit).items()
        if what not in ties and text != theirs[what] and theirs[what] != "R fails\n"
    ]
    at, low = map(float, theirs["best"].split())
    own = fit.model.optsum.final_objective
    if abs(own - at) > 1e-10 * max(abs(at), fit.nobs()):
        found.append(f"objective {own} at this theta, in R {at}")
    if own > low + 1e-7 * max(1.0, abs(low) * 1e-3):
        found.append(f"objective {own} is above R's {low}")
    return found


Judged = tuple[str, LmerFit, dict[str, str], tuple[str, ...]]


def judge(cases: list[Case], rscript, folder, dialect, best: str = "tight") -> list[Judged]:
    """Each model by both criteria: its name, our fit, R's texts, and the texts that rounding decides."""
    sources = {data: PREPARED.get(data, data) for _, data, _ in cases}
    frames = frames_of(rscript, sources, folder)
    fits = []
    for i, (formula, data, extra) in enumerate(cases):
        extra = {name: value for name, value in extra.items() if name != "tie"}
        for REML in (False, True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fit = lmer(formula, frames[data], REML, dialect=dialect, **extra)
            fits.append((f"{i} {REML}", (formula, data, extra), REML, fit))
    texts = r_text(rscript, sources, fits, best)
    out = []
    for tag, (formula, data, _), REML, fit in fits:
        theirs = {what: text for (other, what), text in texts.items() if other == tag}
        ties = cases[int(tag.split()[0])][2].get("tie", ())
        out.append((f"{data}: {formula} {'REML' if REML else 'ML'}", fit, theirs, ties))
    return out


def wrong(judged: list[Judged]) -> dict[str, list[str]]:
    """Model -> what differs, where something does."""
    found = {name: differences(fit, theirs, ties) for name, fit, theirs, ties in judged}
    return {name: what for name, what in found.items() if what}


@pytest.fixture(scope="module")
def quick(rscript, tmp_path_factory, live_dialect) -> list[Judged]:
    return judge(QUICK, rscript, tmp_path_factory.mktemp("frames"), live_dialect, "default")


@pytest.mark.r
def test_some_models_print_as_in_r(quick):
    assert len(quick) == 8
    assert wrong(quick) == {}
    assert any("different scales" in theirs["summary"] for _, _, theirs, _ in quick)


@pytest.mark.r
@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("cases", [NAMED, CHOSEN, STRANGE, LARGE], ids=["named", "chosen", "strange", "large"])
def test_all_models_print_as_in_r(cases, rscript, tmp_path, live_dialect):
    assert wrong(judge(cases, rscript, tmp_path, live_dialect, "default" if cases is LARGE else "tight")) == {}


@pytest.mark.r
def test_the_comparison_can_fail(quick):
    (_, other, _, _), (_, fit, theirs, _) = quick[:2]
    assert differences(fit, theirs) == []
    at, low = map(float, theirs["best"].split())
    assert "in R" in differences(fit, theirs | {"best": f"{at + 1e-6} {low}"})[0]
    assert "above" in differences(fit, theirs | {"best": f"{at} {low - 1e-4}"})[0]
    assert differences(fit, theirs | {"anova": theirs["anova"].replace("1", "2", 1)})[0].startswith("anova")
    assert len(differences(other, theirs)) >= 5
