"""The detectors for two likelihood fits, in the order of AGREEMENT.md's table of faults."""

from itertools import chain

from validation.judge.diagnosis import Detector, coding, labels, model, reported, structure
from validation.judge.evidence import Evidence

#: Detectors of the rows of AGREEMENT.md's table, whose order decides between findings of one strength.
_BY_ROW: tuple[tuple[Detector[Evidence], ...], ...] = (
    (model.other_criterion,),
    (coding.scale_of_components, coding.scale_of_modes, coding.correlations),
    (coding.coding, coding.other_units),
    (labels.rows_used, labels.data_values),
    (model.boundary, model.optimizer),
    (structure.model_structure, structure.covariance_structure, structure.lost_effects),
    (structure.order_of_theta, labels.permuted_modes, labels.permuted_labels, labels.permuted_factor),
    (labels.other_names, labels.signs),
    (reported.constants, reported.degrees_of_freedom, reported.residual_variance),
    (model.standard_errors_of_other_criterion, reported.standard_error_scale, reported.tests_of_coefficients),
    (reported.unshrunken, reported.other_fits, reported.predictions),
    (labels.single_precision, labels.cancellation, labels.lost_weights, labels.malformed_values, labels.lost_numbers),
)
DETECTORS = tuple(chain.from_iterable(_BY_ROW))

#: Of a comparison in which nothing is known to differ: what may still be known of it.
OF_INCONCLUSIVE: tuple[Detector[Evidence], ...] = (reported.constants,)
