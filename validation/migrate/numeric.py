"""R's functions of numbers: sums and means, roots and logarithms, rounding, distributions, quantiles."""

import re

from validation.migrate.code import Code, Scope, matched, unmarked
from validation.migrate.makers import maker, numbers, only
from validation.migrate.rcode import Node
from validation.migrate.translate import Maker, Translator

__all__: list[str] = []


def _reduction(python: str) -> Maker:
    def make(t: Translator, node: Node, scope: Scope) -> Code:
        skips = any(a.name == "na.rm" and a.value is not None and a.value.text in ("TRUE", "T") for a in node.args)
        values = [a.value for a in node.args if a.value is not None and a.name in (None, "x")]
        parts = [numbers(t, t.expression(value, scope)) for value in values]
        if len(parts) > 1 and all(part.kind == "number" for part in parts) and python in ("min", "max", "sum"):
            listed = ", ".join(part.text for part in parts)
            return Code(f"sum([{listed}])" if python == "sum" else f"{python}({listed})", "number")
        if len(parts) != 1:
            raise t.refuse(node, f"{node.text}() of several things")
        made = parts[0]
        if t.groups and made.kind == "series":
            return _of_its_group(t, node, made, python)
        if made.kind == "series":
            kept = "skipna=False" if t.has_missing(made) and not skips else ""
            return Code(f"{made.inside()}.{python}({kept})", "number")
        if made.kind == "variances" and python in ("mean", "min", "max", "sum"):
            return Code(f"{made.inside()}.to_numpy().{python}()", "number")
        if made.kind in ("vector", "range", "any", "frame", "number"):
            extra = ", ddof=1" if python in ("std", "var") else ""
            return Code(f"np.{'nan' if skips else ''}{python}({made.text}{extra})", "number")
        raise t.refuse(node, f"{node.text}() of something that is no vector")

    return make


def _of_its_group(t: Translator, node: Node, made: Code, python: str) -> Code:
    """``mean(x)`` within groups: of each row that of its group."""
    found = re.fullmatch(r'd\["([^"\\]*)"\]', made.text)
    if found is None:
        raise t.refuse(node, f"{node.text}() of something computed, within groups")
    text = f'd.groupby({t.groups}, observed=True)["{found[1]}"].transform("{python}")'
    return Code(text, "series", True, "column")


for _r, _python in (
    ("sum", "sum"),
    ("mean", "mean"),
    ("sd", "std"),
    ("var", "var"),
    ("median", "median"),
    ("min", "min"),
    ("max", "max"),
):
    maker(_r, takes="x na.rm")(_reduction(_python))


def _elementwise(python: str) -> Maker:
    def make(t: Translator, node: Node, scope: Scope) -> Code:
        if len(node.args) != 1:
            raise t.refuse(node, f"{node.text}() with more than its numbers")
        made = only(t, node, scope)
        if made.kind == "string":
            raise t.refuse(node, "numbers expected")
        kind = "vector" if made.kind == "range" else made.kind
        return Code(f"np.{python}({made.text})", kind, True, made.element if kind == "series" else "any")

    return make


for _r in ("sqrt", "exp", "log", "abs", "log10", "log2", "log1p", "floor", "ceil", "cumsum"):
    maker({"ceil": "ceiling"}.get(_r, _r), takes="x")(_elementwise(_r))


@maker("round", "signif", takes="x digits")
def _round(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    made = numbers(t, t.expression(values[0], scope))
    digits = t.expression(values[1], scope).text if len(values) > 1 else "0"
    if node.text == "signif" and made.kind in ("number", "any"):
        given = digits if len(values) > 1 else "6"
        return Code(f'float(f"{{{made.text}:.{given}g}}")', "number") if given.isdigit() else made
    if made.kind == "list" and made.element == "number":
        made = Code(made.text, "vector", made.atom, "number")
    if node.text == "signif" or made.kind not in ("number", "series", "frame", "vector", "any"):
        raise t.refuse(node, f"{node.text}() is not carried over")
    if made.kind in ("series", "frame"):
        return Code(f"{made.inside()}.round({digits})", made.kind, True, made.element)
    return Code(f"np.round({made.text}, {digits})", made.kind)


@maker("pchisq", "pnorm", "pt", "qnorm", "qt", "pf", takes=None)
def _distribution(t: Translator, node: Node, scope: Scope) -> Code:
    formals = {
        "pchisq": ("q", "df"),
        "pnorm": ("q",),
        "pt": ("q", "df"),
        "qnorm": ("p",),
        "qt": ("p", "df"),
        "pf": ("q", "df1", "df2"),
    }[node.text]
    named = matched(node.args, (*formals, "lower.tail"))
    upper = named.pop("lower.tail", None)
    values = [t.expression(value, scope).text for key in formals if (value := named.get(key)) is not None]
    if set(named) - set(formals):
        raise t.refuse(node, "arguments that are not carried over")
    family = {"chisq": "chi2", "norm": "norm", "t": "t", "f": "f"}[node.text[1:]]
    tail = upper is not None and upper.text in ("FALSE", "F")
    verb = ("sf" if tail else "cdf") if node.text[0] == "p" else ("isf" if tail else "ppf")
    return Code(f"stats.{family}.{verb}({', '.join(values)})", "number")


@maker("cov2cor", takes="V")
def _correlation(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    again = unmarked(made.text)
    return Code(f"{made.inside()} / np.sqrt(np.outer(np.diag({again}), np.diag({again})))", "frame", False)


@maker("quantile", takes="x probs na.rm", unneeded="names")
def _quantile(t: Translator, node: Node, scope: Scope) -> Code:
    named = matched([a for a in node.args if a.name != "names"], ("x", "probs", "na.rm"))
    if named.get("x") is None:
        raise t.refuse(node, "quantile() without values")
    made = numbers(t, t.expression(named["x"], scope))  # type: ignore[arg-type]
    probs = named.get("probs")
    text = t.expression(probs, scope).text if probs is not None else "[0, 0.25, 0.5, 0.75, 1]"
    if made.kind in ("vector", "frame", "draws") or (made.kind == "series" and made.element == "column"):
        return Code(f"np.quantile({made.text}, {text})", "vector", True, "number")
    if made.kind != "series":
        raise t.refuse(node, "quantile() of something that is no column")
    return Code(f"{made.inside()}.quantile({text})", "series")


@maker("which.min", "which.max", takes="x")
def _which(t: Translator, node: Node, scope: Scope) -> Code:
    """The place of the least or largest; ``names(which.min(x))`` is its name."""
    made = only(t, node, scope)
    return Code(f"int(np.arg{node.text[6:]}({made.text})) + 1", "number", False)
