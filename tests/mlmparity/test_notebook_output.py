"""What a notebook shows of fits, tables, pictures and progress."""

import re
import sys
from html import unescape
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlmparity import emmeans, lmer, load_dataset, stan_lmer
from pyimpl.plots.posterior import trace
from pyimpl.progress import progress_bar, with_bar
from r_scripts.printed import printed_html


@pytest.fixture(scope="module")
def fits() -> Any:
    data = load_dataset("sleepstudy")
    return SimpleNamespace(
        one=lmer("Reaction ~ Days + (1 | Subject)", data, REML=False),
        two=lmer("Reaction ~ Days + (Days | Subject)", data, REML=False),
        cake=lmer("angle ~ recipe + (1 | replicate)", load_dataset("cake")),
    )


def text_of(page: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page))


def test_every_letter_that_r_prints_is_there(fits: Any) -> None:
    table = fits.two.anova(fits.one)
    for shown, text in [
        (fits.two, str(fits.two)),
        (fits.two.summary(), str(fits.two.summary())),
        (fits.two.VarCorr(), fits.two.VarCorr().to_text()),
        (table, table.to_text()),
        (emmeans(fits.cake, "recipe").summary(), str(emmeans(fits.cake, "recipe").summary())),
    ]:
        page = shown._repr_html_()
        assert text_of(page) == text.rstrip("\n")
        assert "max-width:800px" in page
        assert "overflow-x:auto" in page
    assert "Formula" in fits.two._repr_html_()
    assert re.search(r"<b[^>]*>\*\*\*</b>", table._repr_html_())  # the stars, and their legend
    assert "Signif. codes" in table._repr_html_()


def test_labels_are_no_mark_up() -> None:
    page = printed_html("Formula: y ~ `<script>alert(1)</script>`\n&amp; <b>: \n")
    assert "<script>" not in page
    assert text_of(page) == "Formula: y ~ `<script>alert(1)</script>`\n&amp; <b>: "


def test_posteriors_show_themselves() -> None:
    fit = stan_lmer("Yield ~ 1 + (1 | Batch)", load_dataset("Dyestuff"), seed=1, iter=400)
    for shown in (fit, fit.summary(), fit.prior_summary()):
        assert text_of(shown._repr_html_()).strip("\n") == str(shown).strip("\n")


def test_plots_show_themselves_within_a_cell(fits: Any) -> None:
    import pandas as pd

    draws = pd.DataFrame(np.random.default_rng(1).normal(size=(40, 4)), columns=list("abcd"))
    for figure in (fits.two.plot_ranef(), trace(draws, 4)):
        picture, size = figure._repr_png_()
        assert picture.startswith(b"\x89PNG")
        assert 100 < size["width"] <= 800
        assert int.from_bytes(picture[16:20], "big") == pytest.approx(2 * size["width"], abs=3)  # sharp


class Display:
    """IPython's display, as a notebook has it."""

    def __init__(self) -> None:
        self.pages: list[str] = []

    def HTML(self, page: str) -> str:
        return page

    def display(self, page: str, display_id: bool) -> "Display":
        assert display_id
        self.pages.append(page)
        return self

    def update(self, page: str) -> None:
        self.pages.append(page)


def test_progress_in_a_notebook_needs_no_widgets(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    display = Display()
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "IPython.display", display)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # type: ignore[arg-type]
    monkeypatch.setattr("pyimpl.progress._EVERY", 0.0)
    assert list(with_bar("boot", ["a", "b"], [3, 1])) == ["a", "b"]
    assert "75%" in display.pages[1]
    assert display.pages[-1] == ""  # nothing is left
    with progress_bar("stan_lmer", 1.0) as bar:
        bar.describe("<warm-up>", 0.5)
    assert "stan_lmer: &lt;warm-up&gt;" in display.pages[-2]
    assert "50%" in display.pages[-2]
    assert capfd.readouterr().err == ""


def test_progress_elsewhere_goes_to_standard_error_and_can_be_left_out(capfd: Any) -> None:
    assert list(with_bar("boot", [1, 2], [1, 1])) == [1, 2]
    assert capfd.readouterr().out == ""
    assert list(with_bar("boot", [1, 2], [1, 1], shown=False)) == [1, 2]
    assert capfd.readouterr() == ("", "")
