"""The fit that ``lmer`` returns: R's verbs, each a call of the function in ``inference`` that does it."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast, overload

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Count, Jobs, Seeds, Share, as_numbers
from pyimpl.design.checks import SCALE_NOTES
from pyimpl.design.re_form import ReForm, wanted_effects
from pyimpl.errors import DataError, ModelError
from pyimpl.formula.parse import deparse_lines, parse
from pyimpl.formula.update import update_formula
from pyimpl.inference.at_optimum import SearchedModel, Theta, checked_theta
from pyimpl.inference.comparison import (
    deletion_scope,
    deviance_name,
    likelihood_ratio_tests,
    random_effects_tests,
    sequential_anova,
    single_term_deletions,
)
from pyimpl.inference.point_prediction import predict_newdata, predict_rows, residual_values, rows_for_prediction
from pyimpl.inference.verbs import AfterTheLikelihoodFit
from pyimpl.likelihood.parameters import ParameterChoice
from pyimpl.likelihood.threads import fit_threads
from pyimpl.models.lm import LmFit
from pyimpl.models.lmer_estimates import LmerEstimates
from pyimpl.plots.likelihood import LmerPlots
from pyimpl.printing import AnovaTable, LmerSummary, print_fit
from pyimpl.progress import with_bar

if TYPE_CHECKING:
    from pyimpl.inference.allfit import AllFit
    from pyimpl.inference.bootstrap import IntervalArguments, Statistic
    from pyimpl.inference.influence import Influence
    from pyimpl.inference.kenward_roger import KenwardRoger
    from pyimpl.inference.prediction import Interval, PredictArguments
    from pyimpl.inference.satterthwaite import Satterthwaite
    from pyimpl.inference.small_sample import SmallSample
    from pyimpl.likelihood.parameters import Parameters
    from pyimpl.models.changes import LmerChanges

__all__ = ["LmerFit"]

_ROMAN = {"1": "I", "2": "II", "3": "III"}


@SIGNATURES.verbs
class LmerFit(LmerEstimates, LmerPlots, AfterTheLikelihoodFit):
    """A fitted linear mixed model (``lmerMod``), with R's verbs; see ``validation.contract.LinearMixedFit``.

    Made by :func:`lmer`. Everything returned is a copy; nothing changes the fit.
    """

    def update(self, formula: str | None = None, **changes: "Unpack[LmerChanges]") -> "LmerFit":
        """``update(m, formula, ...)``: the same call with some arguments changed.

        Parameters
        ----------
        formula : str, optional
            ``". ~ . - x"``: a dot stands for the present left- or right-hand side.
        **changes
            Arguments of :func:`lmer`, ``data`` and ``REML`` included.
        """
        if self.source is None:
            raise ModelError("this fit was made from a design, not from a data frame: call lmer instead of update")
        arguments: dict[str, Any] = {**self.source.arguments, **changes}
        data = arguments.pop("data", self.source.data)
        REML = arguments.pop("REML", self.model.REML)
        text = self.formula if formula is None else update_formula(self._explicit_formula(), formula)
        return cast("LmerFit", self.source.call(text, data, REML, **arguments))

    def vcov(self, full: bool = False) -> pd.DataFrame:
        """Covariance matrix of the fixed effects; `full`: of the errors of random and fixed effects, given θ."""
        if full:
            from pyimpl.inference.joint_covariance import JointCovariance

            return JointCovariance(self).full()
        names = list(self.design.coef_names)
        return pd.DataFrame(self.model.estimates.vcov.copy(), index=names, columns=names)

    @overload
    def predict(
        self, newdata: pd.DataFrame | None = None, re_form: ReForm = None, allow_new_levels: bool = False,
        random_only: bool = False, *, se_fit: Literal[False] = False, interval: None = None,
        **rest: "Unpack[PredictArguments]",
    ) -> pd.Series: ...  # fmt: skip
    @overload
    def predict(
        self, newdata: pd.DataFrame | None = None, re_form: ReForm = None, allow_new_levels: bool = False,
        random_only: bool = False, *, se_fit: Literal[True], interval: "Interval | None" = None,
        **rest: "Unpack[PredictArguments]",
    ) -> pd.DataFrame: ...  # fmt: skip
    @overload
    def predict(
        self, newdata: pd.DataFrame | None = None, re_form: ReForm = None, allow_new_levels: bool = False,
        random_only: bool = False, *, se_fit: bool = False, interval: "Interval",
        **rest: "Unpack[PredictArguments]",
    ) -> pd.DataFrame: ...  # fmt: skip
    @overload
    def predict(
        self, newdata: pd.DataFrame | None = None, re_form: ReForm = None, allow_new_levels: bool = False,
        random_only: bool = False, *, se_fit: bool = False, interval: "Interval | None" = None,
        **rest: "Unpack[PredictArguments]",
    ) -> pd.Series | pd.DataFrame: ...  # fmt: skip
    def predict(
        self,
        newdata: pd.DataFrame | None = None,
        re_form: ReForm = None,
        allow_new_levels: bool = False,
        random_only: bool = False,
        *,
        se_fit: bool = False,
        interval: "Interval | None" = None,
        **rest: "Unpack[PredictArguments]",
    ) -> pd.Series | pd.DataFrame:
        """``predict(m, newdata, re.form, allow.new.levels, random.only, se.fit)``.

        Parameters
        ----------
        newdata : data frame of any kind, optional
            Default: the rows the model was fitted to.
        re_form : None, ``"~0"``, NaN, or a formula
            None: all random effects; ``"~0"`` (or NaN): none; ``"~ (1 | g)"``: those named.
        allow_new_levels : bool
            Levels unknown to the fit (and missing ones) get the random effect 0; otherwise they are an error.
        random_only : bool
            The random effects' part alone.
        se_fit : bool
            Whether standard errors are wanted (lme4's, given θ).
        interval : {"confidence", "prediction"}, optional
            Of the mean, or of a new observation.
        **rest
            Besides:

            - ``na_action`` ("na.pass", "na.exclude", "na.omit", "na.fail"): rows of `newdata` with missing values are
              missing in the result, left out of it, or refused.
            - ``newparams`` (mapping): ``"beta"``, ``"theta"``, ``"sigma"``, parameters to take instead of the
              estimates; random effects stay as they were estimated.
            - ``level``, ``ddf``, ``weights``: of the interval, see
              :class:`pyimpl.inference.prediction.Uncertainty`.

        Returns
        -------
        Series or DataFrame
            With the index of `newdata`; missing where a predictor is missing (see ``na_action``). With `se_fit` or
            `interval` a frame of ``fit``, ``se.fit`` and, of an interval, ``lwr`` and ``upr``.

        Raises
        ------
        DataError
            A column is missing, or a level is new and `allow_new_levels` is False.
        """
        uncertainty: dict[str, Any] = dict(rest)
        na_action, newparams = uncertainty.pop("na_action", "na.pass"), uncertainty.pop("newparams", None)
        if na_action != "na.pass":
            newdata = rows_for_prediction(self.design, newdata, re_form, random_only, na_action)
        if se_fit or interval is not None or uncertainty:
            from pyimpl.inference.prediction import Uncertainty, predict_with_errors

            if newparams:
                raise DataError("predict: standard errors are those of the estimates: leave newparams out")

            asked_for = Uncertainty(interval, **uncertainty)
            return predict_with_errors(self, newdata, re_form, allow_new_levels, random_only, asked_for)
        design, estimates = self.design, self.model.estimates
        wanted = wanted_effects(design, re_form)
        if newparams:
            from pyimpl.inference.simulation import new_parameters

            estimates = new_parameters(design, self.model.reduced, estimates, newparams, conditional=any(wanted))
        if newdata is not None:
            return predict_newdata(
                design, estimates, newdata, wanted, allow_new_levels=allow_new_levels, random_only=random_only
            )
        if re_form is None and not random_only and not newparams:
            return self.fitted()
        return self._by_row(predict_rows(design, estimates, wanted, random_only))

    # -- comparisons -----------------------------------------------------------------------------

    @fit_threads
    def anova(
        self,
        *others: "LmerFit | LmFit",
        refit: bool = True,
        model_names: Sequence[str] | None = None,
        type: str | int | None = None,  # noqa: A002
        ddf: str | None = None,
    ) -> AnovaTable:
        """``anova(m, ...)``: likelihood-ratio tests between models, or sequential sums of squares of one.

        REML fits are refitted by maximum likelihood first, unless ``refit=False``; models are sorted by their number
        of parameters, as in R.

        Parameters
        ----------
        *others : LmerFit or LmFit
            A fit of ``lm`` is the model without random effects; its likelihood is that of least squares.
        refit : bool
        model_names : sequence of str, optional
            Row names in the order given; R takes the variables' names, the default here is ``MODEL1``, ...
        type, ddf : str, optional
            Of one model, either of them asks for lmerTest's table of F tests: hypotheses of type ``"III"`` (the
            default), ``"II"`` or ``"I"`` (or 3, 2, 1), degrees of freedom by ``"Satterthwaite"`` (the default) or
            ``"Kenward-Roger"`` (REML fits only, as in lmerTest). ``ddf="lme4"`` is lme4's table, without tests.
        """
        if ddf == "lme4":
            type = ddf = None  # noqa: A001
        if type is not None or ddf is not None:
            if others:
                raise DataError("anova: type and ddf belong to the F tests of one model; compare models without them")
            kind, method = str(type or "III"), ddf or "Satterthwaite"
            tests = AnovaTable(self._small_sample.f_table(kind, method))
            tests.heading = (f"Type {_ROMAN.get(kind, kind)} Analysis of Variance Table with {method}'s method",)
            return tests
        if not others:
            return sequential_anova(self.design, self.model.estimates)
        for other in others:
            if not isinstance(other, LmerFit | LmFit):
                raise DataError(f"anova compares fits of lmer and lm; {other!r:.60} is none")
        return likelihood_ratio_tests([self, *others], refit, model_names)

    def drop1(
        self,
        test: str = "none",
        k: float = 2.0,
        scope: str | Sequence[str] | None = None,
        ddf: str | None = None,
    ) -> AnovaTable:
        """``drop1(m, scope, test, k)``: the model without each of some terms, by maximum likelihood.

        Parameters
        ----------
        test : {"none", "Chisq"}
        k : float
            Penalty for each parameter in the AIC.
        scope : str or sequence of str, optional
            Terms to take away: a formula, ``"~ x + z"``, or their labels. Default: each that no other term contains.
        ddf : {"Satterthwaite", "Kenward-Roger"}, optional
            lmerTest's ``drop1(m, ddf)`` instead: F tests of this fit, without another.

        Raises
        ------
        DataError
            A term that the model does not have; with `ddf` one that another contains.
        """
        if ddf is None or ddf == "lme4":
            return single_term_deletions(self, self.update, test, k, scope)
        labels = deletion_scope(self.design, scope, marginal=True)
        tests = AnovaTable(self._small_sample.f_table("II", ddf).loc[labels])
        tests.heading = (
            f"Single term deletions using {ddf}'s method:",
            "\nModel:",
            *deparse_lines(parse(self.formula)),
        )
        return tests

    @fit_threads
    def ranova(self, reduce_terms: bool = True) -> AnovaTable:
        """``lmerTest::ranova(m, reduce.terms)`` (``rand``): likelihood-ratio tests of the random-effects terms.

        Each effect that no other contains is taken out of its term; a term of one intercept goes altogether. The fits
        are compared by the criterion of this one (REML or ML), without fixed effects changing.

        Parameters
        ----------
        reduce_terms : bool
            False: whole terms are taken away.

        Returns
        -------
        AnovaTable
            ``<none>``, then a row for each smaller model: npar, logLik, AIC, LRT, Df, Pr(>Chisq).
        """
        return random_effects_tests(self, self._explicit_formula(), self.update, reduce_terms)

    rand = ranova

    @fit_threads
    def allFit(
        self,
        optimizers: Sequence[str] | None = None,
        start: Theta | None = None,
        max_evaluations: Count = 20_000,
        start_from_mle: bool = False,
    ) -> "AllFit":
        """``allFit(m)``: fit the same model by several optimizers, to see whether they find the same optimum.

        Parameters
        ----------
        optimizers : sequence of str, optional
            Names from ``pyimpl.inference.allfit.OPTIMIZERS`` and ``"trust-region Newton"`` (ours); default all.
        start : array-like, optional
            θ that each starts from; default lme4's start.
        max_evaluations : int
            Of each.
        start_from_mle : bool
            Start each where this fit has ended, lme4's default; a start of its own asks more of an optimizer.

        Returns
        -------
        AllFit
            A mapping of name to fit; ``str()`` and ``summary()`` are R's, ``agreement()`` compares with the best.
        """
        from pyimpl.inference.allfit import AllFit, chosen, minimise, timed
        from pyimpl.likelihood.objective import Objective
        from pyimpl.likelihood.optimum import optimize
        from pyimpl.likelihood.starts import default_start
        from pyimpl.linalg.forecast import Forecast, foretold

        ours, design, reduced = "trust-region Newton", self.design, self.model.reduced
        if start_from_mle and start is None:
            start = self.getME("theta")
        first = default_start(reduced) if start is None else checked_theta(start, reduced.n_theta)

        def one(name: str) -> LmerFit:
            objective = Objective(reduced, self.isREML())
            optsum = (
                optimize(objective, None if start is None else [first], max_evaluations, design=design)
                if name == ours
                else minimise(objective, name, first, max_evaluations)
            )
            model = SearchedModel(design, reduced, objective, optsum)
            return LmerFit(model, self.call, self.source, self.control, name)

        fits, seconds = {}, {}
        names = chosen(optimizers, ours)
        forecast = Forecast("allFit", len(names), "optimizers", "Name fewer of them")
        for name in foretold(names, [1] * len(names), forecast):
            fits[name], seconds[name] = timed(partial(one, name))
        return AllFit(fits, seconds, self, self.call.data)

    # -- intervals -------------------------------------------------------------------------------

    def confint(
        self,
        parm: "ParameterChoice" = None,
        level: Share = 0.95,
        method: str = "profile",
        *,
        progress: bool = False,
        signames: bool = True,
        oldNames: bool | None = None,
        **boot: "Unpack[IntervalArguments]",
    ) -> pd.DataFrame:
        """``confint(m, parm, level, method)``: confidence intervals.

        Profile intervals end exactly where the signed root deviance is the normal quantile; lme4 interpolates between
        points of its profile by a spline. Where the deviance stays below it, they end at the parameter's bound.

        Parameters
        ----------
        parm : str, int or sequence of them, optional
            ``.sig01``, ... (standard deviations and correlations of each term; lme4 2.0 changed their order: see
            :mod:`pyimpl.likelihood.parameters`), ``.sigma``, coefficient names; or what they are, in the words of
            ``signames=False``. ``"theta_"``: all standard deviations and correlations, ``"beta_"``: the coefficients.
            Numbers are places as R counts them, from 1 (``parm=[2, 3]`` is R's ``2:3``; negative ones are left out).
        level : float
        method : {"profile", "Wald", "boot"}
            R's default is the first. Wald intervals are missing for ``.sig01``, ..., ``.sigma``, as in R.
        progress : bool
            Show a bar.
        signames : bool
            False: rows are named by what they are, ``sd_(Intercept)|g``, ``cor_x.(Intercept)|g``, ``sigma`` (lme4's
            ``oldNames = FALSE``, since 1.1-38 ``signames = FALSE``).
        oldNames : bool, optional
            The older name of `signames`.
        **boot
            For ``"boot"``: ``nsim`` (500), ``FUN``, ``seed`` and ``n_jobs`` as of :meth:`bootMer` (with FUN, `parm`
            chooses among its names); ``boot_type``: ``"perc"``, ``"basic"`` or ``"norm"``.

        Returns
        -------
        DataFrame
            Parameter x ``2.5 %``, ``97.5 %``, in the dialect's order, or in that of the numbers asked for (Wald, boot).
        """
        from pyimpl.inference.bootstrap import boot_intervals
        from pyimpl.inference.confint import chosen_statistics, profile_intervals, profiler_of, rows_of, wald_intervals

        if method not in ("profile", "Wald", "boot"):
            raise DataError(f"confint: method must be 'profile', 'Wald' or 'boot', not {method!r}")
        parameters, known = self._parameters, self._parameters.names()
        signames = signames if oldNames is None else oldNames
        rename = {} if signames else dict(zip(known, parameters.names(signames=False), strict=True))
        if method == "boot":
            FUN, boot_type = boot.get("FUN"), boot.get("boot_type", "perc")
            chosen = None if FUN is not None else parameters.choose(parm)
            drawn = self.bootMer(
                FUN, boot.get("nsim", 500), boot.get("seed"), n_jobs=boot.get("n_jobs", 1), progress=progress
            )
            rows = chosen_statistics(list(drawn.columns), parm) if chosen is None else rows_of(chosen, parm, known)
            intervals = boot_intervals(drawn[list(dict.fromkeys(rows))], level, boot_type).loc[rows]
            return intervals if FUN is not None else intervals.rename(index=rename)
        chosen = parameters.choose(parm)
        if method == "Wald":
            rows = rows_of(chosen, parm, known)
            return wald_intervals(self.model.estimates, parameters, level).loc[rows].rename(index=rename)
        profiler = profiler_of(self.model, self._warm_start, self.control, self.dialect)
        return profile_intervals(profiler, chosen, level, progress).rename(index=rename)

    @cached_property
    def _parameters(self) -> "Parameters":
        """What the fit's dialect calls its parameters, and in which order."""
        from pyimpl.inference.profile import parameters_of

        return parameters_of(self.design, self.dialect)

    @fit_threads
    def profile(
        self,
        which: "ParameterChoice" = None,
        alphamax: float = 0.01,
        maxpts: Count = 100,
        delta_cutoff: float = 0.125,
        progress: bool = False,
        signames: bool = True,
    ) -> pd.DataFrame:
        """``as.data.frame(profile(m))``: the signed root of the ML deviance's rise, each parameter held in turn.

        REML fits are refitted by maximum likelihood first, as in R. Parameters are those of :meth:`confint`, on the
        scale of standard deviations and correlations.

        Parameters
        ----------
        which : str, int or sequence of them, optional
            Which parameters, as in :meth:`confint`; default all.
        alphamax : float
            Profiles go on until ``.zeta`` is beyond ``sqrt(qchisq(1 - alphamax, npar))``.
        maxpts : int
            Points on each side.
        delta_cutoff : float
            Steps in ``.zeta``, as a share of its end.
        progress : bool
            Show a bar.
        signames : bool
            As in :meth:`confint`.

        Returns
        -------
        DataFrame
            ``.zeta``, all parameters, ``.par`` (the one held) and ``.focal`` (its value), ascending within a parameter.

        Raises
        ------
        ModelError
            A deviance below the fit's is found: the fit was not the minimum.

        Warns
        -----
        PyimplWarning
            A profile is not monotonic, or a correlation is not defined because a variance is 0.
        """
        from pyimpl.inference.confint import profiler_of

        if not 0 < alphamax < 1 or not 0 < delta_cutoff <= 1 or maxpts < 3:
            raise DataError("profile needs 0 < alphamax < 1, 0 < delta_cutoff <= 1 and maxpts of at least 3")
        chosen = self._parameters.choose(which)
        profiler = profiler_of(self.model, self._warm_start, self.control, self.dialect)
        table = profiler.table(
            with_bar("profile", chosen, [1] * len(chosen), shown=progress), alphamax, maxpts, delta_cutoff, len(chosen)
        )
        if signames:
            return table
        spelled = dict(zip(self._parameters.names(), self._parameters.names(signames=False), strict=True))
        return table.rename(columns=spelled).assign(**{".par": table[".par"].map(spelled)})

    @fit_threads
    def bootMer(
        self,
        FUN: "Callable[[LmerFit], Statistic] | None" = None,
        nsim: Count = 100,
        seed: Seeds | None = None,
        use_u: bool = False,
        type: str = "parametric",  # noqa: A002
        n_jobs: Jobs = 1,
        progress: bool = False,
    ) -> pd.DataFrame:
        """``bootMer(m, FUN, nsim, seed, use.u, type)``: a statistic of refits to simulated responses.

        Parameters
        ----------
        FUN : callable, optional
            Fit -> a number, array, Series or dict of numbers, always of one length. Default: what
            ``confint(m, method = "boot")`` takes, the parameters of :meth:`confint`.
        nsim : int
            Replicates.
        seed : int or SeedSequence, optional
            Each replicate has a stream of its own, so the result depends neither on `n_jobs` nor on the backend.
        use_u : bool
            Keep the random effects as estimated instead of drawing new ones.
        type : {"parametric", "semiparametric"}
            The latter adds resampled residuals to the fitted values, and needs ``use_u=True``, as in R.
        n_jobs : int
            Workers, as joblib counts them; ``joblib.parallel_config`` chooses the backend.
        progress : bool
            Show a bar.

        Returns
        -------
        DataFrame
            Replicate x statistic. ``attrs``: ``observed`` (the statistic of this fit), ``messages`` (texts of the
            refits' messages and warnings, and how often), ``errors`` (likewise; such replicates are missing), ``seed``.

        Warns
        -----
        PyimplWarning
            Replicates failed.
        """
        from pyimpl.inference.bootstrap import bootstrap

        if type not in ("parametric", "semiparametric"):
            raise DataError(f"type must be 'parametric' or 'semiparametric', not {type!r}")
        if type == "semiparametric" and not use_u:
            raise DataError(
                "semiparametric bootstrapping with use_u=False is not implemented, as in lme4; use_u=True is"
            )
        draw = partial(_refit_to_draw, self, use_u, type == "semiparametric")
        return bootstrap(self, draw, FUN or _bootstrapped_parameters, nsim, seed, n_jobs, progress)

    # -- small samples ---------------------------------------------------------------------------

    @cached_property
    def _small_sample(self) -> "SmallSample":
        from pyimpl.inference.small_sample import SmallSample

        return SmallSample(self.design, self.model.estimates, self.isREML())

    @fit_threads
    def small_sample_method(self, ddf: str) -> "Satterthwaite | KenwardRoger":
        """Return the method that knows the degrees of freedom of any contrast: its ``df(row)``.

        Parameters
        ----------
        ddf : {"Satterthwaite", "Kenward-Roger"}
            The latter is that of the REML fit, for a maximum likelihood fit, too.
        """
        if ddf not in ("Satterthwaite", "Kenward-Roger"):
            raise DataError(f"ddf must be 'Satterthwaite' or 'Kenward-Roger', not {ddf!r}")
        if ddf == "Satterthwaite":
            return self._small_sample.satterthwaite
        return self.with_criterion(REML=True)._small_sample.kenward_roger

    @fit_threads
    def tested_coefficients(self: "LmerFit", ddf: str) -> pd.DataFrame:
        """``coef(summary(m, ddf))`` of lmerTest: Estimate, Std. Error, df, t value, Pr(>|t|).

        Parameters
        ----------
        ddf : {"Satterthwaite", "Kenward-Roger"}
            The latter of REML fits only, as in lmerTest.
        """
        tests = self._small_sample
        return tests.satterthwaite_table() if ddf == "Satterthwaite" else tests.kenward_roger_table()

    @fit_threads
    def satterthwaite(self) -> pd.DataFrame:
        """``coef(summary(m))`` of lmerTest: Estimate, Std. Error, df (Satterthwaite's), t value, Pr(>|t|)."""
        return self._small_sample.satterthwaite_table()

    @fit_threads
    def kenward_roger(self) -> pd.DataFrame:
        """``coef(summary(m, ddf = "Kenward-Roger"))`` of lmerTest: adjusted standard errors, df, t and p values.

        A maximum likelihood fit is refitted by REML first, as ``pbkrtest::vcovAdj`` does (lmerTest refuses it).
        """
        return self.with_criterion(REML=True)._small_sample.kenward_roger_table()

    @fit_threads
    def vcovAdj(self) -> pd.DataFrame:
        """``pbkrtest::vcovAdj(m)``: Kenward and Roger's adjusted covariance matrix, of the REML fit."""
        names = list(self.design.coef_names)
        adjusted = self.with_criterion(REML=True)._small_sample.kenward_roger.adjusted
        return pd.DataFrame(adjusted.copy(), index=names, columns=names)

    @fit_threads
    def KRmodcomp(
        self, small: "LmerFit | str | np.ndarray | pd.DataFrame", betaH: float | Sequence[float] | np.ndarray = 0.0
    ) -> pd.DataFrame:
        """``pbkrtest::KRmodcomp(m, small, betaH)$test``: Kenward and Roger's F test of a smaller model.

        Parameters
        ----------
        small : LmerFit, str or array of shape (rows, P)
            The smaller model (either way round), a formula for :meth:`update` (``". ~ . - x"``), or the matrix L of
            the hypotheses Lβ = 0.
        betaH : float or array of shape (P,)
            The hypothesis is Lβ = Lβ_H.

        Returns
        -------
        DataFrame
            Rows ``Ftest`` and ``FtestU`` (unscaled); columns stat, ndf, ddf, F.scaling, p.value. Of the REML fit.

        Raises
        ------
        ModelError
            If the models' fixed effects are the same, or not nested.
        """
        from pyimpl.inference.small_sample import full_rank_rows, restriction_matrix

        if isinstance(small, str):
            small = self.update(small)
        if isinstance(small, LmerFit):
            large = self if self.design.P >= small.design.P else small
            other = small if large is self else self
            L = restriction_matrix(large.design.X, other.design.X)
        else:
            large, L = self, full_rank_rows(np.atleast_2d(as_numbers(small, "KRmodcomp: small")), self.design.P)
        return large.with_criterion(REML=True)._small_sample.modcomp(L, np.asarray(betaH, dtype=float))

    @fit_threads
    def contest(
        self,
        L: Sequence[float] | Sequence[Sequence[float]] | np.ndarray | pd.DataFrame,
        rhs: float | Sequence[float] | np.ndarray = 0.0,
        joint: bool = True,
        confint: bool = True,
        level: Share = 0.95,
        ddf: str = "Satterthwaite",
    ) -> pd.DataFrame:
        """``lmerTest::contest(m, L, rhs, joint, ...)``: tests of the contrasts Lβ = rhs.

        Parameters
        ----------
        L : array-like, shape (rows, P) or (P,)
            A contrast a row; of a DataFrame the index names them.
        rhs : float or array of shape (rows,)
            One number for all unless `joint`.
        joint : bool
            True: one F test of all rows; False: a t test of each.
        confint : bool
            Whether the t tests show confidence intervals of the contrasts.
        level : float
            Of these intervals.
        ddf : {"Satterthwaite", "Kenward-Roger"}

        Returns
        -------
        DataFrame
            Sum Sq, Mean Sq, NumDF, DenDF, F value, Pr(>F); or Estimate, Std. Error, df, t value, lower, upper,
            Pr(>|t|) of each row.

        Raises
        ------
        DataError
            L does not have a column for each coefficient, or is not finite.
        ModelError
            Kenward-Roger's method for a fit by maximum likelihood.
        """
        rows = np.atleast_2d(as_numbers(L, "L"))
        tests = self._small_sample
        if joint:
            return tests.joint_contest(rows, as_numbers(rhs, "rhs"), ddf)
        labels = [str(name) for name in L.index] if isinstance(L, pd.DataFrame) else None
        table = tests.single_contests(rows, as_numbers(rhs, "rhs"), ddf, level if confint else None)
        return table if labels is None else table.set_axis(labels)

    # -- influence -------------------------------------------------------------------------------

    def influence(
        self,
        groups: str | Sequence[str] | None = None,
        *,
        n_jobs: Jobs = 1,
        progress: bool = False,
    ) -> "Influence":
        """``influence(m, groups)``: the model fitted again without each group, or each row of the data.

        Rows or groups of which no row is in use (missing values) are there too, as in R: without them nothing changes.
        A unit that cannot be left out (all but one level would be gone) is missing, with the reason in ``errors``.

        Parameters
        ----------
        groups : str or sequence of str, optional
            Columns of the data; their combinations are the units. Default: each row.
        n_jobs : int
            Workers, as joblib counts them; ``joblib.parallel_config`` chooses the backend.
        progress : bool
            Show a bar.

        Returns
        -------
        Influence
            With ``dfbeta()``, ``dfbetas()`` and ``cooks_distance()``. Its tables are indexed by the units, in the
            order of the data; without `groups` by the data's index (by position, if a label is there twice).
        """
        from pyimpl.inference.influence import WithoutRows, influence

        if self.source is None:
            raise ModelError("this fit was made from a design, not from a data frame: influence cannot leave out rows")
        refit = WithoutRows(self.model, self._warm_start, self.source, self.control, self.dialect)
        return influence(refit, groups, n_jobs, progress)

    def hatvalues(self) -> pd.Series:
        """``hatvalues(m)``: the leverage of each row, the diagonal of the hat matrix; the data's index."""
        return self._by_row(self._hat.copy())

    @cached_property
    def _hat(self) -> np.ndarray:
        from pyimpl.inference.leverage import hat_diagonal

        return hat_diagonal(self.design, self.model.estimates)

    def hat_matrix(self) -> pd.DataFrame:
        """``hatvalues(m, fullHatMatrix = TRUE)``: fitted from observed responses (both times √w)."""
        from pyimpl.inference.leverage import hat_matrix

        index = self.design.index
        return pd.DataFrame(hat_matrix(self.design, self.model.estimates), index=index, columns=index)

    def cooks_distance(self) -> pd.Series:
        """``cooks.distance(m)``: r²h / (σ̂² P (1 − h)²), r the Pearson residual; the data's index."""
        hat = self._hat
        with np.errstate(divide="ignore", invalid="ignore"):
            values = (
                (residual_values(self.design, self.model.estimates, "pearson", False) / (1 - hat)) ** 2
                * hat
                / (self.sigma() ** 2 * self.design.P)
            )
        return self._by_row(np.where(np.isinf(values), np.nan, values))

    def rstudent(self) -> pd.Series:
        """``rstudent(m)``: r / (σ̂ √(1 − h)), R's definition for merMod (σ̂ keeps the row); the data's index."""
        hat = self._hat
        with np.errstate(divide="ignore", invalid="ignore"):
            values = residual_values(self.design, self.model.estimates, "pearson", True) / np.sqrt(1 - hat)
        return self._by_row(np.where(np.isinf(values), np.nan, values))

    # -- text ------------------------------------------------------------------------------------

    def summary(self, correlation: bool | None = None, ddf: str | None = None) -> LmerSummary:
        """``summary(m)``: an object whose ``str()`` is exactly what R prints.

        Parameters
        ----------
        correlation : bool, optional
            Whether the correlations of the fixed effects are shown; R's default is up to 12 coefficients.
        ddf : {"Satterthwaite", "Kenward-Roger"}, optional
            The summary of lmerTest: t tests of the coefficients with these degrees of freedom, and p values.
            ``"lme4"`` is the same as None.

        Raises
        ------
        ModelError
            Kenward-Roger's method for a fit by maximum likelihood, as in lmerTest.
        """
        if ddf not in (None, "lme4", "Satterthwaite", "Kenward-Roger"):
            raise DataError(f"summary: ddf must be 'Satterthwaite', 'Kenward-Roger' or 'lme4', not {ddf!r}")
        ddf = None if ddf == "lme4" else ddf
        if self.isREML():
            aictab = pd.Series({"REML": self._criterion(True)})
        else:
            aictab = pd.Series(
                {
                    "AIC": self.AIC(),
                    "BIC": self.BIC(),
                    "logLik": self.logLik(),
                    deviance_name(self.dialect): self._criterion(False),
                    "df.resid": float(self.df_residual()),
                }
            )
        varcorr = self.VarCorr()
        return LmerSummary(
            REML=self.isREML(),
            call=self.call,
            aictab=aictab,
            residuals=residual_values(self.design, self.model.estimates, "pearson", True),
            varcorr=varcorr,
            ngrps=self.ngrps(),
            nobs=self.nobs(),
            coefficients=self.coef_table() if ddf is None else self.tested_coefficients(ddf),
            vcov=self.vcov(),
            ddf=ddf,
            fit_messages=(*self.design.messages, *(note for note in self.design.warnings if note in SCALE_NOTES)),
            convergence_messages=self.convergence_messages,
            correlation=correlation,
        )

    def __str__(self) -> str:
        return print_fit(self.summary())

    def __repr__(self) -> str:
        return print_fit(self.summary())


def _bootstrapped_parameters(fit: "LmerFit") -> dict[str, float]:
    from pyimpl.inference.confint import parameter_values

    return parameter_values(fit.model.estimates, fit._parameters)


def _refit_to_draw(fit: "LmerFit", use_u: bool, semiparametric: bool, seed: np.random.SeedSequence) -> "LmerFit":
    """Refit to a response drawn from the model, without warnings: they are the new fit's ``messages``, ``warnings``."""
    from pyimpl.inference.simulation import draw_response

    return fit.refitted(draw_response(fit.design, fit.model.estimates, seed, use_u, semiparametric))
