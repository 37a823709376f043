"""What ``confint``, ``profile`` and the bootstrap call a model's parameters: lme4's names, their order and meaning.

lme4 numbers standard deviations and correlations ``.sig01``, ``.sig02``, ... in the order in which it has them, and
lme4 2.0 changed the order: before, the lower triangle of each term by columns (``sd, cor, sd`` of two effects), since
then, within each term, standard deviations first (``sd, sd, cor``). The same name means something else. The names of
``signames = FALSE`` (``sd_(Intercept)|g``) say what they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pyimpl.covariance.base import Covariance
from pyimpl.covariance.unstructured import Unstructured
from pyimpl.errors import DataError
from r_scripts.dialect import Dialect

__all__ = ["Parameter", "ParameterChoice", "Parameters", "asked_names"]

#: Which parameters are meant: names, or places as R counts them, from 1.
ParameterChoice = str | int | Sequence[str] | Sequence[int] | None


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a parameter is.

    Attributes
    ----------
    quantity : {"sd", "correlation", "sigma", "fixef"}
    group : str
        Grouping factor of a standard deviation or correlation.
    term : str
        Effect, or coefficient; ``*`` for all effects of a term, ``rho`` for their one correlation.
    term2 : str
        Second effect of a correlation of two.
    """

    quantity: str
    group: str = ""
    term: str = ""
    term2: str = ""

    @property
    def spelled(self) -> str:
        """Name of a standard deviation or correlation that says what it is."""
        if self.quantity == "sd":
            return f"sd_{self.term}|{self.group}"
        return f"cor_{f'{self.term2}.' if self.term2 else ''}{self.term}|{self.group}"

    def __str__(self) -> str:
        match self.quantity:
            case "sd":
                return f"standard deviation of {self.term} by {self.group}"
            case "correlation" if not self.term2:
                return f"correlation {self.term} of the effects by {self.group}"
            case "correlation":
                return f"correlation of {self.term} and {self.term2} by {self.group}"
            case "sigma":
                return "residual standard deviation"
        return f"coefficient {self.term}"


@dataclass(frozen=True)
class Parameters:
    """A model's parameters in the words of a version of lme4.

    Attributes
    ----------
    terms : sequence of (str, sequence of str)
        Grouping factor and effects of each random-effects term, in lme4's order.
    covariances : sequence of Covariance, optional
        Their covariance structures, where not all are unstructured.
    coefficients : sequence of str
        Names of the fixed effects.
    dialect : Dialect
    """

    terms: Sequence[tuple[str, Sequence[str]]]
    coefficients: Sequence[str]
    dialect: Dialect
    covariances: Sequence[Covariance] | None = None

    @property
    def n_variance(self) -> int:
        """Number of standard deviations and correlations, the residual's included."""
        return 1 + sum(map(len, self._of_terms))

    @cached_property
    def _of_terms(self) -> tuple[tuple[Parameter, ...], ...]:
        """Standard deviations and correlations of each term, the lower triangle by columns."""
        structures = [Unstructured(len(effects)) for _, effects in self.terms]
        return tuple(
            tuple(Parameter(one.quantity, group, one.term, one.term2) for one in covariance.meanings(tuple(effects)))
            for (group, effects), covariance in zip(self.terms, self.covariances or structures, strict=True)
        )

    @cached_property
    def by_columns(self) -> tuple[Parameter, ...]:
        """All parameters, the lower triangle of each term by columns: θ's order, in which pyimpl computes."""
        found = [parameter for term in self._of_terms for parameter in term]
        return (*found, Parameter("sigma"), *(Parameter("fixef", term=name) for name in self.coefficients))

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Positions in :attr:`by_columns` of the parameters in the version's order."""
        if not self.dialect.has("sds_first"):
            return tuple(range(len(self.by_columns)))
        out: list[int] = []
        start = 0
        for term in self._of_terms:
            here = range(start, start + len(term))
            out += sorted(here, key=lambda i: self.by_columns[i].quantity != "sd")
            start = here.stop
        return (*out, *range(start, len(self.by_columns)))

    @property
    def meanings(self) -> tuple[Parameter, ...]:
        """What the parameters are, in the version's order."""
        return tuple(self.by_columns[i] for i in self.order)

    def names(self, signames: bool = True) -> tuple[str, ...]:
        """Their names, in the version's order.

        Parameters
        ----------
        signames : bool
            True: ``.sig01``, ..., ``.sigma``; False: ``sd_(Intercept)|g``, ``cor_x.(Intercept)|g``, ..., ``sigma``
            (lme4's ``oldNames``, from 1.1-38 on ``signames``).
        """
        count = self.n_variance - 1
        if signames:
            return (*(f".sig{i + 1:02d}" for i in range(count)), ".sigma", *self.coefficients)
        spelled = [one.spelled for one in self.meanings[:count]]
        return (*spelled, "sigma", *self.coefficients)

    def names_by_columns(self) -> tuple[str, ...]:
        """The version's names (``.sig01``, ...) of :attr:`by_columns`."""
        out = [""] * len(self.order)
        for name, position in zip(self.names(), self.order, strict=True):
            out[position] = name
        return tuple(out)

    def choose(self, wanted: ParameterChoice) -> list[str]:
        """Say which parameters are meant (``get.which``), by the names of ``signames = TRUE``.

        Parameters
        ----------
        wanted : str, int, sequence of them, or None
            Names of either kind, ``"theta_"`` (the variance parameters), ``"beta_"`` (the coefficients); or places as R
            counts them, from 1, negative ones left out; None: all.

        Returns
        -------
        list of str
            In the version's order.

        Raises
        ------
        DataError
            A name that is not there.
        """
        names, spelled = self.names(), self.names(signames=False)
        if wanted is None:
            return list(names)
        groups = {"theta_": names[: self.n_variance], "beta_": names[self.n_variance :]}
        chosen: set[str] = set()
        for name in asked_names(wanted, names):
            if name in groups:
                chosen.update(groups[name])
            elif name in names:
                chosen.add(name)
            elif name in spelled:
                chosen.update(short for short, full in zip(names, spelled, strict=True) if full == name)
            else:
                raise DataError(
                    f"there is no parameter {name!r}; there are {', '.join(names)}; "
                    f"{', '.join(spelled[: self.n_variance])}; 'theta_' and 'beta_'"
                )
        return [name for name in names if name in chosen]


def asked_names(wanted: str | int | Sequence[str] | Sequence[int], known: Sequence[str]) -> list[str]:
    """The names that an argument `parm` asks for.

    Parameters
    ----------
    wanted : str, int, or sequence of them
        Names; or places among `known` as R counts them, from 1, negative ones left out.
    known : sequence of str

    Raises
    ------
    DataError
        It is no name and no place, and no list of them.
    """
    asked: list[Any] = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
    numbers = [int(one) for one in asked if isinstance(one, (int, np.integer)) and not isinstance(one, bool)]
    if asked and len(numbers) == len(asked):
        negative = [one < 0 for one in numbers]
        if any(one == 0 or abs(one) > len(known) for one in numbers) or (any(negative) and not all(negative)):
            raise DataError(
                f"parm counts parameters from 1 to {len(known)}, as R does (or leaves out, all negative); found "
                f"{numbers[0] if len(numbers) == 1 else numbers}. They are {', '.join(known)}"
            )
        if negative[0]:
            return [name for i, name in enumerate(known) if -(i + 1) not in numbers]
        return [known[one - 1] for one in numbers]
    for one in asked:
        if not isinstance(one, str):
            raise DataError(
                f"parm takes names of parameters, or places counted from 1; found {one!r}: write ['x'], 'beta_' or [2]"
            )
    return asked
