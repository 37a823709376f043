"""Quadrature against the table of STAN_LMER_MODEL.md (section 3), and against itself."""

import numpy as np
import pytest

from pyimpl.errors import ModelError
from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.quadrature import integrate
from tests.pyimpl.posterior_cases import specification_of

INTERCEPT = "Sigma[school:(Intercept),(Intercept)]"
COVARIANCE, SLOPE = "Sigma[school:femaleF,(Intercept)]", "Sigma[school:femaleF,femaleF]"

#: Mean and sd, by another program, to 5 decimals (4 for the variances); the log evidence to 6.
TABLE = {
    "M1": (
        {"(Intercept)": (73.72129, 1.13530), "sigma": (13.81837, 0.24048), INTERCEPT: (79.3030, 16.1008)},
        -7062.904981,
    ),
    "M2": (
        {
            "(Intercept)": (69.72816, 1.20815),
            "femaleF": (6.73891, 0.67866),
            "sigma": (13.42528, 0.23371),
            INTERCEPT: (80.7188, 16.2095),
        },
        -7019.752731,
    ),
    "M3": (
        {
            "(Intercept)": (69.43467, 1.36730),
            "femaleF": (7.11439, 1.15084),
            "sigma": (13.04472, 0.23189),
            INTERCEPT: (105.8219, 22.9792),
            COVARIANCE: (-35.7831, 15.4958),
            SLOPE: (50.7948, 15.9598),
        },
        -7004.002093,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["M1", "M2", "M3"])
def test_moments_and_evidence_are_the_tables(name: str) -> None:
    result = integrate(CollapsedDensity(specification_of(name)), quantiles=False, step=0.75 if name == "M3" else None)
    expected, evidence = TABLE[name]
    assert list(result.table.index) == list(expected)
    for parameter, (mean, sd) in expected.items():
        unit = 6e-5 if parameter.startswith("Sigma") else 6e-6
        assert result.table.loc[parameter, "mean"] == pytest.approx(mean, abs=unit)
        assert result.table.loc[parameter, "sd"] == pytest.approx(sd, abs=unit)
    assert result.log_evidence == pytest.approx(evidence, abs=1e-6)
    assert result.log_evidence_error < 1e-5
    assert result.error[["mean", "sd"]].to_numpy().max() < 1e-3


def test_quantiles_converge_and_cut_the_mass_where_they_should() -> None:
    density = CollapsedDensity(specification_of("M2"))
    coarse, fine = integrate(density, step=0.5), integrate(density)
    assert fine.error[["2.5%", "50%", "97.5%"]].to_numpy().max() < 1e-6
    assert np.abs(coarse.table - fine.table).to_numpy().max() < 1e-4
    low, middle, high = (fine.table[column] for column in ("2.5%", "50%", "97.5%"))
    assert (low < middle).all()
    assert (middle < high).all()
    # a Gaussian has its quantiles 1.96 sd out; these posteriors are near to it
    width = (high - low) / fine.table["sd"]
    assert width.between(3.7, 4.1).all()


def test_the_error_estimate_is_not_too_small() -> None:
    density = CollapsedDensity(specification_of("M1"))
    truth = integrate(density, step=0.15).table
    rough = integrate(density, step=1.2)
    off = (rough.table - truth).abs().to_numpy()
    assert off.max() > 1e-9  # the lattice is coarse enough for an error to be seen
    assert (off <= 2 * rough.error.to_numpy() + 1e-9).all()


def test_random_effects_of_several_terms_have_means_only() -> None:
    result = integrate(CollapsedDensity(specification_of("crossed")), quantiles=False)
    assert result.ranef["mean"].notna().all()
    assert result.ranef["sd"].isna().all()
    assert len(result.ranef) == 30


def test_too_many_dimensions_are_refused() -> None:
    with pytest.raises(ModelError, match="14 dimensions"):
        integrate(CollapsedDensity(specification_of("four_two")))
    with pytest.raises(ModelError, match="more than 1000 points"):
        integrate(CollapsedDensity(specification_of("M3")), max_points=1000, quantiles=False)
    with pytest.raises(ModelError, match="prior_PD"):
        integrate(CollapsedDensity(specification_of("two_one", prior_PD=True)))
