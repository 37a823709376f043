"""The detectors for two posteriors, in the order of AGREEMENT.md's table of faults."""

from collections.abc import Callable

from validation.judge.diagnosis.draws import (
    copied_draws,
    correlation_lost,
    lost_parameters,
    other_reference_level,
    permuted_draws,
    reported_numbers,
    rows_used,
    scale_of_draws,
    shifted_intercept,
    single_precision,
    torn_apart,
)
from validation.judge.diagnosis.prior_summaries import improper_hs_plus, printed_priors
from validation.judge.diagnosis.priors import priors
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.verdict import Cause

__all__ = ["DETECTORS", "OF_INCONCLUSIVE"]


#: In the order of AGREEMENT.md's table, which decides between findings of one strength.
DETECTORS: tuple[Callable[[PosteriorEvidence], Cause | None], ...] = (
    scale_of_draws,
    reported_numbers,
    other_reference_level,
    rows_used,
    correlation_lost,
    permuted_draws,
    priors,
    printed_priors,
    shifted_intercept,
    copied_draws,
    torn_apart,
    single_precision,
    lost_parameters,
)

#: Detectors that say why draws are not valid, for a comparison that is inconclusive.
OF_INCONCLUSIVE: tuple[Callable[[PosteriorEvidence], Cause | None], ...] = (improper_hs_plus,)
