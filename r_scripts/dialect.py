"""Which R: what the releases of R and its packages changed in what a user sees.

There is more than one R. What its versions print, name, order or compute differently stands here once, a row for each
difference, with the release that brought it. Everything else asks: ``dialect.has("minus_two_log_lik")``. pyimpl writes
the newest dialect unless told otherwise, the judge that of the R it compares with.

Rows without a note of their own were measured: one R script on R 4.2.2, 4.5.0 and 4.6.2 with their packages.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

__all__ = ["CHANGES", "PACKAGES", "STACKS", "Change", "Dialect", "at_least", "changes_between"]

#: What a dialect knows the versions of.
PACKAGES = ("R", "lme4", "rstanarm", "loo", "lmerTest")

#: Sets of versions that mlmparity is tested on: Debian 12, Debian 13, Debian sid of 2026-11. The last is the newest.
STACKS: Mapping[str, Mapping[str, str]] = {
    "debian-12": {"R": "4.2.2", "lme4": "1.1-31", "rstanarm": "2.21.3", "loo": "2.5.1", "lmerTest": "3.1-3"},
    "debian-13": {"R": "4.5.0", "lme4": "1.1-37", "rstanarm": "2.32.1", "loo": "2.8.0", "lmerTest": "3.1-3"},
    "debian-sid": {"R": "4.6.2", "lme4": "2.1-0", "rstanarm": "2.32.2", "loo": "2.10.1", "lmerTest": "3.2-1"},
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a release changed.

    Attributes
    ----------
    package : str
        One of `PACKAGES`.
    since : str
        The first version that has it.
    what : str
        What is different from there on, a sentence that may stand in a report.
    source : str
        Where the release says so.
    verbs : tuple of str
        The R functions whose answers it changes.
    """

    package: str
    since: str
    what: str
    source: str
    verbs: tuple[str, ...]


#: Every difference that the code asks for, by name.
CHANGES: Mapping[str, Change] = {
    "minus_two_log_lik": Change(
        "lme4",
        "1.1-37",
        "the deviance of a fit by maximum likelihood is called '-2*log(L)' where it was called 'deviance'",
        "lme4, commits of 2025-02-19 and 2025-03-24 (NEWS speaks of glmer only)",
        ("print", "summary", "anova"),
    ),
    "reformulas": Change(
        "lme4",
        "1.1-36",
        "formulas are taken apart by reformulas: (1 | f*g) is (1 | f) + (1 | g) + (1 | f:g), and the factor of "
        "(1 | (g:h)) is named 'g:h' where it was named '(g:h)'",
        "lme4 NEWS 1.1-36",
        ("lmer", "ranef", "VarCorr", "ngrps", "getME"),
    ),
    "see_convergence": Change(
        "lme4",
        "1.1-38",
        "warnings of the convergence checks end with a pointer to ?lme4::convergence and ?lme4::troubleshooting",
        "lme4 NEWS 1.1-38",
        ("lmer",),
    ),
    "large_fits_unchecked": Change(
        "lme4",
        "1.1-38",
        "convergence is not checked, and no derivatives are computed, for more than 10 000 rows (check.conv.nobsmax), "
        "for many parameters (check.conv.nparmax) and for singular fits",
        "lme4 NEWS 1.1-38 (20 parameters; the source of 2.1-0 has 10)",
        ("lmer",),
    ),
    "autoscale": Change(
        "lme4",
        "1.1-38",
        "the warning about predictors on very different scales names lmerControl(autoscale = TRUE)",
        "lme4 NEWS 1.1-38",
        ("lmer",),
    ),
    "structured_covariances": Change(
        "lme4",
        "2.0-1",
        "random effects may have the structures us(), diag(), cs() and ar1()",
        "lme4 NEWS 2.0-1",
        ("lmer",),
    ),
    "sds_first": Change(
        "lme4",
        "2.0-1",
        "profile and confint give the standard deviations of each random-effects term first, then its correlations; "
        "the names .sig01, .sig02, ... follow that order and mean something else than before",
        "lme4 NEWS 2.0-1",
        ("profile", "confint"),
    ),
    "format_vc": Change(
        "lme4",
        "2.0-1",
        "variance components are printed by reformulas::formatVC: a blank after each correlation, variances before "
        "standard deviations, correlations also where variances are asked for, at most ten effects of a term",
        "lme4 NEWS 2.0-1",
        ("print", "summary", "VarCorr"),
    ),
    "cov_for_variances": Change(
        "lme4",
        "1.1-32",
        "print(VarCorr(m), comp = 'Variance') shows covariances (Cov); lme4 2.0 shows correlations again",
        "lme4 NEWS 1.1-32",
        ("VarCorr",),
    ),
    "weights_of_all_rows": Change(
        "lme4",
        "2.0-1",
        "weights() keeps the rows that na.exclude left out, as missing",
        "lme4 NEWS 2.0-1",
        ("weights",),
    ),
    "profile_keeps_fixef": Change(
        "lme4",
        "2.0-1",
        "profile of a variance parameter repeats the estimates of the fixed effects in every row; before, each row had "
        "those of its own variance parameters (zeta, intervals and the variance parameters are not concerned)",
        "lme4, commit b5898e3c of 2025-11-24: the deviance function copies the predictor at each call, and profile "
        "reads the coefficients of the first; measured on 1.1-31, 1.1-37 and 2.1-0",
        ("profile",),
    ),
    "getme_par": Change("lme4", "2.0-1", "getME knows 'par', 'npar' and 'devarg'", "lme4 NEWS 2.0-1", ("getME",)),
    "refit_reml_mended": Change(
        "lme4",
        "1.1-33",
        "refit() of a REML fit reports the right REML criterion; before, it counted one coefficient",
        "lme4 NEWS 1.1-33",
        ("refit",),
    ),
    "predict_se_fit": Change(
        "lme4",
        "1.1-35",
        "predict has se.fit = TRUE, standard errors given theta; before, it was ignored",
        "lme4 NEWS 1.1-35",
        ("predict",),
    ),
    "refit_newweights": Change(
        "lme4", "1.1-34", "refit has newweights; before, it was ignored", "lme4 NEWS 1.1-34", ("refit",)
    ),
    "vcov_full": Change(
        "lme4",
        "1.1-36",
        "vcov has full = TRUE, the joint covariance matrix of random and fixed effects; before, it was ignored",
        "lme4 NEWS 1.1-36",
        ("vcov",),
    ),
    "no_r_eff": Change(
        "rstanarm",
        "2.32.2",
        "loo() takes the draws as independent (r_eff = 1) where it estimated their relative efficiency: smoothed "
        "tails, Pareto k, elpd_loo and its standard errors differ; loo_predict and loo_linpred still estimate it",
        "rstanarm NEWS 2.32.2",
        ("loo", "loo_compare"),
    ),
    "sample_size_k": Change(
        "loo",
        "2.7.0",
        "Pareto k is judged by one threshold, min(1 - 1/log10(S), 0.7), where it was by 0.5, 0.7 and 1; above it the "
        "effective sample size is not shown; the Monte Carlo error of elpd_loo is by a log-normal approximation; the "
        "printed text says MCSE and names r_eff",
        "loo NEWS 2.7.0",
        ("loo", "waic", "kfold", "pareto_k_table"),
    ),
    "weighted_variance_mended": Change(
        "loo",
        "2.7.0",
        "E_loo's variance is the weighted variance of the draws; before, it was the square of the mean's Monte Carlo "
        "error, some hundred times too small",
        "loo NEWS 2.7.0",
        ("loo_predict", "loo_linpred"),
    ),
    "autocovariance_mended": Change(
        "loo",
        "2.6.0",
        "relative_eff takes autocovariances from posterior; before, they were too large in chains whose length has "
        "prime factors above 5 (by 15/13 for 13 draws)",
        "loo, commit f32418c of 2023-03-30; measured on 2.5.1 and 2.8.0",
        ("loo", "loo_predict", "loo_linpred"),
    ),
    "split_r_eff": Change(
        "loo",
        "2.9.0",
        "relative_eff takes the effective sample size from posterior: of chains split in half, where they were whole",
        "loo NEWS 2.9.0",
        ("loo", "loo_predict", "loo_linpred"),
    ),
    "loo_compare_frame": Change(
        "loo",
        "2.10.0",
        "loo_compare returns and prints a data frame with the columns model, p_worse, diag_diff, diag_elpd",
        "loo NEWS 2.10.0",
        ("loo_compare",),
    ),
    "r_squared_without_offset": Change(
        "R",
        "4.3.0",
        "summary of an lm fit with an offset takes R squared and F of the fitted values without it",
        "R NEWS 4.3.0; measured on 4.2.2 and 4.5.0",
        ("summary",),
    ),
    "contrasts_by_level": Change(
        "R",
        "4.3.0",
        "C() keeps the names of levels where it is given a function, C(f, contr.treatment)b where it was "
        "C(f, contr.treatment)2, and takes strings and truth values for factors",
        "R NEWS 4.3.0; measured on 4.2.2 and 4.6.2",
        ("C", "model.matrix"),
    ),
    "inner_knots_moved": Change(
        "R",
        "4.3.0",
        "bs() and ns() move automatic inner knots that coincide with a boundary knot inside, with a warning",
        "R NEWS 4.3.0",
        ("bs", "ns", "model.matrix"),
    ),
    "numbers_end_in_digits": Change(
        "R",
        "4.4.1",
        "read.csv, type.convert and as.numeric take '1e' as text, where it was the number 1",
        "R NEWS 4.4.1 (R_strtod requires digits in an exponent); measured on 4.2.2, 4.5.0 and 4.6.2",
        ("read.csv", "type.convert"),
    ),
    "poly_needs_order": Change(
        "R",
        "4.6.0",
        "poly() refuses a factor without an order of its levels, where it took their codes",
        "R NEWS 4.6.0; measured on 4.2.2, 4.5.0 and 4.6.2",
        ("poly", "lmer"),
    ),
    "nas_without_apostrophe": Change(
        "R", "4.6.0", "summary(data.frame) prints NAs for NA's", "R NEWS 4.6.0", ("summary.data.frame",)
    ),
    "summary_frame_digits": Change(
        "R",
        "4.5.0",
        "summary(data.frame) formats a column's statistics with more digits (3.11e-05 where it printed 3.1e-05): "
        "they are rounded to eight digits of the largest, not seven (zdigits)",
        "R NEWS 4.5.0",
        ("summary.data.frame",),
    ),
    "summary_of_text": Change(
        "R",
        "4.6.0",
        "summary(data.frame) counts a column of text: Length, N.unique, N.blank, Min.nchar, Max.nchar, NAs",
        "measured on 4.5.0 and 4.6.2",
        ("summary.data.frame",),
    ),
    "ranova_keeps_one": Change(
        "lmerTest",
        "3.2-0",
        "ranova's heading shows the fixed part of the formula as it was written, '1 + (1 | g)' where it was '(1 | g)'",
        "measured on 3.1-3 and 3.2-1",
        ("ranova",),
    ),
}


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


@lru_cache(maxsize=256)
def at_least(version: str, wanted: str) -> bool:
    """R's ``packageVersion(p) >= wanted``: versions compared number by number, ``-`` as ``.``."""
    return _key(version) >= _key(wanted)


@dataclass(frozen=True)
class Dialect:
    """The versions of R and its packages whose behaviour is meant.

    Attributes
    ----------
    versions : mapping of str to str
        A version for each of `PACKAGES`.

    Examples
    --------
    >>> Dialect.of(None).has("minus_two_log_lik")
    True
    >>> Dialect.of("lme4 1.1-31").has("minus_two_log_lik")
    False
    """

    versions: Mapping[str, str] = field(default_factory=lambda: STACKS["debian-sid"])

    @staticmethod
    def of(which: "Dialect | Mapping[str, str] | str | None") -> "Dialect":
        """The dialect that is meant.

        Parameters
        ----------
        which : Dialect, mapping of str to str, str or None
            None is the newest. A text is a stack's name (``"debian-12"``), a version of lme4 (``"1.1-31"``), or
            packages with their versions (``"lme4 1.1-31, R 4.2.2"``); a mapping says the same. What is not named is
            the newest's.

        Raises
        ------
        ValueError
            It names no stack, no package and no version.
        """
        if isinstance(which, Dialect):
            return which
        if which is None:
            return _NEWEST
        if isinstance(which, str):
            which = _named(which)
        if not isinstance(which, Mapping):
            raise ValueError(
                f"dialect={which!r}: expected a Dialect, a text, a mapping of packages to versions, or None"
            )
        unknown = {
            name: version
            for name, version in which.items()
            if name not in PACKAGES or not isinstance(version, str) or not _key(version)
        }
        if unknown:
            raise ValueError(f"dialect names {unknown}; expected versions of {', '.join(PACKAGES)}")
        return Dialect({**_NEWEST.versions, **which})

    def has(self, change: str) -> bool:
        """Whether a change (a name of `CHANGES`) is there in these versions."""
        row = CHANGES[change]
        return at_least(self.versions[row.package], row.since)

    def __str__(self) -> str:
        return ", ".join(f"{name} {self.versions[name]}" for name in PACKAGES)


_NEWEST = Dialect()


def _named(text: str) -> dict[str, str]:
    if text in STACKS:
        return dict(STACKS[text])
    if re.fullmatch(r"\d+(?:[.-]\d+)+", text):
        return {"lme4": text}
    pairs = re.fullmatch(r"\s*(\w+ [\d.-]+)(?:,\s*(\w+ [\d.-]+))*\s*", text)
    if not pairs:
        raise ValueError(
            f"dialect={text!r}: expected a stack ({', '.join(STACKS)}), a version of lme4 ('1.1-31') or packages with "
            "their versions ('lme4 1.1-31, R 4.2.2')"
        )
    return dict(re.findall(r"(\w+) ([\d.-]+)", text))


def changes_between(one: Dialect, other: Dialect) -> dict[str, Change]:
    """The changes that one of two dialects has and the other has not, by name."""
    return {name: row for name, row in CHANGES.items() if one.has(name) != other.has(name)}
