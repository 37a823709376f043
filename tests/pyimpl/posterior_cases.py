"""Designs and recorded R values for the tests of the posterior (see tests/pyimpl/data/make_log_prob.R)."""

import gzip
import json
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyimpl.design.design import Design
from pyimpl.design.random_term import RandomTerm
from pyimpl.models.stan_lmer import Sampling, StanLmerFit, stan_lmer_design
from pyimpl.posterior.priors import (
    Priors,
    cauchy,
    decov,
    hs,
    hs_plus,
    laplace,
    lasso,
    normal,
    product_normal,
    student_t,
)
from pyimpl.posterior.specification import Specification, specify

DATA = Path(__file__).parent / "data"

#: The prior arguments of make_log_prob.R's cases, in Python.
PRIORS: dict[str, dict[str, Any]] = {
    "prior_PD": {"prior_PD": True},
    "student": {
        "prior": student_t(4, [0.5, -1], [1, 2], autoscale=True),
        "prior_intercept": student_t(3, 2, 1.5),
        "prior_aux": student_t(5, 0.5, 2),
    },
    "cauchy": {
        "prior": cauchy(0, 2.5),
        "prior_intercept": cauchy(autoscale=True),
        "prior_aux": cauchy(0, 3, autoscale=True),
    },
    "flat": {"prior": None, "prior_intercept": None, "prior_aux": None},
    "given": {
        "prior": normal([1, 0], [0.5, 3]),
        "prior_intercept": normal(1, 4),
        "prior_aux": normal(0.3, 2),
    },
    "decov": {
        "prior_covariance": decov(
            regularization=[2, 0.7], concentration=[1.5, 0.8, 2, 3, 0.6], shape=[2, 0.9], scale=[0.5, 1.7]
        )
    },
    "laplace": {"prior": laplace([0.5, -1], [1, 2], autoscale=True)},
    "laplace_weights": {"prior": laplace()},
    "lasso": {"prior": lasso([3, 2, 1], 0.2, 1.5)},
    "lasso_default": {"prior": lasso(autoscale=True)},
    "hs": {"prior": hs([1, 2, 3], 2, 0.1, 5, 1.5)},
    "hs_default": {"prior": hs()},
    "hs_none": {"prior": hs()},
    "hs_prior_PD": {"prior": hs(global_scale=0.5), "prior_PD": True},
    "hs_plus": {"prior": hs_plus([1, 2, 3, 4], [4, 3, 2, 1], 2, 0.1, 5, 1.5)},
    "hs_plus_weights": {"prior": hs_plus()},
    "product": {"prior": product_normal([2, 3, 4], [1, 0, -1], [1, 0.5, 2])},
    "product_prior_PD": {"prior": product_normal(), "prior_PD": True},
    "qr": {"QR": True},
    "qr_given": {"QR": True, "prior": normal([1, 0, 2, 0.5], [0.5, 3, 1, 2])},
    "qr_flat": {"QR": True, "prior": None},
    "qr_student": {"QR": True, "prior": student_t(5, autoscale=True)},
    "qr_hs": {"QR": True, "prior": hs()},
    "qr_product": {"QR": True, "prior": product_normal(3, scale=2), "prior_PD": True},
}


def is_prior_PD(name: str) -> bool:
    """Whether a case leaves the likelihood out."""
    return bool(PRIORS.get(name, {}).get("prior_PD", False))


@cache
def recorded() -> dict[str, Any]:
    with gzip.open(DATA / "log_prob.json.gz", "rt") as file:
        return json.load(file)


def case_names() -> list[str]:
    return list(recorded()["cases"])


def design_of(record: dict[str, Any]) -> Design:
    terms = tuple(
        RandomTerm(
            group=term["group"],
            effects=tuple(np.atleast_1d(term["effects"]).tolist()),
            levels=tuple(term["levels"]),
            codes=np.array(term["codes"], dtype=np.intp),
            columns=np.array(term["columns"], dtype=float),
        )
        for term in record["terms"]
    )
    y = np.array(record["y"], dtype=float)
    offset = record["offset"]
    weights = record["weights"]
    return Design(
        formula=record["formula"],
        response=record["formula"].split(" ~ ")[0],
        index=pd.RangeIndex(y.size),
        y=y,
        X=np.array(record["X"], dtype=float).reshape(y.size, -1),
        coef_names=tuple(np.atleast_1d(record["coef_names"]).tolist()),
        terms=terms,
        weights=None if weights is None else np.array(weights, dtype=float),
        offset=np.array(offset, dtype=float) if offset else None,
        frame_source=pd.DataFrame(index=pd.RangeIndex(y.size)),
    )


def specification_of(name: str, **priors: Any) -> Specification:
    return specify(design_of(recorded()["cases"][name]), Priors(**{**PRIORS.get(name, {}), **priors}))


def sampled(design: Design, **arguments: Any) -> StanLmerFit:
    """``stan_lmer_design`` with the fields of :class:`Priors` and :class:`Sampling` as keywords."""
    names = {field.name for field in fields(Sampling)}
    sampling = Sampling(**{name: arguments.pop(name) for name in names & set(arguments)})
    return stan_lmer_design(design, Priors(**arguments), sampling)
