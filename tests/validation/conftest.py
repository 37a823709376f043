"""Right fits without R: simulated data, the judge's own algebra, a careful optimum; the material for planted faults."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.sparse as sp

from validation.judge.algebra import Pieces, Solution, Term, solve
from validation.references.recorded import RecordedLmerFit


def simulate_data(seed: int = 1, schools: int = 30, per_school: int = 14, slope_sd: float = 9.0) -> pd.DataFrame:
    """Two-level data with a random intercept and slope, unequal school sizes and a few missing responses."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 2 * per_school, size=schools)
    school = np.repeat(np.arange(schools), sizes)
    female = rng.integers(0, 2, size=school.size)
    a = rng.normal(0, 8.0, size=schools)
    b = -0.5 * a + rng.normal(0, slope_sd, size=schools)
    y = 70 + a[school] + (6 + b[school]) * female + rng.normal(0, 12.0, size=school.size)
    labels = [str(20920 + 37 * j) for j in range(schools)]
    return pd.DataFrame(
        {
            "school": pd.Categorical([labels[j] for j in school], categories=labels),
            "female": pd.Categorical(np.where(female == 1, "F", "M"), categories=["M", "F"]),
            "course": y,
        }
    )


def design_of(data: pd.DataFrame, slope: bool = True, fixed_slope: bool = True) -> tuple[Pieces, pd.DataFrame]:
    """``course ~ 1 + female + (1 + female | school)``, or its parts."""
    used = data.dropna()
    school = used["school"].cat.remove_unused_categories()
    female = (used["female"] == "F").to_numpy(dtype=float)
    X = np.column_stack([np.ones(len(used)), female]) if fixed_slope else np.ones((len(used), 1))
    names = ("(Intercept)", "femaleF")[: X.shape[1]]
    columns = np.column_stack([np.ones(len(used)), female]) if slope else np.ones((len(used), 1))
    p, J = columns.shape[1], len(school.cat.categories)
    codes = school.cat.codes.to_numpy().astype(int)
    row_index = np.repeat(np.arange(len(used)), p)
    column_index = (codes[:, None] * p + np.arange(p)).ravel()
    Z = sp.csc_array(sp.coo_array((columns.ravel(), (row_index, column_index)), shape=(len(used), J * p)))
    effects = ("(Intercept)", "femaleF")[:p]
    term = Term("school", "school", effects, tuple(map(str, school.cat.categories)))
    theta_names = ("school.(Intercept)",) if p == 1 else (
        "school.(Intercept)",
        "school.femaleF.(Intercept)",
        "school.femaleF",
    )
    pieces = Pieces(used["course"].to_numpy(dtype=float), X, Z, names, (term,), theta_names)
    return pieces, pd.DataFrame({"school": school})


def fit_design(pieces: Pieces, factors: pd.DataFrame, reml: bool, theta: np.ndarray | None = None) -> RecordedLmerFit:
    """A right fit: the optimum by BFGS steps on the judge's own algebra, everything else from it."""

    def objective(point: np.ndarray) -> float:
        return solve(pieces, np.asarray(point, dtype=float), reml).objective

    if theta is None:
        start = pieces.diagonal.astype(float) * 0.6
        bounds = [(0.0, None) if diagonal else (None, None) for diagonal in pieces.diagonal]
        found = scipy.optimize.minimize(objective, start, method="L-BFGS-B", bounds=bounds)
        theta = found.x
        for _ in range(3):  # Newton steps on central differences: L-BFGS-B alone stops at 1e-5
            if (theta[pieces.diagonal] < 1e-3).any():
                break
            theta = _newton(objective, theta)
    return fit_at(pieces, factors, reml, theta, objective)


def _newton(objective: Callable[[np.ndarray], float], theta: np.ndarray) -> np.ndarray:
    k, h = theta.size, 2e-3
    eye = np.eye(k) * h
    gradient = np.array(
        [(8 * (objective(theta + e) - objective(theta - e)) - objective(theta + 2 * e) + objective(theta - 2 * e)) / (12 * h) for e in eye]
    )
    hessian = np.array(
        [
            [
                (objective(theta + a + b) - objective(theta + a - b) - objective(theta - a + b) + objective(theta - a - b))
                / (4 * h * h)
                for b in eye
            ]
            for a in eye
        ]
    )
    return theta - np.linalg.solve(hessian, gradient)


def fit_at(
    pieces: Pieces, factors: pd.DataFrame, reml: bool, theta: np.ndarray, objective: Callable[[np.ndarray], float]
) -> RecordedLmerFit:
    """The fit that θ implies."""
    solution = solve(pieces, theta, reml)
    return from_solution(solution, factors, reml, objective)


def from_solution(
    solution: Solution, factors: pd.DataFrame, reml: bool, objective: Callable[[np.ndarray], float]
) -> RecordedLmerFit:
    pieces = solution.pieces
    term = pieces.terms[0]
    N, P = pieces.X.shape
    npar = P + pieces.n_theta + 1
    names = list(pieces.coef_names)
    index = factors.index
    rows: list[tuple[Any, ...]] = []
    covariances = solution.covariances()
    for effect in term.effects:
        variance = covariances[term.name, effect, effect]
        rows.append((term.name, effect, None, variance, np.sqrt(variance)))
    for i, first in enumerate(term.effects):
        for second in term.effects[i + 1 :]:
            value = covariances[term.name, first, second]
            product = covariances[term.name, first, first] * covariances[term.name, second, second]
            rows.append((term.name, first, second, value, value / np.sqrt(product) if product > 0 else np.nan))
    rows.append(("Residual", None, None, solution.sigma**2, solution.sigma))
    modes = pd.DataFrame(
        solution.b.reshape(term.J, term.p), index=pd.Index(term.levels, name="school"), columns=list(term.effects)
    )
    Lambda = pieces.Lambda(solution.theta)
    ZL = pieces.Z @ Lambda
    inverse = np.linalg.inv((ZL.T @ ZL).toarray() + np.eye(ZL.shape[1]))
    full = solution.sigma**2 * Lambda.toarray() @ inverse @ Lambda.T.toarray()
    blocks = np.array([full[j * term.p : (j + 1) * term.p, j * term.p : (j + 1) * term.p] for j in range(term.J)])
    logLik = -solution.objective / 2
    scalars = {
        "sigma": solution.sigma,
        "logLik": logLik,
        "deviance": solution.objective,
        "AIC": -2 * logLik + 2 * npar,
        "BIC": -2 * logLik + np.log(N) * npar,
        "npar": npar,
        "nobs": N,
        "df_residual": N - npar,
    }
    if reml:
        scalars["REMLcrit"] = solution.objective
    return RecordedLmerFit(
        formula="course ~ 1 + female + (1 + female | school)",
        reml=reml,
        scalars=scalars,
        groups=pd.Series({"school": term.J}),
        coefficients=pd.DataFrame(
            {"Estimate": solution.beta, "Std. Error": solution.se, "t value": solution.beta / solution.se}, index=names
        ),
        covariance=pd.DataFrame(solution.vcov, index=names, columns=names),
        components=pd.DataFrame(rows, columns=["grp", "var1", "var2", "vcov", "sdcor"]),
        theta=pd.Series(solution.theta, index=list(pieces.theta_names)),
        lower=pd.Series(np.where(pieces.diagonal, 0.0, -np.inf), index=list(pieces.theta_names)),
        modes={"school": modes},
        mode_variances={"school": blocks},
        effects={"school": list(term.effects)},
        factors=factors,
        X=pd.DataFrame(pieces.X, columns=names, index=index),
        Z=pieces.Z,
        y=pd.Series(pieces.y, index=index),
        fits=pd.Series(solution.fitted, index=index),
        objective=objective,
    )


@pytest.fixture(scope="session")
def data() -> pd.DataFrame:
    return simulate_data()


@pytest.fixture(scope="session")
def design(data: pd.DataFrame) -> tuple[Pieces, pd.DataFrame]:
    return design_of(data)


@pytest.fixture(scope="session")
def ml_fit(design: tuple[Pieces, pd.DataFrame]) -> RecordedLmerFit:
    return fit_design(*design, reml=False)


@pytest.fixture(scope="session")
def reml_fit(design: tuple[Pieces, pd.DataFrame]) -> RecordedLmerFit:
    return fit_design(*design, reml=True)


@pytest.fixture(scope="session")
def make_fit() -> Callable[..., RecordedLmerFit]:
    return fit_design


@pytest.fixture(scope="session")
def make_fit_at() -> Callable[..., RecordedLmerFit]:
    return fit_at


@pytest.fixture(scope="session")
def make_design() -> Callable[..., tuple[Pieces, pd.DataFrame]]:
    return design_of


@pytest.fixture(scope="session")
def make_data() -> Callable[..., pd.DataFrame]:
    return simulate_data
