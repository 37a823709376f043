"""The detectors for two likelihood fits, in the order of AGREEMENT.md's table of faults."""

from collections.abc import Callable

from validation.judge.diagnosis.coding import coding
from validation.judge.diagnosis.covariance import covariance_structure
from validation.judge.diagnosis.criterion import other_criterion, standard_errors_of_other_criterion
from validation.judge.diagnosis.derived import correlations, residual_variance, scale_of_modes, signs
from validation.judge.diagnosis.effects import predictions, unshrunken
from validation.judge.diagnosis.labels import permuted_labels, permuted_modes
from validation.judge.diagnosis.missing import lost_numbers, lost_weights, malformed_values
from validation.judge.diagnosis.names import other_names
from validation.judge.diagnosis.optimum import boundary, optimizer
from validation.judge.diagnosis.precision import cancellation, single_precision
from validation.judge.diagnosis.reported import (
    constants,
    degrees_of_freedom,
    standard_error_scale,
    tests_of_coefficients,
)
from validation.judge.diagnosis.rows import data_values, rows_used
from validation.judge.diagnosis.scale import scale_of_components
from validation.judge.diagnosis.structure import model_structure, order_of_theta
from validation.judge.diagnosis.submodels import lost_effects
from validation.judge.evidence import Evidence
from validation.verdict import Cause

__all__ = ["DETECTORS", "OF_INCONCLUSIVE"]


#: In the order of AGREEMENT.md's table, which decides between findings of one strength.
DETECTORS: tuple[Callable[[Evidence], Cause | None], ...] = (
    other_criterion,
    scale_of_components,
    scale_of_modes,
    correlations,
    coding,
    rows_used,
    data_values,
    boundary,
    optimizer,
    model_structure,
    covariance_structure,
    lost_effects,
    order_of_theta,
    permuted_modes,
    permuted_labels,
    other_names,
    signs,
    constants,
    degrees_of_freedom,
    residual_variance,
    standard_errors_of_other_criterion,
    standard_error_scale,
    tests_of_coefficients,
    unshrunken,
    predictions,
    single_precision,
    cancellation,
    lost_weights,
    malformed_values,
    lost_numbers,
)

#: Of a comparison in which nothing is known to differ: what may still be known of it.
OF_INCONCLUSIVE: tuple[Callable[[Evidence], Cause | None], ...] = (constants,)
