"""Estimates, criteria, predictions and refits of the fit that ``lmer`` returns (the base class of ``LmerFit``)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Self, TypedDict, overload

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Count, Seeds, generator
from pyimpl.design.accessors import ModelAccessors
from pyimpl.design.design import Design
from pyimpl.design.re_form import ReForm, wanted_effects
from pyimpl.errors import ConvergenceWarning, DataError, PyimplWarning, SingularFitWarning
from pyimpl.inference.at_optimum import AtOptimum, Theta, criterion_at, find_optimum, warm_start
from pyimpl.inference.comparison import information_criteria
from pyimpl.inference.control import LmerControl
from pyimpl.inference.convergence import SINGULAR, convergence_messages, singular_messages
from pyimpl.inference.estimates import ranef_long
from pyimpl.inference.get_me import get_me, piece_names
from pyimpl.inference.point_prediction import residual_values
from pyimpl.inference.random_effects import (
    ConditionalModes,
    coefficients_by_level,
    conditional_modes,
    conditional_variances,
    covariance_structures,
    principal_components,
    varcorr_table,
)
from pyimpl.inference.reweighting import reweighted
from pyimpl.inference.simulation import ClusterRand, NewParameters
from pyimpl.inference.source import Source, of_used_rows, row_series
from pyimpl.models.lm import LmFit
from pyimpl.printing import CallText, VarCorrTable
from r_scripts.caller import warn
from r_scripts.dialect import CHANGES, Dialect
from r_scripts.variances import ConditionalVariances

if TYPE_CHECKING:
    from scipy import sparse

    from pyimpl.inference.get_me import ArrayPiece, CountPiece, FramePiece, SeriesPiece, SparsePiece
    from pyimpl.inference.simulation import ClusterRand, NewParameters
    from pyimpl.likelihood.optsummary import OptSummary

__all__ = ["LmerEstimates", "OptInfo"]

_OPTIMIZER = "trust-region Newton, analytic gradient"


class OptInfo(TypedDict):
    """How the optimizer ended: R's ``m@optinfo``, and what it has not (``boundary``, ``summary``)."""

    optimizer: str
    feval: int
    conv: int
    message: str
    gradient: pd.Series
    Hessian: pd.DataFrame
    val: pd.Series
    fval: float
    boundary: tuple[str, ...]
    warnings: tuple[str, ...]
    summary: "OptSummary"


@SIGNATURES.verbs
class LmerEstimates(ModelAccessors):
    """A model at the minimum of its criterion, and what R says of it without further fits or tests.

    Parameters
    ----------
    model : AtOptimum
        Design, reduced data, criterion and where its minimum is.
    call : CallText
        What the printed output shows, and whose words the fit has.
    source : Source, optional
        The data and arguments of the call; None for a fit of a design.
    control : LmerControl, optional
    optimizer : str
        Name of what found the minimum.
    """

    def __init__(
        self,
        model: AtOptimum,
        call: CallText,
        source: Source | None = None,
        control: LmerControl | None = None,
        optimizer: str = _OPTIMIZER,
    ) -> None:
        self.model, self.call, self.source, self._optimizer = model, call, source, optimizer
        self.control = control or LmerControl()
        self._convergence = convergence_messages(model, self.control, call.dialect)

    # -- what was fitted -------------------------------------------------------------------------

    @property
    def design(self) -> Design:  # type: ignore[override]
        """y, X, the random-effects terms and all labels."""
        return self.model.design

    @property
    def dialect(self) -> Dialect:
        """Whose words the fit has: versions of R, lme4 and others."""
        return self.call.dialect

    def _source_data(self) -> pd.DataFrame | None:
        return None if self.source is None else self.source.frame

    @property
    def formula(self) -> str:
        """The formula as R deparses it."""
        return self.design.formula

    @property
    def warnings(self) -> tuple[str, ...]:
        """Texts of the fit's warnings."""
        return (*self.design.warnings, *self._convergence)

    @property
    def messages(self) -> tuple[str, ...]:
        """Texts of the fit's messages, R's wording."""
        return (*self.design.messages, *singular_messages(self.model, self.control))

    @property
    def convergence_messages(self) -> tuple[str, ...]:
        """Texts about a singular fit and about convergence (``m@optinfo$conv$lme4$messages``)."""
        return (*singular_messages(self.model, self.control), *self._convergence)

    @property
    def optinfo(self) -> OptInfo:
        """How the optimizer ended: ``optimizer``, ``feval``, ``conv``, ``message``, ``gradient``, ``Hessian``, ...

        ``summary`` is the whole :class:`~pyimpl.likelihood.optsummary.OptSummary`.
        """
        optimum = self.model.optsum
        names = list(self.design.par_names)
        return {
            "optimizer": self._optimizer,
            "feval": optimum.evaluations,
            "conv": optimum.return_code,
            "message": optimum.message,
            "gradient": pd.Series(optimum.gradient, index=names, name="gradient"),
            "Hessian": pd.DataFrame(optimum.hessian, index=names, columns=names),
            "val": pd.Series(optimum.final, index=names, name="theta"),
            "fval": optimum.final_objective,
            "boundary": tuple(names[i] for i in optimum.boundary),
            "warnings": self._convergence,
            "summary": optimum,
        }

    def nobs(self) -> int:
        """Rows used."""
        return self.design.N

    def ngrps(self) -> pd.Series:
        """Levels of each grouping factor: int64, indexed by factor."""
        counts: dict[str, int] = {}
        for term in self.design.terms:
            counts.setdefault(term.group, term.J)
        return pd.Series(counts, dtype="int64")

    def isREML(self) -> bool:
        """Whether the REML criterion was optimised."""
        return self.model.REML

    def isSingular(self, tol: float = 1e-4) -> bool:
        """Whether a diagonal element of Λ's template is below `tol`, as in R.

        That is in the predictors' own units, and so may be true of a fit whose covariance matrices are not singular, if
        a predictor's numbers are large (Hz, bytes): the fit's warning tells the two apart.
        """
        return self.model.least_pivot < tol

    @SIGNATURES.own
    def give_warnings(self) -> None:
        """Warn of what :attr:`warnings` and :attr:`messages` say of convergence and singularity."""
        for text in singular_messages(self.model, self.control):
            kind = SingularFitWarning if text == SINGULAR else ConvergenceWarning
            warn(text, kind)
        for text in self._convergence:
            warn(text, ConvergenceWarning)

    # -- estimates -------------------------------------------------------------------------------

    def fixef(self) -> pd.Series:
        """Return the fixed effects by R's coefficient name."""
        return pd.Series(self.model.estimates.beta.copy(), index=list(self.design.coef_names), dtype=float)

    def coef_table(self) -> pd.DataFrame:
        """``coef(summary(m))``: Estimate, Std. Error, t value."""
        se = np.sqrt(np.diag(self.model.estimates.vcov))
        beta = self.model.estimates.beta
        table = {"Estimate": beta.copy(), "Std. Error": se, "t value": beta / se}
        return pd.DataFrame(table, index=list(self.design.coef_names))

    def sigma(self) -> float:
        """Residual standard deviation."""
        return self.model.estimates.sigma

    def VarCorr(self) -> VarCorrTable:
        """``as.data.frame(VarCorr(m))``: grp, var1, var2, vcov, sdcor; ``.to_text()`` is what R prints."""
        return varcorr_table(self.design, self.model.estimates, self.dialect)

    def getReCovs(self) -> pd.DataFrame:
        """Covariance structure of each random-effects term: ``getReCovs(m)``, there since lme4 2.0.

        Returns
        -------
        DataFrame
            Term, as ``getME("cnms")`` names it, x ``structure`` (``us``, ``diag``, ``cs``, ``ar1``), ``hom`` (whether
            all its effects have one standard deviation) and ``nc`` (the number of its effects).
        """
        return covariance_structures(self.design)

    def ranef(self, condVar: bool = False, whichel: str | Sequence[str] | None = None) -> dict[str, pd.DataFrame]:
        """Conditional modes: grouping factor -> DataFrame, level x effect (all terms of a factor side by side).

        Parameters
        ----------
        condVar : bool
            Whether the conditional variances are wanted, too (R's attribute ``postVar``): the result's ``postVar``,
            what :meth:`ranef_condVar` gives.
        whichel : str or sequence of str, optional
            Grouping factors wanted; default all.

        Raises
        ------
        DataError
            A grouping factor that the model does not have.
        """
        modes = conditional_modes(self.design, self.model.estimates)
        wanted = list(modes) if whichel is None else [whichel] if isinstance(whichel, str) else list(whichel)
        unknown = [name for name in wanted if name not in modes]
        if unknown:
            raise DataError(f"ranef: there is no grouping factor {unknown[0]!r}; there are {', '.join(modes)}")
        modes = {name: frame for name, frame in modes.items() if name in wanted}
        if not condVar:
            return modes
        variances = self.ranef_condVar()
        return ConditionalModes(modes, ConditionalVariances({name: variances.blocks[name] for name in modes}))

    def ranef_frame(self) -> pd.DataFrame:
        """``as.data.frame(ranef(m))``: every conditional mode with its conditional standard deviation, in long form.

        Returns
        -------
        DataFrame
            ``grpvar``, ``term`` and ``grp`` (categoricals; the levels of `grp` in the order of their modes of the
            factor's first effect, as for a dotplot), ``condval``, ``condsd``; factor by factor, effect by effect.
        """
        return ranef_long(self.ranef(), {name: block.variances for name, block in self.ranef_condVar().blocks.items()})

    def ranef_condVar(self) -> ConditionalVariances:
        """Conditional variances of the modes: grouping factor -> DataArray (level, effect, effect2).

        Missing between terms of the same factor (R gives none).
        """
        return conditional_variances(self.design, self.model.estimates)

    def coef(self) -> dict[str, pd.DataFrame]:
        """Return the fixed effects plus conditional modes of each level: grouping factor -> DataFrame."""
        return coefficients_by_level(self.fixef(), self.ranef())

    def rePCA(self) -> dict[str, np.ndarray]:
        """``rePCA(m)``: grouping factor -> standard deviations of its principal components, relative to sigma.

        Returns
        -------
        dict of str to ndarray, shape (p,)
            Descending, over all terms of the factor; a 0 says that the covariance matrix is singular.
        """
        return principal_components(self.design, self.model.estimates)

    # -- criteria --------------------------------------------------------------------------------

    @property
    def npar(self) -> int:
        """``attr(logLik(m), "df")``: fixed effects, θ and sigma."""
        return self.design.P + self.model.reduced.n_theta + 1

    def _criterion(self, REML: bool) -> float:
        if self.model.REML == REML:
            return self.model.value
        return self.model.estimates.criterion(REML, self.design.N, self.model.reduced.log_weights)

    def logLik(self, REML: bool | None = None) -> float:
        """Log-likelihood (for a REML fit the restricted one), all constants kept."""
        return -0.5 * self._criterion(self.model.REML if REML is None else REML)

    def deviance(self, REML: bool | None = None) -> float:
        """-2 log-likelihood; for a REML fit the REML criterion, with R's warning, unless ``REML=False``."""
        if REML is None and self.model.REML:
            warn(
                "deviance() is deprecated for REML fits; use REMLcrit for the REML criterion or "
                "deviance(REML=False) for deviance calculated at the REML fit",
                PyimplWarning,
            )
            return self._criterion(True)
        return self._criterion(bool(REML))

    def REMLcrit(self) -> float:
        """-2 restricted log-likelihood, at the estimates of either criterion."""
        return self._criterion(True)

    @overload
    def AIC(self) -> float: ...

    @overload
    def AIC(
        self,
        other: "LmerEstimates | LmFit",
        /,
        *others: "LmerEstimates | LmFit",
        model_names: Sequence[str] | None = None,
    ) -> pd.DataFrame: ...

    def AIC(self, *others: "LmerEstimates | LmFit", model_names: Sequence[str] | None = None) -> float | pd.DataFrame:
        """``AIC(m)``: from the criterion that was optimised; ``AIC(m, ...)``: a row for each model, ``df`` and ``AIC``.

        Parameters
        ----------
        *others : LmerFit or LmFit
        model_names : sequence of str, optional
            Rows' names in the order given; R takes the variables' names, the default here is ``MODEL1``, ...
        """
        if not others:
            return -2.0 * self.logLik() + 2.0 * self.npar
        fits: list[LmerEstimates | LmFit] = [self, *others]
        return information_criteria(fits, "AIC", [fit.AIC() for fit in fits], model_names)

    @overload
    def BIC(self) -> float: ...

    @overload
    def BIC(
        self,
        other: "LmerEstimates | LmFit",
        /,
        *others: "LmerEstimates | LmFit",
        model_names: Sequence[str] | None = None,
    ) -> pd.DataFrame: ...

    def BIC(self, *others: "LmerEstimates | LmFit", model_names: Sequence[str] | None = None) -> float | pd.DataFrame:
        """``BIC(m)``, ``BIC(m, ...)``; see :meth:`AIC`."""
        if not others:
            return -2.0 * self.logLik() + math.log(self.nobs()) * self.npar
        fits: list[LmerEstimates | LmFit] = [self, *others]
        return information_criteria(fits, "BIC", [fit.BIC() for fit in fits], model_names)

    def extractAIC(self, scale: float = 0.0, k: float = 2.0) -> tuple[int, float]:
        """``extractAIC(m, scale, k)``: number of parameters and -2 logLik + k times it, of the ML fit.

        `scale` is there as in R, and as in R it plays no part.
        """
        ml = self.refitML()
        return ml.npar, -2.0 * ml.logLik() + k * ml.npar

    def df_residual(self) -> int:
        """Rows used minus ``npar``."""
        return self.nobs() - self.npar

    def devfun(self, theta: Theta) -> float:
        """Evaluate the optimised criterion at any θ, lme4's order (a Series is taken by position)."""
        return criterion_at(self.model, theta)

    # -- fitted values and predictions -----------------------------------------------------------

    def _by_row(self, values: np.ndarray, name: str | None = None) -> pd.Series:
        return row_series(self.design, self.source, values, name)

    def fitted(self) -> pd.Series:
        """Conditional fitted values, with the data's index."""
        return self._by_row(self.model.estimates.fitted.copy())

    def residuals(self, type: str = "response", scaled: bool = False) -> pd.Series:  # noqa: A002
        """Residuals, with the data's index.

        Parameters
        ----------
        type : {"response", "working", "pearson", "deviance"}
            The last two are multiplied by the root of the weights.
        scaled : bool
            Divide by sigma.
        """
        return self._by_row(residual_values(self.design, self.model.estimates, type, scaled))

    def simulate(
        self,
        nsim: Count = 1,
        seed: Seeds | None = None,
        re_form: ReForm = "~0",
        use_u: bool | None = None,
        newdata: pd.DataFrame | None = None,
        allow_new_levels: bool = False,
        newparams: "NewParameters | None" = None,
        cluster_rand: "ClusterRand | None" = None,
    ) -> pd.DataFrame:
        """``simulate(m, nsim, seed, re.form, newdata, newparams)``: new responses from the fitted model.

        Parameters
        ----------
        nsim : int
        seed : int or SeedSequence, optional
            Of NumPy's generator (R's random numbers are others).
        re_form : optional
            ``"~0"`` (R's default): new random effects are drawn; None: conditional on the estimated ones.
        use_u : bool, optional
            Another way to say it: True conditions on the estimated random effects.
        newdata : pandas.DataFrame, optional
            Rows to simulate; default those used. The response need not be there.
        allow_new_levels : bool
            Whether `newdata` may have levels that the fit does not know. Their random effects are drawn, each level's
            its own; where `re_form` conditions on a term, they are 0, as in :meth:`predict`.
        newparams : mapping, optional
            ``"beta"``, ``"theta"``, ``"sigma"``: parameters to take instead of the estimates (for a power analysis).
        cluster_rand : callable, optional
            Draws the random effects before they are scaled (lme4's ``cluster.rand``, since 2.0-1): from a generator of
            NumPy's and a shape, numbers of mean 0 and variance 1. Default the standard normal distribution;
            ``lambda rng, shape: rng.standard_t(5, shape) / (5 / 3) ** 0.5`` has heavier tails.

        Returns
        -------
        DataFrame
            Columns ``sim_1``, ``sim_2``, ...; the data's index. As in lme4, weights play no part. Rows of `newdata`
            in which a predictor is missing are missing.

        Raises
        ------
        DataError
            `newdata` lacks a column or has a level that is not known; `newparams` do not fit the model.
        """
        from pyimpl.inference.simulation import new_parameters, rows_to_simulate, simulate_rows

        if use_u is not None:
            re_form = None if use_u else "~0"
        wanted = wanted_effects(self.design, re_form)
        estimates = new_parameters(
            self.design, self.model.reduced, self.model.estimates, newparams, conditional=any(wanted)
        )
        rows = rows_to_simulate(self.design, newdata, allow_new_levels)
        values = simulate_rows(rows, estimates, wanted, nsim, generator(seed), cluster_rand)
        names = [f"sim_{s + 1}" for s in range(nsim)]
        if newdata is not None:
            return pd.DataFrame(values, index=rows.index, columns=names)
        return pd.DataFrame({name: self._by_row(values[:, s]) for s, name in enumerate(names)})

    def weights(self, type: str = "prior") -> pd.Series:  # noqa: A002
        """``weights(m, type)``: the weights of the rows, ones where none were given.

        Parameters
        ----------
        type : {"prior", "working"}
            Working weights of a linear model are its prior weights; lme4 gives them since 2.0-1.

        Returns
        -------
        Series
            The data's index. Since lme4 2.0-1 the rows that ``na.exclude`` left out are there, as missing.

        Raises
        ------
        DataError
            Another type.
        """
        newer = self.dialect.has("weights_of_all_rows")
        if type not in ("prior", "working") or (type == "working" and not newer):
            raise DataError(
                f"weights: type must be 'prior' or (since lme4 {CHANGES['weights_of_all_rows'].since}) 'working', not "
                f"{type!r} in the dialect of lme4 {self.dialect.versions['lme4']}"
            )
        prior = super().weights()
        return self._by_row(prior.to_numpy(), None if prior.name is None else str(prior.name)) if newer else prior

    # -- other fits ------------------------------------------------------------------------------

    @SIGNATURES.own  # checked here it takes a fifth longer
    def refit(
        self,
        newresp: Sequence[float] | np.ndarray | pd.Series | pd.DataFrame | None = None,
        newweights: Sequence[float] | np.ndarray | pd.Series | None = None,
    ) -> Self:
        """Fit the same model to another response or with other weights, started from this fit's θ.

        Parameters
        ----------
        newresp : array-like, optional
            A number for each row used, or for each row of the data; a data frame of one column is one (R's list of
            one, which ``simulate`` gives). Default: the present response.
        newweights : array-like, optional
            Prior weights (lme4's since 1.1-34), likewise. Default: the present ones.

        Raises
        ------
        DataError
            Another number of values, values that are missing or infinite, or several columns.
        ModelError
            The criterion cannot be computed.

        Warns
        -----
        SingularFitWarning, ConvergenceWarning
            As ``lmer``.
        """
        fit = self if newweights is None else self._reweighted(newweights)
        if newresp is not None or newweights is None:
            fit = fit.refitted(newresp if newresp is not None else self.design.y)
        fit.give_warnings()
        return fit

    def _reweighted(self, newweights: Sequence[float] | np.ndarray | pd.Series) -> Self:
        """Fit with other prior weights, without warnings."""
        model, source = reweighted(self.model, newweights, self.source, self._warm_start, self.control)
        call = replace(self.call, weights=str(getattr(newweights, "name", None) or "newweights"))
        return type(self)(model, call, source, self.control)

    @SIGNATURES.own
    def refitted(self, newresp: Sequence[float] | np.ndarray | pd.Series | pd.DataFrame) -> Self:
        """:meth:`refit` without warnings: they are the new fit's ``messages`` and ``warnings``."""
        refitter = self.model.refitter
        y = refitter.response(newresp, lambda values: of_used_rows(values, self.design, self.source))
        model = refitter.refit(y, self._warm_start, self.control)
        return type(self)(model, self.call, self.source, self.control)

    @cached_property
    def _warm_start(self) -> np.ndarray:
        return warm_start(self.model)

    def refitML(self) -> Self:
        """Fit the same model by maximum likelihood (itself, if it is one)."""
        return self.with_criterion(REML=False)

    def with_criterion(self, REML: bool) -> Self:
        """Fit the same model by REML or by maximum likelihood (itself, if it is one)."""
        model = self.model
        if model.REML == REML:
            return self
        start = None if model.refitter.several_minima else self._warm_start
        other = find_optimum(model.design, model.reduced, REML, self.control, start)
        fit = type(self)(other, self.call, self.source, self.control)
        fit.give_warnings()
        return fit

    # -- pieces ----------------------------------------------------------------------------------

    @overload
    def getME(self, name: "SeriesPiece") -> pd.Series: ...
    @overload
    def getME(self, name: "FramePiece") -> pd.DataFrame: ...
    @overload
    def getME(self, name: "SparsePiece") -> "sparse.csc_array": ...
    @overload
    def getME(self, name: "ArrayPiece") -> np.ndarray: ...
    @overload
    def getME(self, name: "CountPiece") -> int: ...
    @overload
    def getME(self, name: Literal["sigma"]) -> float: ...
    @overload
    def getME(self, name: Literal["is_REML"]) -> bool: ...
    @overload
    def getME(self, name: Literal["Ztlist"]) -> "dict[str, sparse.csc_array]": ...
    @overload
    def getME(self, name: Literal["mmList"]) -> dict[str, pd.DataFrame]: ...
    @overload
    def getME(self, name: Literal["Tlist", "ST"]) -> dict[str, np.ndarray]: ...
    @overload
    def getME(self, name: Literal["cnms"]) -> dict[str, list[str]]: ...
    @overload
    def getME(self, name: Literal["devcomp"]) -> dict[str, dict[str, float]]: ...
    @overload
    def getME(self, name: Literal["devfun"]) -> "Callable[[Theta], float]": ...
    @overload
    def getME(self, name: Literal["ALL"] | list[str] | tuple[str, ...]) -> dict[str, object]: ...
    @overload
    def getME(self, name: str | Sequence[str]) -> object: ...
    def getME(self, name: str | Sequence[str]) -> object:
        """Return a piece of the model, ``getME(m, name)``; see the contract for shapes.

        Parameters
        ----------
        name : str or sequence of str
            One of ``X``, ``Z``, ``Zt``, ``Ztlist``, ``mmList``, ``y``, ``mu``, ``u``, ``b``, ``Gp``, ``Tp``,
            ``Lambda``, ``Lambdat``, ``Lind``, ``Tlist``, ``A``, ``RX``, ``sigma``, ``flist``, ``fixef``, ``beta``,
            ``theta``, ``ST``, ``REML``, ``is_REML``, ``n_rtrms``, ``n_rfacs``, ``N``, ``n``, ``p``, ``q``, ``p_i``,
            ``l_i``, ``q_i``, ``k``, ``m_i``, ``m``, ``cnms``, ``devcomp``, ``offset``, ``lower``, ``devfun``,
            ``weights``; since lme4 2.0-1 ``par`` and ``devarg`` (θ, unless covariances are structured) and ``npar``; of
            several, or ``"ALL"``, a dict. R's ``L`` and ``RZX`` are not there: they depend on the
            order in which R's sparse Cholesky factorisation takes the random effects.

        Raises
        ------
        DataError
            There is no such piece.
        """
        if not isinstance(name, str):
            return {one: self.getME(one) for one in name}
        if name == "ALL":
            return {one: self.getME(one) for one in piece_names(self.dialect)}
        return get_me(self.model, name, self.dialect)
