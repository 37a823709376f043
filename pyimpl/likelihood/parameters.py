"""What ``confint``, ``profile`` and the bootstrap call a model's parameters: lme4's names, their order and meaning.

lme4 numbers standard deviations and correlations ``.sig01``, ``.sig02``, ... in the order in which it has them, and
lme4 2.0 changed the order: before, the lower triangle of each term by columns (``sd, cor, sd`` of two effects), since
then, within each term, standard deviations first (``sd, sd, cor``). The same name means something else. The names of
``signames = FALSE`` (``sd_(Intercept)|g``) say what they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from pyimpl.covariance.base import Covariance
from pyimpl.covariance.unstructured import Unstructured
from pyimpl.errors import DataError
from r_scripts.dialect import Dialect

__all__ = ["Parameter", "Parameters", "asked_names"]


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

    def choose(self, wanted: "str | Sequence[str] | None") -> list[str]:
        """Say which parameters are meant (``get.which``), by the names of ``signames = TRUE``.

        Parameters
        ----------
        wanted : str, sequence of str or None
            Names of either kind, ``"theta_"`` (the variance parameters), ``"beta_"`` (the coefficients); None: all.

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
        for name in asked_names(wanted):
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


def asked_names(wanted: "str | Sequence[str]") -> list[str]:
    """The names that an argument `parm` asks for.

    Raises
    ------
    DataError
        It is no name and no list of names.
    """
    asked = [wanted] if isinstance(wanted, str) or not isinstance(wanted, Iterable) else list(wanted)
    for one in asked:
        if not isinstance(one, str):
            raise DataError(f"parm takes names of parameters, found {one!r}: write ['x'] or 'beta_', not a position")
    return asked
