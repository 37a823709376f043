"""Tables of several models, and fits in the packages marginaleffects, maketables and great_tables."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import pyimpl
from pyimpl.errors import DataError, PyimplWarning


@cache
def _data():
    rng = np.random.default_rng(8)
    n = 120
    frame = pd.DataFrame({"x": rng.normal(size=n), "t": rng.choice(["b", "a", "c"], n), "g": rng.integers(0, 10, n)})
    frame["y"] = 2 + 0.5 * frame["x"] + (frame["t"] == "c") + rng.normal(0, 1, 10)[frame["g"]] + rng.normal(size=n)
    return frame


@cache
def _fit(formula="y ~ x * t + (1 | g)", **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pyimpl.lmer(formula, _data(), **arguments)


def test_every_model_has_its_column_and_every_coefficient_its_row():
    table = pyimpl.regression_table({"small": _fit("y ~ x + (1 | g)"), "large_one": _fit()}, below="ci", level=0.9)
    frame = table.frame
    assert list(frame.columns) == ["small", "large_one"]
    assert frame.loc[("Fixed effects", "x:tb"), "small"] == ""
    low, high = _fit().confint("x", level=0.9, method="Wald").to_numpy()[0]
    cell = frame.loc[("Fixed effects", "x"), "large_one"].replace("\N{MINUS SIGN}", "-")
    assert cell == f"{_fit().fixef()['x']:.3f} [{low:.3f}, {high:.3f}]"
    assert frame.loc[("Model", "Levels of g"), "small"] == "10"
    assert "different fixed effects cannot be compared" in table.to_markdown()
    assert r"large\_one" in table.to_latex()
    assert table.to_html().count("<tr>") == len(frame) + 5  # the head, three parts, the notes


def test_text_is_escaped():
    table = pyimpl.regression_table([_fit()], labels={"x": "a < b & 5% | c_d"}, title="T & <i>")
    assert "a &lt; b &amp; 5% | c_d" in table.to_html()
    assert r"a $<$ b \& 5\% $|$ c\_d" in table.to_latex()
    assert r"a < b & 5% \| c\_d" in table.to_markdown()
    assert table.to_markdown().startswith(r"**T & \<i>**")


def test_no_name_becomes_mark_up_nor_breaks_a_line():
    name = "<img src=x onerror=alert(1)>\n\n| b | &lt; [c](javascript:d) $e$ \x1b[2J"
    table = pyimpl.regression_table({name: _fit()}, labels={"x": name}, title=name)
    text = table.to_markdown()
    expected = r"\<img src=x onerror=alert(1)>  \| b \| \&lt; [c\](javascript:d) \$e\$ \\033[2J"
    assert text.splitlines()[0] == f"**{expected}**"
    assert text.count(expected) == 3
    assert len({line.replace(r"\|", "").count("|") for line in text.splitlines() if line.startswith("|")}) == 1
    assert all(line.endswith((r"\\", "rule", "{tabular}{lr}", "{tabular}", "{table}", "}", r"\centering"))
               for line in table.to_latex().splitlines())  # fmt: skip
    assert not pd.Series([text, table.to_latex(), str(table)]).str.contains("\x1b", regex=False).any()


def test_stars_are_those_of_the_degrees_of_freedom_asked_for():
    p = _fit().satterthwaite()["Pr(>|t|)"]
    table = pyimpl.regression_table([_fit()], stars=True, ddf="Satterthwaite").frame["Model 1"]
    for name, value in p.items():
        stars = sum(value < limit for limit in (0.05, 0.01, 0.001))
        assert table["Fixed effects", name].count("*") == stars


def test_a_word_document_has_every_cell(tmp_path):
    docx = pytest.importorskip("docx")
    table = pyimpl.regression_table([_fit()], title="Pupils")
    table.to_word(tmp_path / "t.docx")
    document = docx.Document(tmp_path / "t.docx")
    cells = [cell.text for row in document.tables[0].rows for cell in row.cells]
    assert set(table.frame["Model 1"]) <= set(cells)
    assert document.paragraphs[0].text == "Pupils"


def test_options_are_checked():
    with pytest.raises(DataError, match="there are no models"):
        pyimpl.regression_table([])
    with pytest.raises(DataError, match="below must be"):
        pyimpl.regression_table([_fit()], below="p")
    with pytest.raises(DataError, match="models must be"):
        pyimpl.regression_table([1])


def test_a_singular_fit_has_no_conditional_r2():
    singular = _fit("y ~ x + (1 | t)")
    assert singular.check_singularity() == singular.isSingular(1e-5)
    if singular.check_singularity():
        with pytest.warns(PyimplWarning, match="variance components equal zero"):
            assert np.isnan(singular.r2()["R2_conditional"].item())


def test_maketables_reads_a_fit():
    maketables = pytest.importorskip("maketables")
    from maketables.extractors import get_extractor

    extractor = get_extractor(_fit())
    table = extractor.coef_table(_fit())
    assert list(table.index) == list(_fit().fixef().index)
    assert extractor.depvar(_fit()) == "y"
    assert extractor.stat(_fit(), "N") == 120
    assert "x" in maketables.ETable([_fit()]).make(type="html")


def test_marginaleffects_of_a_linear_model_are_linear_functions():
    effects = pytest.importorskip("marginaleffects")
    fit = _fit()
    model = fit.marginaleffects()
    beta, vcov = fit.fixef().to_numpy(), fit.vcov().to_numpy()
    names = list(fit.fixef().index)
    share = _data()["t"].value_counts(normalize=True)
    L = np.array([{"x": 1.0, "x:tb": share["b"], "x:tc": share["c"]}.get(name, 0.0) for name in names])
    slope = effects.avg_slopes(model, variables="x")
    assert float(slope["estimate"][0]) == pytest.approx(L @ beta, rel=1e-6)
    assert float(slope["std_error"][0]) == pytest.approx(np.sqrt(L @ vcov @ L), rel=1e-3)  # differences
    X = pd.DataFrame(fit.getME("X"))
    mean = effects.avg_predictions(model)
    assert float(mean["estimate"][0]) == pytest.approx(float(X.mean() @ beta), rel=1e-8)
    own = effects.predictions(fit.marginaleffects(re_form=None))
    np.testing.assert_allclose(own["estimate"].to_numpy(), fit.fitted(), rtol=1e-8)
    joint = effects.hypotheses(model, hypothesis="x = 0")
    assert float(joint["statistic"][0]) == pytest.approx(float(fit.coef_table().loc["x", "t value"]), rel=1e-3)
    adjusted = effects.avg_slopes(fit.marginaleffects(vcov="Kenward-Roger"), variables="x")
    assert float(adjusted["std_error"][0]) > float(slope["std_error"][0])
    with pytest.raises(DataError, match="no coefficient 'u'"):
        fit.marginaleffects(beta={"u": 1})
