"""Data sets of R packages."""

import numpy as np
import pytest

from bridge import datasets, mlmRev, stats
from bridge.errors import DataError, RPackageError
from bridge.provenance import r_versions

pytestmark = pytest.mark.r


def test_Gcsemv_is_the_tutorials():
    data = mlmRev.Gcsemv()
    assert data.shape == (1905, 5)
    assert data.columns.tolist() == ["school", "student", "gender", "written", "course"]
    assert data.attrs["name"] == "Gcsemv"
    assert data["school"].cat.categories[:2].tolist() == ["20920", "22520"]
    assert len(data["school"].cat.categories) == 73
    assert len(data["student"].cat.categories) == 649
    assert data["gender"].cat.categories.tolist() == ["F", "M"]
    assert int(data["written"].isna().sum()) == 202
    assert int(data["course"].isna().sum()) == 180
    np.testing.assert_allclose(data["course"].std(), 16.32096, atol=5e-6)


def test_ordered_factors_and_any_data_set_by_name():
    cake = datasets.load("cake", package="lme4")
    assert cake["temperature"].cat.ordered
    assert cake["temperature"].cat.categories.tolist() == ["175", "185", "195", "205", "215", "225"]
    assert mlmRev.Chem97().shape == (31022, 8)
    assert datasets.load("iris", package="datasets").shape == (150, 5)
    cars = datasets.load("mtcars", package="datasets")
    assert cars.index[0] == "Mazda RX4"


def test_wrong_names_list_what_is_there():
    with pytest.raises(DataError, match=r"no data set 'Gcse'.*Chem97.*Gcsemv"):
        datasets.load("Gcse", package="mlmRev")
    with pytest.raises(DataError, match="Gcsemv"):
        mlmRev.gcsemv()
    with pytest.raises(RPackageError) as caught:
        datasets.names("noSuchPackage")
    assert caught.value.package == "noSuchPackage"
    assert caught.value.found is None
    assert "install" in caught.value.command
    with pytest.raises(DataError, match="not a data frame"):
        datasets.load("volcano", package="datasets")
    assert "sleepstudy" in datasets.names("lme4")


def test_str_and_summary_print_as_r_does(gcse, live_dialect):
    text = str(stats.str_frame(gcse))
    assert "'data.frame':\t1905 obs. of  4 variables:" in text
    assert ' $ school : Factor w/ 73 levels "20920","22520",..: 1 1 1 1 1 1 1 1 1 2 ...' in text
    assert " $ course : num  NA 71.2 76.8 87.9 44.4 NA 89.8 17.5 32.4 84.2 ..." in text
    text = str(stats.summary_frame(mlmRev.Gcsemv()))
    missing = "NAs    " if live_dialect.has("nas_without_apostrophe") else "NA's   "
    for piece in ("68137  : 104", "F:1128", "Min.   : 0.60", f"{missing}:202", f"{missing}:180"):
        assert piece in text


def test_lm_and_model_matrix(gcse):
    pooled = stats.lm("course ~ female", gcse)
    assert pooled.nobs == 1725
    complete = gcse.dropna()
    means = complete.groupby("female", observed=True)["course"].mean()
    np.testing.assert_allclose(pooled.coef, [means["M"], means["F"] - means["M"]], rtol=1e-12)
    assert pooled.fitted.index.equals(complete.index)
    np.testing.assert_allclose(pooled.fitted + pooled.residuals, complete["course"], rtol=1e-12)
    assert pooled.table.columns.tolist() == ["Estimate", "Std. Error", "t value", "Pr(>|t|)"]
    assert pooled.se.index.tolist() == ["(Intercept)", "femaleF"]
    assert "lm(formula = course ~ female, data = GCSE)" in str(pooled.summary())
    nopooled = stats.lm("course ~ 0 + school + female", gcse)
    assert nopooled.coef.index[:2].tolist() == ["school20920", "school22520"]
    assert nopooled.coef.shape == (74,)
    X = stats.model_matrix("~ female * log(course)", gcse)
    assert X.columns.tolist() == ["(Intercept)", "femaleF", "log(course)", "femaleF:log(course)"]
    assert X.index.equals(complete.index)
    helmert = stats.model_matrix("~ female", gcse, contrasts={"female": "contr.helmert"})
    assert helmert.columns.tolist() == ["(Intercept)", "female1"]


def test_versions():
    versions = r_versions(("lme4", "noSuchPackage"))
    assert versions["R"].count(".") == 2
    assert "-" in versions["packages"]["lme4"]
    assert versions["packages"]["noSuchPackage"] is None
    assert versions["platform"]
