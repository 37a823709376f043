"""rstanarm's printed output: ``print``, ``summary`` and ``prior_summary`` of a fit."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyimpl.posterior.specification import (
    EXPONENTIAL,
    FLAT,
    HS,
    HS_PLUS,
    LAPLACE,
    LASSO,
    NORMAL,
    PRODUCT_NORMAL,
    STUDENT_T,
    ResolvedPrior,
    Specification,
)
from pyimpl.text.numbers import format_num, print_matrix, r_round
from r_scripts.dialect import Dialect
from r_scripts.printed import printed_html

__all__ = ["PrintedText", "print_text", "prior_text", "summary_text"]

_MOST_EFFECTS = 10  # of a term that reformulas::formatVC shows


@dataclass(frozen=True)
class PrintedText:
    """Something that prints as R prints it."""

    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return printed_html(str(self))

    __repr__ = __str__


def _printfr(table: pd.DataFrame, digits: int) -> str:
    """``rstanarm:::.printfr``: round, format all columns to one width, print as text."""
    values = table.to_numpy(dtype=np.float64)
    cells = format_num(r_round(values, digits).ravel(), nsmall=digits)
    body = np.array(cells, dtype=object).reshape(values.shape)
    return print_matrix(body, [str(name) for name in table.index], [str(name) for name in table.columns], right=False)


def _var_corr_text(var_corr: pd.DataFrame, digits: int, dialect: Dialect) -> str:
    """``print(VarCorr(m), digits)``: standard deviations and correlations.

    ``lme4::formatVC``; since lme4 2.0-1 that of reformulas, which gives at most ten effects of a term and keeps the
    last column of the correlations, which is empty.
    """
    newer = dialect.has("format_vc")
    sd_rows = var_corr[var_corr["var2"].isna()]
    sd_text = format_num(sd_rows["sdcor"].to_numpy(), digits=digits)
    decimals = max(2, digits - 2)
    groups: list[str] = []
    names: list[str] = []
    sds: list[str] = []
    corr: list[list[str]] = []
    width = at = 0
    for _, block in var_corr.groupby((var_corr["grp"] != var_corr["grp"].shift()).cumsum(), sort=False):
        group = str(block["grp"].iloc[0])
        if block["var1"].isna().all():
            groups.append(group)
            names.append("")
            sds.append(sd_text[at])
            corr.append([])
            at += 1
            continue
        effects = [str(v) for v in block.loc[block["var2"].isna(), "var1"]]
        matrix = np.eye(len(effects))
        for _, row in block[block["var2"].notna()].iterrows():
            a, b = effects.index(row["var1"]), effects.index(row["var2"])
            matrix[a, b] = matrix[b, a] = row["sdcor"]
        formatted = np.array(format_num(r_round(matrix, decimals).ravel(), nsmall=decimals), dtype=object)
        formatted = formatted.reshape(matrix.shape)
        shown = effects[:_MOST_EFFECTS] if newer else effects
        width = max(width, len(shown) - (0 if newer and len(shown) > 1 else 1))
        for k, effect in enumerate(shown):
            groups.append(group if k == 0 else "")
            names.append(effect)
            sds.append(sd_text[at + k])
            corr.append([formatted[k, j] for j in range(k)])
        if len(shown) < len(effects):
            groups.append("")
            names.append("...")
            sds.append("...")
            corr.append(["..."] * len(shown))
        at += len(effects)
    cells = [
        [group, name, sd, *row, *[""] * (width - len(row))]
        for group, name, sd, row in zip(groups, names, sds, corr, strict=True)
    ]
    header = ["Groups", "Name", "Std.Dev.", *(["Corr"] if width else []), *[""] * (width - 1)]
    return print_matrix(np.array(cells, dtype=object), [""] * len(cells), header, right=False)


def _head(formula: str, nobs: int) -> str:
    return f"stan_lmer\n family:       gaussian [identity]\n formula:      {formula}\n observations: {nobs}\n------\n"


def print_text(
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    *,
    formula: str,
    nobs: int,
    ngrps: Mapping[str, int],
    digits: int = 1,
    detail: bool = True,
    dialect: Dialect,
) -> str:
    """``print(fit)``; `tables`: medians and MAD_SDs of coefficients and of auxiliary parameters, and the VarCorr."""
    coefficients, auxiliary, var_corr = tables
    text = _head(formula, nobs) if detail else ""
    text += _printfr(coefficients, digits) + "\n"
    text += "\nAuxiliary parameter(s):\n" + _printfr(auxiliary, digits) + "\n"
    text += "\nError terms:\n" + _var_corr_text(var_corr, digits + 1, dialect) + "\n"
    text += "Num. levels: " + ", ".join(f"{name} {n}" for name, n in ngrps.items()) + " \n"
    if detail:
        text += (
            "\n------\n"
            "* For help interpreting the printed output see ?print.stanreg\n"
            "* For info on the priors used see ?prior_summary.stanreg\n"
        )
    return text.removesuffix("\n")


def summary_text(
    table: pd.DataFrame,
    *,
    formula: str,
    nobs: int,
    sample_size: int,
    ngrps: Mapping[str, int],
    digits: int = 1,
) -> str:
    """``print(summary(fit))``: the table has columns mean, mcse, sd, quantiles, n_eff, Rhat."""
    text = (
        "\nModel Info:"
        "\n function:     stan_lmer"
        "\n family:       gaussian [identity]"
        f"\n formula:      {formula}"
        "\n algorithm:    sampling"
        f"\n sample:       {sample_size} (posterior sample size)"
        "\n priors:       see help('prior_summary')"
        f"\n observations: {nobs}"
        f"\n groups:       {', '.join(f'{name} ({n})' for name, n in ngrps.items())}"
        "\n\nEstimates:\n"
    )
    estimates = table.drop(columns=["mcse", "n_eff", "Rhat"])
    estimates.columns = [f"  {name}" for name in estimates.columns]
    is_ppd = np.array([str(name).startswith("mean_PPD") for name in table.index])
    is_log_posterior = np.array([name == "log-posterior" for name in table.index])
    text += _printfr(estimates[~is_ppd & ~is_log_posterior], digits) + "\n"
    if is_ppd.any():
        text += "\nFit Diagnostics:\n" + _printfr(estimates[is_ppd], digits) + "\n"
        text += (
            "\nThe mean_ppd is the sample average posterior predictive distribution of the outcome variable "
            "(for details see help('summary.stanreg')).\n"
        )
    mcse = table[["mcse", "Rhat"]].to_numpy(dtype=np.float64)
    cells = np.array(format_num(r_round(mcse, digits).ravel(), nsmall=digits), dtype=object).reshape(mcse.shape)
    n_eff = np.array(format_num(r_round(table["n_eff"].to_numpy(dtype=np.float64), 0)), dtype=object)
    body = np.column_stack([cells, n_eff])
    text += "\nMCMC diagnostics\n"
    text += print_matrix(body, [str(name) for name in table.index], ["mcse", "Rhat", "n_eff"], right=False) + "\n"
    text += (
        "\nFor each parameter, mcse is Monte Carlo standard error, n_eff is a crude measure of effective sample size, "
        "and Rhat is the potential scale reduction factor on split chains (at convergence Rhat=1).\n"
    )
    return text.removesuffix("\n")


# ---------------------------------------------------------------------- prior_summary
def _short(values: np.ndarray, digits: int, nsmall: int = 0) -> str:
    """``.format_pars`` and the formatter: one number, or the first three in brackets."""
    if values.size == 0:
        return ""
    if values.size == 1:
        return format_num(values, digits=digits, nsmall=nsmall)[0]
    shown = format_num(values[:3], digits=digits, nsmall=nsmall)
    return f"[{','.join([*shown, *(['...'] if values.size > 3 else [])])}]"


def _prior_line(prior: ResolvedPrior, scale: np.ndarray, digits: int, half: bool, nsmall: int = 0) -> str:
    if prior.dist == FLAT:
        return "flat"
    if prior.dist == EXPONENTIAL:
        return f"exponential(rate = {_short(1 / scale, digits)})"
    if prior.dist == HS:
        return f"hs(df = {_short(prior.df, digits)})"
    if prior.dist == HS_PLUS:
        return f"hs_plus(df1 = {_short(prior.df, digits)}, df2 = {_short(prior.scale, digits)})"
    names = {NORMAL: "normal", LAPLACE: "laplace", LASSO: "lasso", PRODUCT_NORMAL: "product_normal"}
    name = names.get(prior.dist, "cauchy" if (prior.df == 1).all() else "student_t")
    df = f"df = {_short(prior.df, digits)}, " if name in ("student_t", "lasso", "product_normal") else ""
    return (
        f"{'half-' if half else ''}{name}({df}location = {_short(prior.mean, digits)}, "
        f"scale = {_short(scale, digits, nsmall)})"
    )


def _prior_block(title: str, prior: ResolvedPrior, digits: int, half: bool = False) -> str:
    given = _prior_line(prior, prior.given_scale, digits, half)
    if not prior.adjusted:
        return f"\n{title}\n ~ {given}"
    # .print_vector_prior formats an adjusted vector with nsmall as well
    nsmall = digits if prior.scale.size > 1 else 0
    adjusted = _prior_line(prior, prior.scale, digits, half, nsmall)
    return f"\n{title}\n  Specified prior:\n    ~ {given}\n  Adjusted prior:\n    ~ {adjusted}"


def prior_text(spec: Specification, *, digits: int = 2, model_name: str = "m") -> str:
    """``print(prior_summary(m))``."""
    text = f"Priors for model '{model_name}' \n------"
    if spec.has_intercept:
        text += _prior_block("Intercept (after predictors centered)", spec.intercept, digits)
    if spec.K:
        text += _prior_block("\nCoefficients" + (" (in Q-space)" if spec.R_inv is not None else ""), spec.coef, digits)
    text += _prior_block("\nAuxiliary (sigma)", spec.aux, digits, half=spec.aux.dist in (NORMAL, STUDENT_T))
    decov = spec.decov
    values = [
        _short(np.atleast_1d(np.asarray(value, dtype=np.float64)), digits)
        for value in (decov.regularization, decov.concentration, decov.shape, decov.scale)
    ]
    text += (
        f"\n\nCovariance\n ~ decov(reg. = {values[0]}, conc. = {values[1]}, shape = {values[2]}, scale = {values[3]})"
        "\n------\nSee help('prior_summary.stanreg') for more details"
    )
    return text
