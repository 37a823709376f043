"""Fits that the bridge's tests share; read, never changed."""

import warnings

import pandas as pd
import pytest

M1 = "course ~ 1 + (1 | school)"
M2 = "course ~ 1 + female + (1 | school)"
M3 = "course ~ 1 + female + (1 + female | school)"


@pytest.fixture(scope="session")
def gcse() -> pd.DataFrame:
    """The tutorial's data: 1905 students, female with M as reference."""
    from bridge import mlmRev

    data = mlmRev.Gcsemv()
    data["female"] = data["gender"].cat.reorder_categories(["M", "F"])
    data = data[["school", "student", "female", "course"]]
    data.attrs["name"] = "GCSE"
    return data


@pytest.fixture(scope="session")
def sleepstudy() -> pd.DataFrame:
    from bridge import datasets

    return datasets.load("sleepstudy", package="lme4")


@pytest.fixture(scope="session")
def m3(gcse):
    from bridge import lme4

    return lme4.lmer(M3, gcse, REML=False)


@pytest.fixture(scope="session")
def stan(sleepstudy):
    """Two short chains of a model with a random slope, on data that sample fast."""
    from bridge import rstanarm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rstanarm.stan_lmer(
            "Reaction ~ 1 + Days + (1 + Days | Subject)",
            sleepstudy,
            seed=7,
            chains=2,
            iter=80,
            cores=2,
            max_treedepth=7,
        )
