"""Certified values on disk: likelihood fits whose every number is enclosed, and posteriors with their error.

One JSON file a case, in ``data/certified``; ``mlmparity certify`` writes them and nobody edits one by hand: a file that
does not have the hash written into it is refused. Values are decimal strings, each with the radius of the ball about it
that holds the exact number.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from validation.comparison import Reference, Side
from validation.errors import NoReferenceError
from validation.quantities import KEYS, Key, named
from validation.references.as_json import components_from_json
from validation.references.recorded import RecordedLmerFit
from validation.references.store import DamagedReferenceError, Shelf, matching, model_hash

#: Name of the folder, below that of the references.
FOLDER = "certified"

#: Columns of the values.
COLUMNS = (*KEYS, "value", "radius")

Row = tuple[str, str | None, str | None, str | None, str | None, str, str]


@dataclass(frozen=True)
class Certificate:
    """The certified values of one case, and how they were proved."""

    name: str
    formula: str
    reml: bool
    model_hash: str  # ``validation.references.store.model_hash``: of the columns that the formula names
    rows: tuple[Row, ...]  # :data:`COLUMNS`: missing labels are None, values and radii decimal strings
    #: Name, θ (doubles), value and radius of the objective, for the comparison at the same θ.
    points: tuple[tuple[str, tuple[float, ...], str, str], ...] = ()
    #: Method, bits, the box of uniqueness, pivots of the Hessian, slopes at bounds, what is proved globally.
    proof: Mapping[str, object] = field(default_factory=dict)
    #: Independent recomputations: method, digits, greatest difference.
    checks: tuple[Mapping[str, object], ...] = ()
    provenance: Mapping[str, object] = field(default_factory=dict)  # date and versions

    def table(self) -> pd.DataFrame:
        """The values as a frame: quantity, group, term, term2, level, value, radius (strings)."""
        return pd.DataFrame(list(self.rows), columns=list(COLUMNS), dtype=object)


_Stored = TypeVar("_Stored", Certificate, "CertifiedPosterior")


def available(directory: Path | None = None) -> list[str]:
    """Names of the cases whose fits are certified, e.g. ``sleepstudy-reml``."""
    return _SHELVES[Certificate].names(directory)


def available_posteriors(directory: Path | None = None) -> list[str]:
    """Names of the certified posteriors, e.g. ``M1-bayes``."""
    return _SHELVES[CertifiedPosterior].names(directory)


def save(certified: "Certificate | CertifiedPosterior", directory: Path | None = None) -> Path:
    """Write certified values in one step."""
    content = dict(vars(certified))
    content["values"] = content.pop("rows")
    if isinstance(certified, Certificate):
        content["criterion"] = "REML" if content.pop("reml") else "ML"
    return _SHELVES[type(certified)].write(certified.name, content, directory)


def _load(kind: type[_Stored], name: str, directory: Path | None) -> _Stored:
    shelf = _SHELVES[kind]
    content = shelf.read(name, directory)
    try:
        content["rows"] = content["values"]
        if kind is Certificate:
            content["reml"] = content["criterion"] == "REML"
        return kind(**{field.name: _frozen(content[field.name]) for field in fields(kind)})
    except KeyError as error:
        raise shelf.damaged(f"{name}.json is incomplete ({error!r})") from error


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def load_certificate(name: str, directory: Path | None = None) -> Certificate:
    """Read the certified values of a case, as :meth:`validation.references.store.Shelf.read` does."""
    return _load(Certificate, name, directory)


def load_posterior(name: str, directory: Path | None = None) -> "CertifiedPosterior":
    """Read a certified posterior, e.g. ``"M1-bayes"``, as :func:`load_certificate` does."""
    return _load(CertifiedPosterior, name, directory)


def check_data(stored: "Certificate | CertifiedPosterior", data: pd.DataFrame) -> None:
    """Raise a DamagedReferenceError where data are not those that stored values are of."""
    if model_hash(stored.formula, data) != stored.model_hash:
        raise DamagedReferenceError(f"the data of {stored.name} are not those that its values were certified on")


def load(name: str, data: pd.DataFrame, directory: Path | None = None) -> RecordedLmerFit:
    """The certified values of a case as a fit (``validation.contract.LinearMixedFit``, as far as it is certified).

    Every number is the double nearest to the certified value. Design, labels and response are made from the case's data
    (:func:`validation.suite.certified_fit` knows those of the suite), which must be those that were certified.
    """
    from pyimpl.design.design import build_design

    certificate = load_certificate(name, directory)
    check_data(certificate, data)
    return _fit(certificate, build_design(certificate.formula, data))


def find(
    formula: str, data: pd.DataFrame, kind: str, reml: bool, name: str | None = None, directory: Path | None = None
) -> Reference:
    """The certified fit of a model and its data, as ``validation.references.store.find`` gives a recorded one."""
    if kind == "bayes":
        raise NoReferenceError("certified values are of likelihood fits; a posterior has no certified draws")
    there = available(directory)
    kept = (vars(load_certificate(one, directory)) for one in ([name] if name in there else there))
    found, _ = matching(formula, data, reml, kept)
    if found is not None:
        fit = load(str(found["name"]), data, directory)
        return Reference(fit, Side("certified values", "certified", fit.provenance), None, data)
    criterion = "REML" if reml else "ML"
    raise NoReferenceError(
        f"there are no certified values of {formula} ({criterion}) on these data; there are those of {', '.join(there)}"
    )


def _fit(certificate: Certificate, design: Any) -> RecordedLmerFit:
    from pyimpl.inference.random_effects import covariance_structures

    values: dict[Key, float] = {row[:5]: float(row[5]) for row in certificate.rows}
    names, terms, structured = list(design.coef_names), design.terms, design.structure is not None

    def series(quantity: str, labels: Sequence[str]) -> pd.Series:
        return pd.Series({name: values[named(quantity, term=name)] for name in labels}, dtype=float)

    titles = {"Estimate": "fixef", "Std. Error": "se", "t value": "t"}
    coefficients = pd.DataFrame({title: series(quantity, names) for title, quantity in titles.items()}, index=names)
    # one triangle is stored
    vcov = np.array([[values.get(named("vcov", None, one, other), 0.0) for other in names] for one in names])
    theta = series("theta", design.theta_names)
    searched = series("par", design.par_names) if structured else theta
    modes, variances = _modes(terms, values)
    b = np.concatenate([modes[term.group][list(term.effects)].to_numpy().ravel() for term in terms])
    fits = design.X @ coefficients["Estimate"].to_numpy() + design.Z @ b
    if design.offset is not None:
        fits = fits + design.offset
    # as in VarCorr() the file has the variances of a term before its covariances
    roots = {"variance": "sd", "covariance": "cor"}
    components = [
        (*key[1:4], value, values[roots[key[0]], *key[1:]]) for key, value in values.items() if key[0] in roots
    ]
    criterion, npar = values[named("REMLcrit" if certificate.reml else "deviance")], len(names) + searched.size + 1
    return RecordedLmerFit(
        formula=design.formula,
        reml=certificate.reml,
        scalars={
            **{name: values[named(name)] for name in ("sigma", "logLik", "AIC", "BIC")},
            **dict.fromkeys(("deviance", "REMLcrit") if certificate.reml else ("deviance",), criterion),
            "npar": float(npar),
            "nobs": float(design.N),
            "df_residual": float(design.N - npar),
        },
        groups=pd.Series({term.group: term.J for term in terms}, dtype="int64"),
        coefficients=coefficients,
        covariance=pd.DataFrame(vcov + np.tril(vcov, -1).T, index=names, columns=names),
        components=components_from_json(components),
        theta=theta,
        lower=pd.Series(np.concatenate([term.covariance.lower for term in terms]), index=searched.index),
        modes=modes,
        mode_variances=variances,
        effects=dict(zip(design.unique_groups, (list(term.effects) for term in terms), strict=True)),
        factors=design.flist,
        X=pd.DataFrame(design.X, index=design.index, columns=names),
        Z=design.Z,
        y=pd.Series(design.y, index=design.index),
        fits=pd.Series(fits, index=design.index),
        points=tuple((name, point, float(value)) for name, point, value, _ in certificate.points),
        provenance={**certificate.provenance, "proof": dict(certificate.proof)},
        par=searched if structured else None,
        structures=covariance_structures(design) if structured else None,
    )


def _modes(terms: Any, values: dict[Key, float]) -> tuple[dict[str, pd.DataFrame], dict[str, np.ndarray]]:
    """Conditional modes by factor, and their variances (missing between terms of one factor, as R has them)."""
    modes: dict[str, pd.DataFrame] = {}
    variances: dict[str, np.ndarray] = {}
    for group in dict.fromkeys(term.group for term in terms):
        own = [term for term in terms if term.group == group]
        effects, levels = [effect for term in own for effect in term.effects], list(own[0].levels)

        def of(quantity: str, effect: str, other: str | None = None) -> list[float]:
            return [values.get(named(quantity, group, effect, other, level), math.nan) for level in levels]  # noqa: B023

        modes[group] = pd.DataFrame({effect: of("ranef", effect) for effect in effects}, index=levels)
        cube = np.full((len(levels), len(effects), len(effects)), math.nan)
        for i, one in enumerate(effects):
            cube[:, i, i] = np.square(of("condsd", one))
            for j, other in enumerate(effects[:i]):
                cube[:, i, j] = cube[:, j, i] = of("condcov", one, other)
        variances[group] = cube
    return modes, variances


# ---------------------------------------------------------------------------------------------------- posteriors


#: What is known of a number of a posterior: a bound of its error is proved, or the error is estimated.
ENCLOSED, ESTIMATED = "enclosed", "estimated"

#: Name of the row that holds the log of the integral of likelihood times prior, all constants kept.
LOG_EVIDENCE = "log evidence"

#: parameter, statistic, value, error (decimal strings), ENCLOSED or ESTIMATED
PosteriorRow = tuple[str, str, str, str, str]


@dataclass(frozen=True)
class CertifiedPosterior:
    """A posterior by quadrature: statistics of every parameter, each with the error of its value.

    Parameters have R's names; statistics are ``mean``, ``sd``, ``q2.5``, ``q50``, ``q97.5``, and ``value`` of ``log
    evidence``. ``enclosed``: the exact number is proved to lie within ``error`` of ``value``; ``estimated``: the error
    is an estimate. A number that is not known well enough is not there.
    """

    name: str
    formula: str
    model_hash: str
    rows: tuple[PosteriorRow, ...]
    proof: Mapping[str, object] = field(default_factory=dict)  # methods, dimensions, steps, points, priors
    provenance: Mapping[str, object] = field(default_factory=dict)

    @property
    def log_evidence(self) -> float:
        """Log of the integral of likelihood times prior."""
        return float(self.row(LOG_EVIDENCE, "value")[2])

    def row(self, parameter: str, statistic: str) -> PosteriorRow:
        """One number with its error and its kind; a LookupError where it is not there."""
        for row in self.rows:
            if row[:2] == (parameter, statistic):
                return row
        raise LookupError(f"{self.name} has no certified {statistic} of {parameter}")

    def enclosed(self) -> Iterator[tuple[str, str, float]]:
        """Parameter, statistic and value of the enclosed numbers, but for the log evidence."""
        for parameter, statistic, value, _, kind in self.rows:
            if kind == ENCLOSED and parameter != LOG_EVIDENCE:
                yield parameter, statistic, float(value)

    def count(self, kind: str) -> int:
        """How many numbers are of a kind."""
        return sum(row[4] == kind for row in self.rows)

    def posterior_summary(self) -> pd.DataFrame:
        """As ``validation.quantities.posterior_summary`` has it: the numerical errors stand as ``mcse_...``.

        Fit to be the ``truth`` of ``validation.compare_fits``. Values are the nearest doubles, and the errors hold that
        rounding too.
        """
        known = {
            (parameter, statistic): (float(value), float(error) + abs(float(value)) * 2.0**-52)
            for parameter, statistic, value, error, _ in self.rows
        }
        parameters = pd.Index(dict.fromkeys(row[0] for row in self.rows if row[0] != LOG_EVIDENCE), name="parameter")
        columns = {}
        for statistic in ("mean", "sd", "q2.5", "q50", "q97.5"):
            pairs = [known.get((parameter, statistic), (math.nan, math.nan)) for parameter in parameters]
            columns[statistic], columns[f"mcse_{statistic}"] = zip(*pairs, strict=True)
        return pd.DataFrame(columns, index=parameters)


_SHELVES: dict[type, Shelf] = {
    Certificate: Shelf(FOLDER, 1, "values were certified", "`mlmparity certify`"),
    CertifiedPosterior: Shelf("certified-posteriors", 2, "posterior was certified", "`mlmparity certify`"),
}
