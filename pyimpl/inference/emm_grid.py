"""Estimated marginal means, contrasts and trends: linear functions of coefficients over a grid (``emmGrid``)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Unpack, cast

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Share
from pyimpl.errors import DataError
from pyimpl.inference.adjustments import (
    Family,
    adjusted_critical_values,
    adjusted_p_values,
    checked_method,
    cross_method,
)
from pyimpl.inference.contrast_families import FAMILIES, ContrastOptions, Method, contrast_family
from pyimpl.inference.emm_combine import EmmList, bound_together, cross_adjusted, effect_sizes
from pyimpl.inference.emm_displays import (
    LetterOptions,
    MatrixOptions,
    PairwiseMatrix,
    compact_letters,
    pairwise_matrix,
)
from pyimpl.inference.emm_options import ContrastArguments, HypothesisOptions, ShownOptions, Tests, both_of, tail_of
from pyimpl.inference.emm_text import EmmSummary, Level, label_of, paste_levels
from pyimpl.inference.emm_transformation import Transformation, on_the_response, quotients
from pyimpl.inference.intervals import hpd_interval
from pyimpl.inference.linear_functions import Basis
from pyimpl.linalg.dqrdc2 import dqrdc2
from pyimpl.linalg.forecast import refuse_too_large
from pyimpl.linalg.heard import heard_if_long
from pyimpl.text.numbers import as_character, zapsmall

__all__ = ["EmmGrid", "EmmPair", "EmmSummary"]

_OPERATORS = "-+/*"  # in a level's label they would be read as part of a contrast
_DEPENDENT = "d: df1 reduced due to linear dependence"
_UNESTIMABLE = "e: df1 reduced due to non-estimability"
_LESS = 'Compare within the levels of another variable (by=), or with one level ("trt.vs.ctrl").'
_NOTES = ("", " d", "   e", " d e")


def _numeric_labels(values: pd.Series) -> bool:
    """Whether every label reads as a number: then it is shown after its variable's name."""
    try:
        return bool(np.isfinite([float(label_of(value)) for value in values]).all())
    except ValueError:
        return False


@SIGNATURES.verbs
@dataclass(frozen=True, eq=False)
class EmmGrid:
    """Linear functions of the coefficients, one for each row of a grid of the predictors' levels.

    Made by :func:`~pyimpl.inference.emmeans.emmeans` and its kin. ``str()`` is what R prints, ``.frame`` its numbers;
    ``confint()``, ``test()`` and ``summary()`` show others, ``contrast()`` and ``pairs()`` compare.

    Attributes
    ----------
    basis : Basis
        The coefficients.
    grid : DataFrame
        Levels of each row: factors and contrasts as categoricals.
    levels : dict
        Variable -> its levels.
    linfct : ndarray, shape (rows, K)
        A row for each row of the grid, a column for each column of the model matrix.
    weights : ndarray, shape (rows,), or None
        Number of rows of the data (or their prior weights) that a row of the grid stands for.
    offset : ndarray, shape (rows,), or None
    estimate : str
        Name of the estimates.
    kind : {"prediction", "contrast", "pairs"}
    infer : (bool, bool)
        Whether intervals, and tests, are shown by default.
    level : float
    adjust : str
    family_size : float
    by : tuple of str
    averaged_over : tuple of str
    term_variables : tuple of frozenset
        The variables of each term of the model.
    trend : str or None
        Variable of which these are slopes.
    nesting : dict
        Factor -> the factors that it is nested in.
    scale : Transformation or None
        What the formula makes of the response, ``log(y)``, where the estimates are on that scale.
    ratios : bool
        Whether they are differences of logarithms.
    response : bool
        Whether they are shown on the scale of the response.
    """

    basis: Basis
    grid: pd.DataFrame
    levels: dict[str, list[Level]]
    linfct: np.ndarray
    weights: np.ndarray | None
    offset: np.ndarray | None
    estimate: str = "prediction"
    kind: str = "prediction"
    infer: tuple[bool, bool] = (False, False)
    level: Share = 0.95
    adjust: str = "none"
    family_size: float = 1.0
    by: tuple[str, ...] = ()
    averaged_over: tuple[str, ...] = ()
    averaged_some: bool = False
    term_variables: tuple[frozenset[str], ...] = ()
    trend: str | None = None
    pair_by: tuple[str, ...] | None = None
    notes: tuple[str, ...] = field(default=())
    nesting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scale: Transformation | None = None
    ratios: bool = False
    response: bool = False

    def __post_init__(self) -> None:
        """Refuse a method of adjustment that there is not, before anything is shown."""
        checked_method(self.adjust)

    # -- tables --------------------------------------------------------------------------------------------------------

    @property
    def frame(self) -> pd.DataFrame:
        """The numbers of :meth:`summary`, R's columns."""
        return self.summary().frame

    def __str__(self) -> str:
        return str(self.summary())

    __repr__ = __str__

    def __len__(self) -> int:
        return len(self.grid)

    def confint(
        self, level: Share | None = None, adjust: str | None = None, *, frequentist: bool = False
    ) -> EmmSummary:
        """``confint(e, level, adjust)``: estimates with confidence intervals (of a posterior: HPD intervals)."""
        return self.summary(
            infer=(True, False), level=0.95 if level is None else level, adjust=adjust, frequentist=frequentist
        )

    def test(
        self,
        null: float = 0.0,
        *,
        joint: bool = False,
        adjust: str | None = None,
        by: str | Sequence[str] | None = None,
        **options: Unpack[HypothesisOptions],
    ) -> EmmSummary:
        """``test(e, null, joint, side, delta, adjust)``: estimates with tests, or one F test of all being 0.

        Parameters
        ----------
        null : float
            Value tested.
        joint : bool
            One F test of the rows of each group of `by` variables.
        adjust : str, optional
        by : str or sequence of str, optional
            Variables whose combinations are families of their own; default those of this object.
        **options
            Of :class:`HypothesisOptions`: ``side``, ``delta``, ``cross_adjust``, ``frequentist``.
        """
        if joint:
            if null != 0:
                raise DataError("test: joint tests are of all linear functions being 0: subtract `null` beforehand")
            return self._joint(self.by if by is None else _names(by))
        return self.summary((False, True), None, adjust, by, null, **options)

    def summary(
        self,
        infer: bool | tuple[bool, bool] | None = None,
        level: Share | None = None,
        adjust: str | None = None,
        by: str | Sequence[str] | None = None,
        null: float = 0.0,
        **options: Unpack[HypothesisOptions],
    ) -> EmmSummary:
        """``summary(e, infer, level, adjust, by, null, side, delta, cross.adjust, frequentist)``.

        Parameters
        ----------
        infer : bool or (bool, bool), optional
            Whether intervals, and tests, are shown.
        level : float, optional
            Of the intervals.
        adjust : str, optional
            Adjustment for several tests; default this object's own. See
            :func:`~pyimpl.inference.adjustments.adjusted_p_values`.
        by : str or sequence of str, optional
        null : float
            Value tested.
        **options
            Of :class:`HypothesisOptions`: ``side``, ``delta``, ``cross_adjust``, ``frequentist``.

        Returns
        -------
        EmmSummary

        Raises
        ------
        DataError
            An unknown method of adjustment, side or variable, or a level that is not between 0 and 1.
        """
        asked = Tests(**options)
        side, delta, cross_adjust, frequentist = asked.side, asked.delta, asked.cross_adjust, asked.frequentist
        shown_by = self.by if by is None else _names(by)
        self._check_variables(shown_by, "by")
        level = self.level if level is None else level
        if self.basis.draws is not None and not frequentist:
            return self._posterior_summary(level, shown_by)
        wanted = self.infer if infer is None else both_of(infer)
        tail = tail_of(side)
        value, se, df = self.basis.estimates(self.linfct, self.offset)
        normal = bool((np.isnan(df) | np.isinf(df)).all())
        table: dict[str, Any] = {name: self.grid[name] for name in self.grid.columns}
        table |= {self.estimate: value, "SE": se, "df": df}
        messages = [] if self.basis.df_method is None else [f"Degrees-of-freedom method: {self.basis.df_method}"]
        back = self.scale if self.response else None
        if self.scale is not None and back is None:
            messages.append(f"Results are given on the {self.scale.shown} (not the response) scale.")
        method, adjusted = self.adjust if adjust is None else adjust, "none"
        family = self._family(shown_by, method)
        if wanted[0]:
            critical = adjusted_critical_values(level, df, method, family, tail)
            low, high = ("asymp.LCL", "asymp.UCL") if normal else ("lower.CL", "upper.CL")
            half = critical.numbers * se
            table[low] = value - half if tail >= 0 else np.full(value.shape, -np.inf)
            table[high] = value + half if tail <= 0 else np.full(value.shape, np.inf)
            messages.append(f"Confidence level used: {as_character(level)}")
            messages += [] if critical.message is None else [critical.message]
            messages += [] if back is None else [f"Intervals are back-transformed from the {back.shown} scale"]
        if wanted[1]:
            delta = abs(delta)
            shown_null = null if back is None else float(back.inverse(np.array(null)))
            if shown_null != 0:
                table["null"] = np.full(value.shape, shown_null)
            distance = abs(value - null) - delta if tail == 0 and delta else value - null + tail * delta
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = distance / se
            table["z.ratio" if normal else "t.ratio"] = ratio
            p_tail = tail if tail else (-1 if delta else 0)
            p = adjusted_p_values(ratio, df, method, family, p_tail)
            table["p.value"], adjusted = p.numbers, p.method
            messages += [] if p.message is None else [p.message]
            if cross_method(cross_adjust) != "none" and len(family.groups) > 1:
                if family.size is None:
                    raise DataError("cross_adjust: the groups of the `by` variables have different numbers of rows")
                table["p.value"], said = cross_adjusted(p.numbers, family.groups, cross_adjust)
                messages.append(said)
            if delta:
                what = {-1: "nonsuperiority", 0: "equivalence", 1: "noninferiority"}[tail]
                messages.append(f"Statistics are tests of {what} with a threshold of {as_character(delta, 5)}")
            if p_tail:
                messages.append(f"P values are {'left' if p_tail < 0 else 'right'}-tailed")
            messages += [] if back is None else [f"Tests are performed on the {back.shown} scale"]
        lines = (*self._averaging(), *self.notes, *messages)
        frame = pd.DataFrame(table)
        if back is None:
            return EmmSummary(frame, self.estimate, shown_by, lines, adjusted)
        name = "ratio" if self.ratios else "response"
        return EmmSummary(on_the_response(frame, back, self.estimate, name), name, shown_by, lines, adjusted)

    def _averaging(self) -> tuple[str, ...]:
        if not self.averaged_over:
            return ()
        some = " some or all of" if self.averaged_some else ""
        return (f"Results are averaged over{some} the levels of: {', '.join(self.averaged_over)}",)

    def _posterior_summary(self, level: float, by: tuple[str, ...]) -> EmmSummary:
        draws, name, said = self.basis.sample(self.linfct, self.offset), self.estimate, []
        if self.scale is not None and self.response:
            draws, name = self.scale.inverse(draws), "ratio" if self.ratios else "response"
            said = [f"Results are back-transformed from the {self.scale.shown} scale"]
        elif self.scale is not None:
            said = [f"Results are given on the {self.scale.shown} (not the response) scale."]
        ends = hpd_interval(draws, level)
        table: dict[str, Any] = {column: self.grid[column] for column in self.grid.columns}
        table |= {name: np.median(draws, axis=0), "lower.HPD": ends[:, 0], "upper.HPD": ends[:, 1]}
        messages = ["Point estimate displayed: median", *said, f"HPD interval probability: {as_character(level)}"]
        frame = pd.DataFrame(table)
        frame = quotients(frame, list(self.grid.columns)) if name == "ratio" else frame
        return EmmSummary(frame, name, by, (*self._averaging(), *self.notes, *messages))

    def draws(self) -> np.ndarray:
        """Draws of each row, shape (draws, rows) (``as.mcmc(e)``).

        Raises
        ------
        DataError
            The fit is not a posterior.
        """
        if self.basis.draws is None:
            raise DataError("draws: a fit of lmer has none; take summary(), confint() or test()")
        return self.basis.sample(self.linfct, self.offset)

    def vcov(self) -> np.ndarray:
        """``vcov(e)``: covariance matrix of the estimates, shape (rows, rows)."""
        return self.basis.covariance(self.linfct)

    def rows_of(self, by: Sequence[str]) -> list[np.ndarray]:
        """Rows of each combination of these variables, in the order in which they come."""
        if not by:
            return [np.arange(len(self.grid))]
        keys = paste_levels(self.grid, by)
        groups: dict[str, list[int]] = {}
        for i, key in enumerate(keys):
            groups.setdefault(key, []).append(i)
        return [np.array(rows, dtype=np.intp) for rows in groups.values()]

    def _family(self, by: tuple[str, ...], adjust: str) -> Family:
        groups = self.rows_of(by)
        kind = self.kind
        if kind == "pairs" and self.pair_by != by:
            kind = "contrast"
        same = len({len(rows) for rows in groups}) == 1
        tests: float | None = None
        if same:
            tests = len(self.grid) / float(np.prod([len(dict.fromkeys(self.levels[name])) for name in by]))
        ranks = [1]
        correlation = None
        if adjust.lower().startswith("sch"):
            ranks = [dqrdc2(zapsmall(self.linfct[rows].ravel()).reshape(len(rows), -1)).rank for rows in groups]
        elif adjust.lower() == "mvt":
            refuse_too_large(4.0 * len(self.grid) ** 2, f'{len(self.grid)} tests with adjust="mvt"', _LESS)
            covariance = self.vcov()
            sd = np.sqrt(np.diag(covariance))
            with np.errstate(invalid="ignore", divide="ignore"):
                correlation = covariance / np.outer(sd, sd)
        return Family(groups, self.family_size if same else None, tests, kind == "pairs", ranks, correlation)

    def _check_variables(self, names: Sequence[str], what: str) -> None:
        for name in names:
            if name not in self.grid.columns:
                raise DataError(f"{what}: there is no variable {name!r}; there are {', '.join(self.grid.columns)}")

    def _by(self, by: str | Sequence[str] | None) -> tuple[str, ...]:
        names = self.by if by is None else _names(by)
        self._check_variables(names, "by")
        return names

    def _joint(self, by: tuple[str, ...]) -> EmmSummary:
        self._check_variables(by, "by")
        tests = [self.basis.joint_test(self.linfct[rows]) for rows in self.rows_of(by)]
        first = [int(rows[0]) for rows in self.rows_of(by)]
        table: dict[str, Any] = {name: self.grid[name].iloc[first].reset_index(drop=True) for name in by}
        table |= {
            "df1": [float(test.df1) for test in tests],
            "df2": [test.df2 for test in tests],
            "F.ratio": [test.F for test in tests],
            "p.value": [test.p for test in tests],
        }
        notes = [test.note for test in tests]
        messages = joint_messages(notes)
        if any(notes):
            table["note"] = [_NOTES[note] for note in notes]
        return EmmSummary(pd.DataFrame(table), "F.ratio", (), messages)

    # -- comparisons ---------------------------------------------------------------------------------------------------

    def rbind(self, *others: "EmmGrid", adjust: str = "bonferroni") -> "EmmGrid":
        """``rbind(e, ..., adjust)``: these rows and those of others of the same fit, as one family of tests.

        Parameters
        ----------
        *others : EmmGrid
        adjust : str
            Adjustment for all tests together.

        Raises
        ------
        DataError
            A table of another fit.
        """
        return bound_together([self, *others], adjust)

    def eff_size(self, sigma: float, edf: float, method: str = "pairwise") -> "EmmGrid":
        """``eff_size(e, sigma, edf, method)``: contrasts in units of a standard deviation (Cohen's d), with intervals.

        Parameters
        ----------
        sigma : float
            The standard deviation that differences are measured by: ``fit.sigma()``, or that of all the variation,
            ``fit.VarCorr()["vcov"].sum() ** 0.5`` of a model of intercepts.
        edf : float
            Its degrees of freedom, such as ``fit.df_residual()``: how well it is known.
        method : str
            Of the contrasts.

        Raises
        ------
        DataError
            A number that is not positive; a posterior.
        """
        return effect_sizes(self, sigma, edf, method)

    def pwpm(
        self, by: str | Sequence[str] | None = None, digits: int | None = None, **options: Unpack[MatrixOptions]
    ) -> PairwiseMatrix:
        """``pwpm(e)``: estimates, P values and differences as a matrix; see :func:`.emm_displays.pairwise_matrix`."""
        return pairwise_matrix(self, self._by(by), digits, **options)

    def cld(
        self, alpha: Share = 0.05, by: str | Sequence[str] | None = None, **options: Unpack[LetterOptions]
    ) -> EmmSummary:
        """``multcomp::cld(e)``: letters for what cannot be told apart; see :func:`.emm_displays.compact_letters`."""
        return compact_letters(self, self._by(by), alpha, **options)

    def reordered(self, order: np.ndarray) -> "EmmGrid":
        """The rows in another order."""
        return replace(self._rows(order), levels=self.levels)

    def pairs(
        self,
        reverse: bool = False,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        simple: str | Sequence[str] | None = None,
        **options: Unpack[ShownOptions],
    ) -> "EmmGrid":
        """``pairs(e, reverse, by, adjust, simple, infer, level)``: all pairwise differences."""
        return self.contrast("revpairwise" if reverse else "pairwise", by=by, adjust=adjust, simple=simple, **options)

    def contrast(
        self,
        method: Method = "eff",
        *,
        interaction: bool | str | Mapping[str, str] | Sequence[str] = False,
        by: str | Sequence[str] | None = None,
        adjust: str | None = None,
        simple: str | Sequence[str] | None = None,
        name: str = "contrast",
        **options: Unpack[ContrastArguments],
    ) -> "EmmGrid":
        """``contrast(e, method, interaction, by, adjust, simple)``; for ``simple = "each"`` :meth:`simple_contrasts`.

        Parameters
        ----------
        method : str, mapping, DataFrame or rows of coefficients
            ``"pairwise"``, ``"revpairwise"``, ``"trt.vs.ctrl"``, ``"trt.vs.ctrlk"``, ``"eff"``, ``"del.eff"``,
            ``"poly"``, ``"consec"``, ``"mean_chg"``, ``"identity"``; or contrasts of one's own by name.
        interaction : bool, str, mapping or sequence of str
            Contrasts of contrasts: of each variable by `method` (True), by this family, or each by its own.
        by : str or sequence of str, optional
            Variables within whose combinations is compared; default those of this object, ``[]`` for none.
        adjust : str, optional
            Default: the family's own (``"tukey"`` of pairwise differences, ...).
        simple : str or sequence of str, optional
            Variables whose levels are compared, within combinations of all others.
        name : str
            Column of the contrasts.
        **options
            Of the family: ``ref`` (a label, or a number from 1), ``reverse``, ``wts``, ``max_degree``; and ``infer``
            and ``level`` of what is shown.

        Returns
        -------
        EmmGrid

        Raises
        ------
        DataError
            An unknown family or variable; coefficients that do not fit.
        """
        rest: dict[str, Any] = dict(options)
        infer, level, shown_as = rest.pop("infer", None), rest.pop("level", None), rest.pop("type", None)
        family = cast(ContrastOptions, rest)
        groups = self.by if by is None else _names(by)
        if simple is not None:
            if simple == "each" and "each" not in self.levels:
                raise DataError('contrast: simple="each" gives a table for each variable: call simple_contrasts()')
            wanted = _names(simple)
            self._check_variables(wanted, "simple")
            groups = tuple(variable for variable in self.levels if variable not in wanted)
        self._check_variables(groups, "by")
        methods = method if interaction is True else interaction
        if not interaction:
            out = self._contrast(method, groups, adjust, name, True, family)
        elif self.nesting:
            out = self._nested_contrast(
                groups, adjust, "contrast", lambda part, within: part._interaction(methods, within, adjust, family)
            )
        else:
            out = self._interaction(methods, groups, adjust, family)
        return out.showing(infer, level, shown_as)

    def showing(
        self,
        infer: bool | tuple[bool, bool] | None = None,
        level: Share | None = None,
        type: str | None = None,  # noqa: A002
    ) -> "EmmGrid":
        """``update(e, infer, level, type)``: the same estimates with other intervals and tests, on another scale.

        Parameters
        ----------
        infer : bool or (bool, bool), optional
            Whether intervals, and tests, are shown.
        level : float, optional
            Of the intervals.
        type : {"link", "response"}, optional
            Of a response that the formula transforms: the scale of what is shown.

        Raises
        ------
        DataError
            Another scale.
        """
        if type not in (None, "link", "response"):
            raise DataError(f"type is 'link' or 'response', not {type!r}")
        shown = self.infer if infer is None else both_of(infer)
        response = self.response if type is None else type == "response"
        return replace(self, infer=shown, level=self.level if level is None else level, response=response)

    def simple_contrasts(
        self, method: Method = "eff", *, adjust: str | None = None, **options: Unpack[ContrastOptions]
    ) -> EmmList:
        """``contrast(e, method, simple = "each")``: each variable's levels compared within combinations of the others.

        ``bind()`` of the result is R's ``combine = TRUE``: all of them as one family of tests.

        Parameters
        ----------
        method, adjust, **options
            As of :meth:`contrast`.

        Returns
        -------
        EmmList
            ``"simple contrasts for a"`` -> EmmGrid.
        """
        return EmmList(
            {
                f"simple contrasts for {variable}": self.contrast(method, adjust=adjust, simple=variable, **options)
                for variable in self.levels
            }
        )

    def _shown_levels(self, by: tuple[str, ...], enhance: bool) -> tuple[list[str], list[str]]:
        """Labels of the rows as they are, and as contrasts show them."""
        names = [variable for variable in self.grid.columns if variable not in by]
        if not names:
            raise DataError("contrast: no variable is left to compare: all of them are in `by`")
        columns = []
        for variable in names:
            numbered = enhance and _numeric_labels(self.grid[variable])
            columns.append([(variable if numbered else "") + label_of(value) for value in self.grid[variable]])
        raw = [" ".join(row) for row in zip(*columns, strict=True)]
        return raw, [f"({label})" if any(c in label for c in _OPERATORS) else label for label in raw]

    def _contrast(
        self,
        method: Method,
        by: tuple[str, ...],
        adjust: str | None,
        name: str,
        enhance: bool,
        options: ContrastOptions,
    ) -> "EmmGrid":
        if self.nesting:
            if not isinstance(method, str):
                raise DataError("contrast: of nested factors only families of contrasts by their names are there")
            return self._nested_contrast(
                by, adjust, name, lambda part, within: part._contrast(method, within, adjust, name, enhance, options)
            )
        raw, shown = self._shown_levels(by, enhance)
        groups = self.rows_of(by)
        if len({len(rows) for rows in groups}) > 1:
            raise DataError(
                "contrast: the groups of the `by` variables have different numbers of rows, and cannot be contrasted "
                "together"
            )
        families = [
            contrast_family(method, [shown[i] for i in rows], [raw[i] for i in rows], **options) for rows in groups
        ]
        family = families[0]
        if not family.names:
            raise NothingToCompareError(
                f"contrast: {method!r} needs at least two estimates to compare; there is {len(groups[0])}"
            )
        labels = [label for one in families for label in one.names]
        there = sum(variable.startswith(name) for variable in by)
        name += str(there) if there else ""  # contrasts of contrasts
        # strings, as in R, where there is but one group: other variables' tables are then in alphabetical order
        grid: dict[str, Any] = {name: pd.Categorical(labels, categories=list(dict.fromkeys(labels))) if by else labels}
        count = len(family.names)
        for variable in by:
            column = self.grid[variable].iloc[[int(rows[0]) for rows in groups]]
            grid[variable] = column.repeat(count).reset_index(drop=True)
        coefficients = family.coefficients
        shape = (len(labels), self.linfct.shape[1])
        refuse_too_large(2.0 * shape[0] * shape[1], f"{shape[0]} contrasts of {shape[1]} coefficients", _LESS)
        work = 2.0 * coefficients.size * shape[1]
        parts = [heard_if_long(work, np.matmul, coefficients, self.linfct[rows]) for rows in groups]
        linfct = parts[0] if len(parts) == 1 else np.vstack(parts)
        offset = None
        if self.offset is not None:
            offset = np.concatenate([coefficients @ self.offset[rows] for rows in groups])
        sums = np.abs(coefficients.sum(axis=1))
        notes, scale = self.notes, self.scale
        if scale is not None:
            largest = np.abs(coefficients).max(axis=1, initial=0.0)
            if scale.makes_ratios and bool((sums / (1e-6 + largest) < 1e-6).all()):
                scale = scale.without_offset()
            else:
                notes, scale = (*notes, f"Note: contrasts are still on the {scale.shown} scale"), None
        frame = pd.DataFrame(grid)
        kind = family.kind or ("contrast" if bool((sums < 0.001).all()) else "prediction")
        return replace(
            self,
            grid=frame,
            levels={variable: list(dict.fromkeys(frame[variable])) for variable in frame.columns},
            linfct=linfct,
            weights=None,
            offset=offset,
            estimate="estimate",
            kind=kind,
            infer=(False, True),
            adjust=family.adjust if adjust is None else adjust,
            family_size=float(len(groups[0]) if family.size is None else family.size),
            by=by,
            pair_by=by if kind == "pairs" else None,
            notes=notes,
            scale=scale,
            ratios=scale is not None,
        )

    def _nested_contrast(
        self,
        by: tuple[str, ...],
        adjust: str | None,
        name: str,
        compare: "Callable[[EmmGrid, tuple[str, ...]], EmmGrid]",
    ) -> "EmmGrid":
        """Contrasts within each combination of `by` variables, which may have different numbers of rows."""
        for variable in by:
            by = tuple(dict.fromkeys([*by, *self.nesting.get(variable, ())]))
        crossed = replace(self, nesting={})
        groups = crossed.rows_of(by)
        if len(groups) == 1:
            return compare(crossed, by)
        parts = [crossed._rows(rows)._compared(by, name, compare) for rows in groups]
        known = next((part for part in parts if part.kind != "nothing"), parts[0])
        frame = pd.concat([part.grid for part in parts], ignore_index=True)
        frame = frame[[*by, *(column for column in frame.columns if column not in by)]]
        frame = pd.DataFrame({column: [label_of(value) for value in frame[column]] for column in frame.columns})
        kind = "contrast" if known.kind == "nothing" else known.kind
        return replace(
            known,
            grid=frame,
            levels={column: list(dict.fromkeys(frame[column])) for column in frame.columns},
            linfct=np.vstack([part.linfct for part in parts]),
            offset=None if self.offset is None else np.concatenate([_offset(part) for part in parts]),
            kind=kind,
            adjust=known.adjust if adjust is None else adjust,
            family_size=float(len(frame)),
            by=by,
            averaged_some=bool(self.averaged_over),
            pair_by=by if kind == "pairs" else None,
            nesting={
                variable: tuple(one for one in self.nesting[variable] if one in by)
                for variable in by
                if variable in self.nesting
            },
        )

    def _rows(self, rows: np.ndarray) -> "EmmGrid":
        """These rows alone, of factors with their levels there."""
        frame = self.grid.iloc[rows].reset_index(drop=True)
        return replace(
            self,
            grid=frame,
            levels={name: list(dict.fromkeys(frame[name])) for name in self.levels if name in frame},
            linfct=self.linfct[rows],
            weights=None if self.weights is None else self.weights[rows],
            offset=None if self.offset is None else self.offset[rows],
        )

    def _compared(
        self, by: tuple[str, ...], name: str, compare: "Callable[[EmmGrid, tuple[str, ...]], EmmGrid]"
    ) -> "EmmGrid":
        """Contrasts of one group; ``(nothing)``, which cannot be estimated, where there is nothing to compare."""
        try:
            return compare(self, by)
        except NothingToCompareError:
            pass
        grid = {name: ["(nothing)"], **{variable: [self.grid[variable].iloc[0]] for variable in by}}
        return replace(
            self,
            grid=pd.DataFrame(grid),
            linfct=np.full((1, self.linfct.shape[1]), np.nan),
            weights=None,
            offset=None if self.offset is None else np.zeros(1),
            estimate="estimate",
            kind="nothing",
            infer=(False, True),
        )

    def _interaction(
        self, methods: Any, by: tuple[str, ...], adjust: str | None, options: ContrastOptions
    ) -> "EmmGrid":
        own = [variable for variable in self.levels if variable not in by]
        chosen: dict[str, Any]
        if isinstance(methods, Mapping) and set(methods) & set(own):
            missing = [variable for variable in own if variable not in methods]
            if missing:
                raise DataError(f"contrast: interaction has no contrasts for {', '.join(missing)}")
            chosen = {variable: methods[variable] for variable in methods}
        elif isinstance(methods, str):
            chosen = dict.fromkeys(own, methods)
        else:
            given = list(methods)
            if not all(isinstance(one, str) for one in given):
                raise DataError("contrast: interaction takes names of families, or a mapping of variable to contrasts")
            chosen = {variable: given[k % len(given)] for k, variable in enumerate(own)}
        current = self
        variables = [*own, *by]
        for variable in reversed(list(chosen)):
            method = chosen[variable]
            name = f"{variable}_{method if isinstance(method, str) and method in FAMILIES else 'custom'}"
            at = variables.index(variable)
            others = tuple(variables[:at] + variables[at + 1 :])
            current = current._contrast(method, others, None, name, False, options)
            variables[at] = name
        return replace(current, by=by, adjust="none" if adjust is None else adjust, pair_by=None)


@SIGNATURES.verbs
@dataclass(frozen=True, eq=False)
class EmmPair:
    """``emmeans(m, pairwise ~ a)``: the means and their contrasts."""

    emmeans: EmmGrid
    contrasts: EmmGrid
    label: str = "emmeans"

    def __str__(self) -> str:
        return f"${self.label}\n{self.emmeans}\n\n$contrasts\n{self.contrasts}\n"

    __repr__ = __str__


def joint_messages(notes: Sequence[int]) -> tuple[str, ...]:
    """Lines that explain the notes of joint tests."""
    return tuple(
        text for text, codes in ((_DEPENDENT, (1, 3)), (_UNESTIMABLE, (2, 3))) if any(note in codes for note in notes)
    )


def joint_note(note: int) -> str:
    """How a table writes a joint test's note."""
    return _NOTES[note]


class NothingToCompareError(DataError):
    """A group of rows has none to compare."""


def _offset(grid: EmmGrid) -> np.ndarray:
    assert grid.offset is not None
    return grid.offset


def _names(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
