"""What live R prints of a model at Python's θ, for the tests of printed text; and R's data, to the last bit."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# R's own objects at Python's theta: R's optimizer stops too early for the last printed digit to be the optimum's
AT_THETA = r"""
at_theta <- function(theta, call) {
  cl <- call; cl[[1]] <- quote(lme4::lFormula); lf <- suppressWarnings(suppressMessages(eval(cl)))
  call$formula <- lf$formula; call$REML <- NULL
  devfun <- do.call(mkLmerDevfun, lf[c("fr", "X", "reTrms", "REML")])
  opt <- structure(list(par = theta, fval = devfun(theta), feval = 1L, conv = 0L, message = ""),
    optimizer = "nloptwrap", control = list(), warnings = list(), derivs = lme4:::deriv12(devfun, theta))
  devfun(theta)
  cc <- suppressWarnings(suppressMessages(
    lme4:::checkConv(attr(opt, "derivs"), theta, ctrl = lmerControl()$checkConv, lbound = environment(devfun)$lower)))
  mkMerMod(environment(devfun), opt, lf$reTrms, fr = lf$fr, mc = call, lme4conv = cc)
}
show <- function(tag, m) {
  # where R itself fails (anova() of a formula with '.'), there is nothing to compare with
  part <- function(what, expr) {
    cat("@@", tag, "|", what, "\n", sep = "")
    text <- tryCatch(capture.output(suppressMessages(expr)), error = function(e) "R fails")
    if (length(text)) writeLines(text)
  }
  part("summary", print(summary(m)))
  part("print", print(m))
  part("varcorr", print(VarCorr(m)))
  part("both", print(VarCorr(m), comp = c("Variance", "Std.Dev."), digits = 3))
  part("anova", if (length(fixef(m))) print(anova(m)))
}
# how far below R's optimum is Python's theta? default lme4 started from it, then bobyqa to rounding
best <- function(tag, call, theta, tight) {
  objective <- function(m) if (isREML(m)) REMLcrit(m) else deviance(m)
  quiet <- function(expr) suppressWarnings(suppressMessages(expr))
  own <- quiet(eval(call))
  at <- objective(at_theta(theta, call)); low <- objective(own)
  if (tight) {
    call$control <- quote(lmerControl(optimizer = "bobyqa", calc.derivs = FALSE,
      optCtrl = list(rhobeg = 0.02, rhoend = 1e-11, maxfun = 1e5)))
    call$start <- getME(own, "theta")
    low <- min(low, objective(quiet(eval(call))))
  }
  cat("@@", tag, "|best\n", sprintf("%.17g %.17g", at, low), "\n", sep = "")
}
dump <- function(x, file) {
  out <- file(file, "wb"); on.exit(close(out))
  put <- function(...) writeLines(enc2utf8(paste(...)), out, useBytes = TRUE)
  for (v in names(x)) {
    z <- x[[v]]
    kind <- if (is.ordered(z)) "ordered" else if (is.factor(z)) "factor" else if (is.character(z)) "text" else
      if (is.logical(z)) "logical" else if (is.integer(z)) "integer" else "double"
    put(v); put(kind); put(length(z)); put(if (is.factor(z)) nlevels(z) else 0)
    if (is.factor(z)) { for (l in levels(z)) put(l); z <- as.integer(z) }
    put(paste(if (kind == "text") z else sprintf("%.17g", as.numeric(z)), collapse = "\t"))
  }
}
"""


def read_dump(path: Path) -> pd.DataFrame:
    """Read a frame that ``dump`` wrote."""
    lines = iter(path.read_text().split("\n"))
    columns: dict[str, Any] = {}
    for name in lines:
        if not name:
            break
        kind, rows, count = next(lines), int(next(lines)), int(next(lines))
        levels = [next(lines) for _ in range(count)]
        values = next(lines).split("\t")
        assert len(values) == rows
        if kind == "text":
            columns[name] = pd.Series([None if v == "NA" else v for v in values], dtype="str")
            continue
        numbers = np.array([np.nan if v == "NA" else float(v) for v in values])
        if kind in ("factor", "ordered"):
            codes = np.where(np.isnan(numbers), 0, numbers).astype(int) - 1
            columns[name] = pd.Categorical.from_codes(codes, levels, ordered=kind == "ordered")
        elif np.isnan(numbers).any():
            columns[name] = pd.array(numbers, dtype="Int64") if kind == "integer" else numbers
        else:
            columns[name] = numbers.astype({"logical": bool, "integer": int}.get(kind, float))
    return pd.DataFrame(columns)


def frames_of(rscript: Callable[..., str], sources: Mapping[str, str], folder: Path) -> dict[str, pd.DataFrame]:
    """R's data frames, exactly: name -> what R code makes it."""
    lines = ["suppressMessages({library(lme4); library(mlmRev); library(nlme)})", AT_THETA]
    for i, source in enumerate(sources.values()):
        lines.append(f'dump(as.data.frame({source}), "{folder}/{i}")')
    rscript("\n".join(lines))
    frames = {name: read_dump(folder / str(i)) for i, name in enumerate(sources)}
    for name, frame in frames.items():
        frame.attrs["name"] = name.split("::")[-1]
    return frames


def r_arguments(extra: Mapping[str, Any]) -> str:
    """Further arguments of a call in R."""
    out = ""
    for name, value in extra.items():
        if isinstance(value, Mapping):
            inner = ", ".join(f'{variable} = "{kind}"' for variable, kind in value.items())
            out += f", {name} = list({inner})"
        else:
            out += f", {name} = {value}"
    return out


def r_text(
    rscript: Callable[..., str],
    sources: Mapping[str, str],
    fits: Iterable[tuple[str, tuple[str, str, Mapping[str, Any]], bool, Any]],
    best: str = "tight",
) -> dict[tuple[str, str], str]:
    """R's texts of each fit at its θ: (tag, what) -> text.

    Parameters
    ----------
    rscript : callable
    sources : mapping
        Name of the data -> R code that makes it.
    fits : iterable
        (tag, (formula, data, further arguments), REML, Python's fit).
    best : {"tight", "default", "none"}
        Which optimum of R's own is wanted besides.
    """
    lines = ["suppressMessages({library(lme4); library(mlmRev); library(nlme)})", AT_THETA]
    for name, source in sources.items():
        lines.append(f"{name.split('::')[-1]} <- as.data.frame({source})")
    for tag, (formula, data, extra), REML, fit in fits:
        if name_clash(data, sources):
            lines.append(f"{data.split('::')[-1]} <- as.data.frame({sources[data]})")
        theta = ", ".join(repr(float(t)) for t in fit.getME("theta"))
        arguments = f"formula = {formula}, data = {data.split('::')[-1]}, REML = {str(REML).upper()}"
        call = f"quote(lmer({arguments}{r_arguments(extra)}))"
        lines.append(f'show("{tag}", at_theta(c({theta}), {call}))')
        if best != "none":
            lines.append(f'best("{tag}", {call}, c({theta}), {"TRUE" if best == "tight" else "FALSE"})')
    out = {}
    for block in rscript("\n".join(lines), timeout=3000).split("@@")[1:]:
        head, text = block.split("\n", 1)
        tag, what = head.split("|")
        out[tag, what] = text
    return out


def name_clash(data: str, sources: Mapping[str, str]) -> bool:
    """Whether two packages have data of this name."""
    return sum(other.split("::")[-1] == data.split("::")[-1] for other in sources) > 1
