"""The detectors for two posteriors, in the order of AGREEMENT.md's table of faults."""

from collections.abc import Callable

from validation.judge.diagnosis import draws, prior_summaries, priors
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.verdict import Cause

#: In the order of AGREEMENT.md's table, which decides between findings of one strength.
DETECTORS: tuple[Callable[[PosteriorEvidence], Cause | None], ...] = (
    draws.scale_of_draws,
    draws.reported_numbers,
    draws.other_reference_level,
    draws.rows_used,
    draws.correlation_lost,
    draws.permuted_draws,
    priors.priors,
    prior_summaries.printed_priors,
    draws.shifted_intercept,
    draws.copied_draws,
    draws.torn_apart,
    draws.single_precision,
    draws.lost_parameters,
)

#: Detectors that say why draws are not valid, for a comparison that is inconclusive.
OF_INCONCLUSIVE: tuple[Callable[[PosteriorEvidence], Cause | None], ...] = (prior_summaries.improper_hs_plus,)
