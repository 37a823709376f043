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
from dataclasses import dataclass
from typing import Unpack

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Count, Seed, dialect_of
from pyimpl.design.checks import STAN_LMER_CHECKS
from pyimpl.design.design import Design, build_design
from pyimpl.design.model_matrix import Contrasts
from pyimpl.errors import ModelError
from pyimpl.frame.model_frame import FrameArguments, Subset, VectorLike
from pyimpl.inference.source import Source
from pyimpl.linalg.forecast import refuse_too_large
from pyimpl.linalg.threads import one_blas_thread
from pyimpl.models.stan_estimates import SamplingRecord
from pyimpl.models.stan_fit import StanLmerFit
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.conflict import unexplored
from pyimpl.posterior.draws import PosteriorDraws, complete, from_unconstrained
from pyimpl.posterior.labels import refuse_ambiguous_names
from pyimpl.posterior.loo import loo_compare
from pyimpl.posterior.priors import (
    Decov,
    Prior,
    Priors,
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
from pyimpl.posterior.sampler import sample_collapsed, sample_prior
from pyimpl.posterior.specification import FLAT, Specification, specify
from pyimpl.progress import progress_bar
from r_scripts.arguments import StanArguments, check_r_arguments
from r_scripts.caller import warn
from r_scripts.dialect import Dialect

__all__ = [
    "Priors",
    "Sampling",
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

Report = Callable[[str, float], None]


@contextmanager
def _reporting(progress: bool) -> Iterator[Report | None]:
    """Show what is being done, on the terminal or in the notebook."""
    if not progress:
        yield None
        return
    with progress_bar("stan_lmer", 1.0) as bar:
        yield bar.describe


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
    weights, offset, subset, na_action, contrasts
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
    rows = FrameArguments(weights, offset, subset, na_action)
    design = build_design(formula, data, rows, contrasts=contrasts, checks=STAN_LMER_CHECKS, dialect=spoken)
    priors = Priors(prior, prior_intercept, prior_aux, prior_covariance, prior_PD, QR)
    sampling = Sampling(chains, iter, warmup, seed, sampler, progress)
    fit = stan_lmer_design(design, priors, sampling, data_name=data_name, dialect=spoken)
    fit.source = Source(data, call, stan_lmer)
    return fit


@dataclass(frozen=True)
class Sampling:
    """The arguments of ``stan_lmer`` that say how it samples.

    Attributes
    ----------
    chains, iter, warmup : int
        ``iter - warmup`` draws a chain are kept; ``warmup`` is ``iter // 2`` unless given.
    seed : int, optional
    sampler : {"collapsed", "nuts"}
    progress : bool
    """

    chains: int = 4
    iter: int = 2000
    warmup: int | None = None
    seed: int | None = None
    sampler: str = "collapsed"
    progress: bool = False

    def checked(self) -> tuple[int, int]:
        """Draws of each chain that are kept, and iterations before them.

        Raises
        ------
        ModelError
            A count that is none; an unknown sampler.
        """
        warmup = self.iter // 2 if self.warmup is None and isinstance(self.iter, int | np.integer) else self.warmup
        for name, value, least in (("chains", self.chains, 1), ("iter", self.iter, 1), ("warmup", warmup, 0)):
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                raise ModelError(f"{name} should be an integer of {least} or more, but is {value!r}.")
        assert warmup is not None
        if warmup >= self.iter:
            raise ModelError(
                f"iter ({self.iter}) should be more than warmup ({warmup}): iter - warmup draws a chain are kept."
            )
        if self.sampler not in ("collapsed", "nuts"):
            raise ModelError(f"sampler should be 'collapsed' or 'nuts', but is {self.sampler!r}.")
        return int(self.iter - warmup), int(warmup)


def stan_lmer_design(
    design: Design,
    priors: Priors = Priors(),  # noqa: B008 (frozen)
    sampling: Sampling = Sampling(),
    *,
    data_name: str | None = None,
    dialect: Dialect | Mapping[str, str] | str | None = None,
) -> StanLmerFit:
    """:func:`stan_lmer` for a design that is there already.

    Parameters
    ----------
    design : Design
    priors : Priors
    sampling : Sampling
    data_name, dialect
        As of :func:`stan_lmer`.

    Returns
    -------
    StanLmerFit

    Raises
    ------
    ModelError
        What cannot be fitted, with the reason and the remedy.
    """
    spoken = dialect_of(dialect)
    kept, warmup = sampling.checked()
    if not design.terms:
        raise ModelError("No random effects terms specified in formula: stan_lmer needs one, such as (1 | group).")
    if design.structure is not None:
        raise ModelError(
            f"stan_lmer has no prior for structured covariances ({', '.join(o.name for o in design.structure.named)})"
            ": decov is one of unstructured matrices. Write (x | g); lmer fits diag(), cs() and ar1()."
        )
    refuse_ambiguous_names(design.terms)
    with warnings_module.catch_warnings(record=True) as caught:
        warnings_module.simplefilter("always")
        spec = specify(design, priors)
        if priors.prior_PD:
            _refuse_improper(spec)
        effects = sum(term.p * (term.J + 1) for term in spec.terms)
        draws = sampling.chains * kept
        refuse_too_large(
            float(draws) * (spec.K + 2 * effects), f"{draws} draws of {effects} random effects", "Take a smaller iter"
        )
        with _reporting(sampling.progress) as report, one_blas_thread():
            sample = _sample_full if sampling.sampler == "nuts" else _sample_collapsed
            found, record = sample(spec, sampling, kept, warmup, report)
    fit = StanLmerFit(
        spec,
        found,
        record,
        warnings=(*design.warnings, *(str(w.message) for w in caught)),
        data_name=data_name,
        dialect=spoken,
    )
    for w in caught:
        warn(w.message, w.category)
    return fit


def _sample_collapsed(
    spec: Specification, sampling: Sampling, kept: int, warmup: int, report: Report | None
) -> tuple[PosteriorDraws, SamplingRecord]:
    """Draws of the collapsed density, and with them of coefficients and random effects, exactly."""
    seeds = np.random.SeedSequence(sampling.seed).spawn(sampling.chains + 1)
    density = CollapsedDensity(spec)
    if not spec.prior_PD:
        density.read_rows()
    began = time.perf_counter()  # from here on nothing depends on the number of rows
    try:
        if spec.prior_PD:
            result = sample_prior(density, chains=sampling.chains, draws=kept, seeds=seeds)
        else:
            result = sample_collapsed(density, chains=sampling.chains, draws=kept, seeds=seeds, progress=report)
    except np.linalg.LinAlgError as error:
        raise unexplored(density) from error
    rngs = [np.random.default_rng(child.spawn(1)[0]) for child in seeds[1:]]
    draws = complete(density, result.u, rngs, report)
    return draws, SamplingRecord(result, density, sampling.seed, time.perf_counter() - began)


def _sample_full(
    spec: Specification, sampling: Sampling, kept: int, warmup: int, report: Report | None
) -> tuple[PosteriorDraws, SamplingRecord]:
    """Draws of the full model by PyMC and nutpie, which show their own progress."""
    from pyimpl.posterior.pymc_model import sample_full

    chains, seeds = sampling.chains, np.random.SeedSequence(sampling.seed).spawn(sampling.chains + 1)
    began = time.perf_counter()
    points, divergences = sample_full(
        spec, chains=chains, draws=kept, tune=max(warmup, 1), seed=seeds[0], progress=sampling.progress
    )
    draws = from_unconstrained(spec, points, chains, seeds[1])
    seconds = time.perf_counter() - began
    return draws, SamplingRecord(None, None, sampling.seed, seconds, divergences)


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
