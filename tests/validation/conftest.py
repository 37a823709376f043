"""Right fits without R: simulated data, the judge's own algebra, a careful optimum; the material for planted faults."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import scipy.sparse as sp

from validation.algebra import Pieces, Solution, Term, solve
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
    theta_names = (
        ("school.(Intercept)",)
        if p == 1
        else (
            "school.(Intercept)",
            "school.femaleF.(Intercept)",
            "school.femaleF",
        )
    )
    pieces = Pieces(used["course"].to_numpy(dtype=float), X, Z, names, (term,), theta_names)
    return pieces, pd.DataFrame({"school": school})


def fit_design(pieces: Pieces, factors: pd.DataFrame, reml: bool, theta: np.ndarray | None = None) -> RecordedLmerFit:
    """A right fit: the optimum by BFGS steps on the judge's own algebra, everything else from it."""

    def objective(point: np.ndarray) -> float:
        return solve(pieces, np.asarray(point, dtype=float), reml).objective

    if theta is None:
        start = (np.array(pieces.bounds)[:, 0] == 0.0).astype(float) * 0.6
        bounds = [(0.0, None) if diagonal else (None, None) for diagonal in (np.array(pieces.bounds)[:, 0] == 0.0)]
        found = scipy.optimize.minimize(objective, start, method="L-BFGS-B", bounds=bounds)
        theta = found.x
        for _ in range(3):  # Newton steps on central differences: L-BFGS-B alone stops at 1e-5
            if (theta[(np.array(pieces.bounds)[:, 0] == 0.0)] < 1e-3).any():
                break
            theta = _newton(objective, theta)
    return fit_at(pieces, factors, reml, theta, objective)


def _newton(objective: Callable[[np.ndarray], float], theta: np.ndarray) -> np.ndarray:
    k, h = theta.size, 2e-3
    eye = np.eye(k) * h
    gradient = np.array(
        [
            (8 * (objective(theta + e) - objective(theta - e)) - objective(theta + 2 * e) + objective(theta - 2 * e))
            / (12 * h)
            for e in eye
        ]
    )
    hessian = np.array(
        [
            [
                (
                    objective(theta + a + b)
                    - objective(theta + a - b)
                    - objective(theta - a + b)
                    + objective(theta - a - b)
                )
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
    known, roots = solution.numbers(), {"variance": "sd", "covariance": "cor"}
    rows = [(*key[1:4], value, known[roots[key[0]], *key[1:]]) for key, value in known.items() if key[0] in roots]
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
        lower=pd.Series(np.where((np.array(pieces.bounds)[:, 0] == 0.0), 0.0, -np.inf), index=list(pieces.theta_names)),
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


class FakePosterior:
    """A posterior in rstanarm's shape for ``y ~ 1 + x + (1 + x | g)`` with J levels: draws, names and a log density.

    Its unconstrained vector is rstanarm's: γ | z_β | z_b | logit ρ | log ζ (2) | log τ | log a. Likelihood and draws
    are made up; what matters is that two of them have the same, or not.
    """

    formula = "y ~ 1 + x + (1 + x | g)"
    warnings: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()

    def __init__(
        self, seed: int = 1, draws: int = 1000, levels: int = 5, shift: dict[str, float] | None = None
    ) -> None:
        rng = np.random.default_rng(seed)
        self.levels = levels
        self.rows = 100
        self.diverging = 0
        groups = [str(10 + j) for j in range(levels)] + ["_NEW_g"]
        self.names = [
            "(Intercept)", "x", *(f"b[{e} g:{g}]" for g in groups for e in ("(Intercept)", "x")), "sigma",
            "Sigma[g:(Intercept),(Intercept)]", "Sigma[g:x,(Intercept)]", "Sigma[g:x,x]", "mean_PPD", "log-posterior",
        ]  # fmt: skip
        n = len(self.names)
        values = rng.normal(size=(n, 4, draws))
        for i, name in enumerate(self.names):
            if name == "sigma":
                values[i] = 13.0 * np.exp(0.05 * values[i])
            elif name.startswith("Sigma") and name != "Sigma[g:x,(Intercept)]":
                values[i] = 50.0 * np.exp(0.3 * values[i])
            elif name.startswith("b[") and "_NEW_" not in name:
                values[i] = values[i] + 0.7 * (i % 13) - 4 + (i // 13)
            elif name == "(Intercept)":
                values[i] += 70
            values[i] += (shift or {}).get(name, 0.0)
        self.values = values
        self.size = 2 + 2 * (levels + 1) + 1 + 2 + 1 + 1
        self.extra = lambda u: 0.0

    def nobs(self) -> int:
        return self.rows

    @property
    def num_upars(self) -> int:
        return self.size

    @property
    def posterior(self) -> Any:
        import xarray as xr

        random = [i for i, name in enumerate(self.names) if name.startswith("b[")]
        variables: dict[str, Any] = {
            name: (("chain", "draw"), self.values[i]) for i, name in enumerate(self.names) if i not in random
        }
        variables["b"] = (("chain", "draw", "b_label"), np.moveaxis(self.values[random], 0, -1))
        diverging = np.zeros(self.values.shape[1:], dtype=bool)
        diverging.ravel()[: self.diverging] = True
        return xr.DataTree.from_dict(
            {
                "posterior": xr.Dataset(variables, coords={"b_label": [self.names[i] for i in random]}),
                "sample_stats": xr.Dataset({"diverging": (("chain", "draw"), diverging)}),
            }
        )

    def unconstrained_draws(self, n: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=(n, self.size)) * 0.3

    def log_prob(self, upars: np.ndarray) -> Any:
        points = np.atleast_2d(np.asarray(upars, dtype=float))
        values = np.array([self._density(point) + self.extra(point) for point in points])
        return float(values[0]) if np.ndim(upars) == 1 else values

    def _density(self, u: np.ndarray) -> float:
        likelihood = -300.0 * float(np.sum((u[:2] - 0.1) ** 2)) - 40.0 * float(np.exp(-2 * u[-1])) - 100 * u[-1]
        return -7000.0 + likelihood - 0.5 * float(np.sum(u**2)) - float(np.exp(u[-1])) + float(np.sum(u[-5:]))


@pytest.fixture
def make_posterior() -> Callable[..., FakePosterior]:
    return FakePosterior
