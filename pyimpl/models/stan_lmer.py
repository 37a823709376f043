"""``stan_lmer``: rstanarm's Bayesian linear mixed model, in Python alone.

The model and its priors are exactly rstanarm's (the same from 2.21.3 to 2.32.2). It is sampled by integrating the
random effects and the coefficients out (``sampler="collapsed"``, the default: fractions of a second), or by NUTS on the
full model as a readable PyMC model (``sampler="nuts"``). Quadrature gives the same posterior without Monte Carlo error
where the dimension allows (:meth:`StanLmerFit.quadrature`).
"""

import time
import warnings as warnings_module
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Unpack

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Count, Seed, dialect_of
from pyimpl.design.design import Design
from pyimpl.design.model_matrix import Contrasts
from pyimpl.errors import ModelError
from pyimpl.frame.model_frame import Subset, VectorLike
from pyimpl.inference.source import Source
from pyimpl.linalg.forecast import refuse_too_large
from pyimpl.linalg.threads import one_blas_thread
from pyimpl.models.stan_fit import StanLmerFit
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.conflict import unexplored
from pyimpl.posterior.draws import complete, from_unconstrained
from pyimpl.posterior.labels import refuse_ambiguous_names
from pyimpl.posterior.loo import loo_compare
from pyimpl.posterior.priors import (
    Decov,
    Prior,
    cauchy,
    decov,
    default_prior_coef,
    default_prior_intercept,
    exponential,
    hs,
    hs_plus,
    laplace,
    lasso,
    lkj,
    normal,
    product_normal,
    student_t,
)
from pyimpl.posterior.sampler import SamplerResult, sample_collapsed, sample_prior
from pyimpl.posterior.specification import FLAT, Specification, specify
from pyimpl.progress import progress_bar
from r_scripts.arguments import StanArguments, check_r_arguments
from r_scripts.caller import warn
from r_scripts.dialect import Dialect

__all__ = [
    "StanLmerFit",
    "cauchy",
    "decov",
    "default_prior_coef",
    "default_prior_intercept",
    "exponential",
    "hs",
    "hs_plus",
    "laplace",
    "lasso",
    "lkj",
    "loo_compare",
    "normal",
    "product_normal",
    "stan_lmer",
    "stan_lmer_design",
    "student_t",
]
_DEFAULT_COEF = default_prior_coef()
_DEFAULT_INTERCEPT = default_prior_intercept()
_DEFAULT_AUX = exponential(autoscale=True)
_DEFAULT_COVARIANCE = decov()


@contextmanager
def _reporting(progress: bool) -> Iterator[Callable[[str, float], None] | None]:
    """Show what is being done, on the terminal or in the notebook."""
    if not progress:
        yield None
        return
    with progress_bar("stan_lmer", 1.0) as bar:
        yield bar.say


@SIGNATURES.leaving(
    "formula",
    "data",
    "contrasts",
    "offset",
    "weights",
    "prior",
    "prior_intercept",
    "prior_aux",
    "prior_covariance",
    "r_arguments",
)
def stan_lmer(
    formula: str,
    data: pd.DataFrame,
    *,
    weights: VectorLike | None = None,
    offset: VectorLike | None = None,
    subset: Subset | None = None,
    na_action: str = "na.omit",
    contrasts: Contrasts | None = None,
    prior: Prior | None = _DEFAULT_COEF,
    prior_intercept: Prior | None = _DEFAULT_INTERCEPT,
    prior_aux: Prior | None = _DEFAULT_AUX,
    prior_covariance: Decov = _DEFAULT_COVARIANCE,
    prior_PD: bool = False,
    QR: bool = False,
    chains: Count = 4,
    iter: Count = 2000,  # noqa: A002
    warmup: int | None = None,
    seed: Seed | None = None,
    sampler: str = "collapsed",
    data_name: str | None = None,
    progress: bool = False,
    dialect: Dialect | Mapping[str, str] | str | None = None,
    **r_arguments: Unpack[StanArguments],
) -> StanLmerFit:
    """Fit a Bayesian linear mixed model as ``rstanarm::stan_lmer`` does.

    Parameters
    ----------
    formula : str
        lme4's: ``"course ~ 1 + female + (1 + female | school)"``.
    data : pandas.DataFrame
    weights, offset, subset : str or array, optional
        As in :func:`pyimpl.lmer`.
    na_action, contrasts
        As in :func:`pyimpl.lmer`.
    prior, prior_intercept, prior_aux : Prior or None
        Of the coefficients, of the intercept at centred predictors, of sigma: ``normal()``, ``student_t()``,
        ``cauchy()``; for the coefficients ``laplace()``, ``lasso()``, ``hs()``, ``hs_plus()`` and
        ``product_normal()`` too, for sigma ``exponential()``; None is flat. A prior given here is not autoscaled unless
        its ``autoscale`` is true; the defaults are.
    prior_covariance : Decov
        ``decov()``.
    prior_PD : bool
        Draw from the prior: the likelihood is left out.
    QR : bool
        Give `prior` to the slopes of the QR-orthogonalised predictors, as rstanarm; 2 or more of them. What is reported
        are the slopes of the predictors themselves.
    chains, iter, warmup : int
        ``iter - warmup`` draws a chain are kept; ``warmup`` is ``iter // 2`` unless given. (The collapsed sampler
        needs no warm-up of its own: the arguments only say how many draws are wanted.)
    seed : int, optional
        The same seed gives the same draws.
    sampler : {"collapsed", "nuts"}
        ``"collapsed"`` integrates random effects and coefficients out and draws them exactly afterwards; ``"nuts"``
        samples the full model with PyMC and nutpie.
    data_name : str, optional
        How the data are called in printed output.
    progress : bool
        Show on the terminal what is being done.
    dialect : Dialect, mapping or str, optional
        The R whose texts and numbers the fit's verbs give (``loo``, ``print``, ...): a stack (``"debian-12"``) or
        versions (``"rstanarm 2.21.3, loo 2.5.1"``). The newest where not given. The posterior does not depend on it.
    **r_arguments
        Arguments of R's that have no meaning here (``cores``, ``refresh``, ``algorithm="sampling"``, ...): accepted, so
        that a call carried over from R runs. A value that asks for something that is not here is refused, with why
        (``algorithm="meanfield"``, ``thin=2``).

    Returns
    -------
    StanLmerFit

    Raises
    ------
    FormulaError, DataError, ModelError
        What cannot be fitted, with the reason and the remedy.

    Warns
    -----
    ConvergenceWarning
        The draws are not good enough.

    Examples
    --------
    >>> fit = stan_lmer("course ~ 1 + (1 | school)", gcse, seed=349)  # doctest: +SKIP
    >>> print(fit.summary(pars=["(Intercept)", "sigma"], probs=[0.025, 0.975], digits=2))  # doctest: +SKIP
    """
    call = dict(locals())
    del call["r_arguments"]
    check_r_arguments("stan_lmer", r_arguments, call, ModelError)
    spoken = dialect_of(dialect)
    from pyimpl.design.checks import STAN_LMER_CHECKS
    from pyimpl.design.design import build_design

    design = build_design(
        formula,
        data,
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
        contrasts=contrasts,
        checks=STAN_LMER_CHECKS,
        dialect=spoken,
    )
    if design.structure is not None:
        raise ModelError(
            f"stan_lmer has no prior for structured covariances ({', '.join(o.name for o in design.structure.named)})"
            ": decov is one of unstructured matrices. Write (x | g); lmer fits diag(), cs() and ar1()."
        )
    fit = stan_lmer_design(
        design,
        prior=prior,
        prior_intercept=prior_intercept,
        prior_aux=prior_aux,
        prior_covariance=prior_covariance,
        prior_PD=prior_PD,
        QR=QR,
        chains=chains,
        iter=iter,
        warmup=warmup,
        seed=seed,
        sampler=sampler,
        data_name=data_name,
        progress=progress,
        dialect=spoken,
    )
    fit.source = Source(data, call, stan_lmer)
    return fit


def stan_lmer_design(
    design: Design,
    *,
    prior: Prior | None = _DEFAULT_COEF,
    prior_intercept: Prior | None = _DEFAULT_INTERCEPT,
    prior_aux: Prior | None = _DEFAULT_AUX,
    prior_covariance: Decov = _DEFAULT_COVARIANCE,
    prior_PD: bool = False,
    QR: bool = False,
    chains: Count = 4,
    iter: Count = 2000,  # noqa: A002
    warmup: int | None = None,
    seed: Seed | None = None,
    sampler: str = "collapsed",
    data_name: str | None = None,
    progress: bool = False,
    dialect: Dialect | Mapping[str, str] | str | None = None,
) -> StanLmerFit:
    """:func:`stan_lmer` for a design that is there already (the arguments are the same)."""
    spoken = dialect_of(dialect)
    warmup = iter // 2 if warmup is None else warmup
    for name, value, least in (("chains", chains, 1), ("iter", iter, 1), ("warmup", warmup, 0)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise ModelError(f"{name} should be an integer of {least} or more, but is {value!r}.")
    if warmup >= iter:
        raise ModelError(f"iter ({iter}) should be more than warmup ({warmup}): iter - warmup draws a chain are kept.")
    if sampler not in ("collapsed", "nuts"):
        raise ModelError(f"sampler should be 'collapsed' or 'nuts', but is {sampler!r}.")
    if not design.terms:
        raise ModelError("No random effects terms specified in formula: stan_lmer needs one, such as (1 | group).")
    refuse_ambiguous_names(design.terms)
    seeds = np.random.SeedSequence(seed).spawn(chains + 1)
    with warnings_module.catch_warnings(record=True) as caught:
        warnings_module.simplefilter("always")
        spec = specify(
            design,
            prior=prior,
            prior_intercept=prior_intercept,
            prior_aux=prior_aux,
            prior_covariance=prior_covariance,
            prior_PD=prior_PD,
            QR=QR,
        )
        if prior_PD:
            _refuse_improper(spec)
        effects = sum(term.p * (term.J + 1) for term in spec.terms)
        refuse_too_large(
            float(chains) * (iter - warmup) * (spec.K + 2 * effects),
            f"{chains * (iter - warmup)} draws of {effects} random effects",
            "Take a smaller iter",
        )
        density: CollapsedDensity | None = None
        result: SamplerResult | None = None
        divergences = 0
        with _reporting(progress) as report, one_blas_thread():
            if sampler == "nuts":
                from pyimpl.posterior.pymc_model import sample_full

                began = time.perf_counter()
                points, divergences = sample_full(
                    spec, chains=chains, draws=iter - warmup, tune=max(warmup, 1), seed=seeds[0], progress=progress
                )
                draws = from_unconstrained(spec, points, chains, seeds[1])
            else:
                density = CollapsedDensity(spec)
                if not prior_PD:
                    density.read_rows()
                began = time.perf_counter()  # from here on nothing depends on the number of rows
                draw = sample_prior if prior_PD else sample_collapsed
                options = {} if prior_PD else {"progress": report}
                try:
                    result = draw(density, chains=chains, draws=iter - warmup, seeds=seeds, **options)
                except np.linalg.LinAlgError as error:
                    raise unexplored(density) from error
                rngs = [np.random.default_rng(child.spawn(1)[0]) for child in seeds[1:]]
                draws = complete(density, result.u, rngs, report)
            seconds = time.perf_counter() - began
    fit = StanLmerFit(
        spec,
        draws,
        sampler_result=result,
        density=density,
        seed=seed,
        seconds=seconds,
        warnings=(*design.warnings, *(str(w.message) for w in caught)),
        data_name=data_name,
        divergences=divergences,
        dialect=spoken,
    )
    for w in caught:
        warn(w.message, w.category)
    return fit


def _refuse_improper(spec: Specification) -> None:
    flat = []
    if spec.has_intercept and spec.intercept.dist == FLAT:
        flat.append("prior_intercept")
    if spec.K and spec.coef.dist == FLAT:
        flat.append("prior")
    if flat:
        raise ModelError(
            f"With prior_PD=True there is nothing to draw from: {' and '.join(flat)} is flat (improper). "
            "Give a proper prior, e.g. normal(0, 2.5, autoscale=True)."
        )
