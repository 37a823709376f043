"""The detectors for two likelihood fits, in the order of AGREEMENT.md's table of faults."""

from collections.abc import Callable

from validation.judge.diagnosis import (
    coding,
    covariance,
    criterion,
    effects,
    labels,
    missing,
    names,
    optimum,
    precision,
    reported,
    rows,
    scale,
    structure,
    transformed,
)
from validation.judge.evidence import Evidence
from validation.verdict import Cause

#: In the order of AGREEMENT.md's table, which decides between findings of one strength.
DETECTORS: tuple[Callable[[Evidence], Cause | None], ...] = (
    criterion.other_criterion,
    scale.scale_of_components,
    scale.scale_of_modes,
    scale.correlations,
    coding.coding,
    transformed.other_units,
    rows.rows_used,
    rows.data_values,
    optimum.boundary,
    optimum.optimizer,
    structure.model_structure,
    covariance.covariance_structure,
    structure.lost_effects,
    structure.order_of_theta,
    labels.permuted_modes,
    labels.permuted_labels,
    labels.permuted_factor,
    names.other_names,
    labels.signs,
    reported.constants,
    reported.degrees_of_freedom,
    reported.residual_variance,
    criterion.standard_errors_of_other_criterion,
    reported.standard_error_scale,
    reported.tests_of_coefficients,
    effects.unshrunken,
    effects.other_fits,
    effects.predictions,
    precision.single_precision,
    precision.cancellation,
    missing.lost_weights,
    missing.malformed_values,
    missing.lost_numbers,
)

#: Of a comparison in which nothing is known to differ: what may still be known of it.
OF_INCONCLUSIVE: tuple[Callable[[Evidence], Cause | None], ...] = (reported.constants,)
