"""R's functions, other than those of fits, one by one: what stands for each in Python."""

from collections.abc import Callable

from validation.migrate.code import (
    LABELLED,
    Code,
    Scope,
    element_of,
    matched,
    nested,
    plus_one,
    python_name,
    quoted,
)
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Maker, Translator
from validation.migrate.watched import PRIORS

__all__ = ["FUNCTIONS", "is_translated"]

FUNCTIONS: dict[str, Maker] = {}


def is_translated(name: str) -> bool:
    """Whether a function of R's, other than those of fits, has Python that stands for it."""
    return name in FUNCTIONS or name in PRIORS


def _maker(*names: str) -> Callable[[Maker], Maker]:
    def keep(function: Maker) -> Maker:
        FUNCTIONS.update(dict.fromkeys(names, function))
        return function

    return keep


def _values(node: Node) -> list[Node]:
    return [argument.value for argument in node.args if argument.value is not None and argument.name is None]


def _only(t: Translator, node: Node, scope: Scope) -> Code:
    values = _values(node)
    if not values:
        raise t.refuse(node, "a call without arguments")
    return t.expression(values[0], scope)


def _common(parts: list[Code]) -> str:
    """What all the elements of a list are."""
    whole, kinds = {nested(part) for part in parts}, {part.kind for part in parts}
    return whole.pop() if len(whole) == 1 else kinds.pop() if len(kinds) == 1 else "any"


@_maker("c")
def _combine(t: Translator, node: Node, scope: Scope) -> Code:
    parts = [t.expression(argument.value, scope) for argument in node.args if argument.value is not None]
    kinds = {part.kind for part in parts}
    names = [argument.name for argument in node.args]
    listed = ", ".join(part.text for part in parts)
    if kinds - {"number", "string", "formula", "fit"}:
        raise t.refuse(node, "c() of things that are not single values")
    if all(names) and names:
        if kinds == {"number"}:
            t.needs("pd")
            return Code(f"pd.Series([{listed}], index={names!r})", "series")
        inside = ", ".join(f"{quoted(str(n))}: {p.text}" for n, p in zip(names, parts, strict=True))
        return Code("{" + inside + "}", "dict", True, _common(parts))
    if kinds == {"number"}:
        return Code(f"[{listed}]", "vector", True, "number")
    return Code(f"[{listed}]", "strings" if kinds == {"string"} else "list", True, _common(parts))


@_maker("list")
def _list(t: Translator, node: Node, scope: Scope) -> Code:
    parts = [t.expression(argument.value, scope) for argument in node.args if argument.value is not None]
    names = [argument.name for argument in node.args]
    element = _common(parts)
    if names and all(names):
        inside = ", ".join(f"{quoted(str(n))}: {p.text}" for n, p in zip(names, parts, strict=True))
        return Code("{" + inside + "}", "dict", True, element)
    return Code("[" + ", ".join(part.text for part in parts) + "]", "list", True, element)


@_maker("paste", "paste0")
def _paste(t: Translator, node: Node, scope: Scope) -> Code:
    between = "" if node.text == "paste0" else " "
    parts = []
    for argument in node.args:
        if argument.name == "sep" and argument.value is not None and argument.value.kind == "string":
            between = argument.value.text
        elif argument.name is not None or argument.value is None:
            raise t.refuse(node, "paste() with collapse")
        else:
            parts.append(argument.value)
    pieces = [t.expression(part, scope) for part in parts]
    if any(piece.kind not in ("string", "number", "any", "formula") for piece in pieces):
        raise t.refuse(node, "paste() over several values")
    whole = [part.kind == "string" for part in parts]
    if any(
        "{" in p.text or '"' in p.text or "'" in p.text or "\\" in p.text
        for p, w in zip(pieces, whole, strict=True)
        if not w
    ):
        listed = ", ".join(piece.text for piece in pieces)
        return Code(f"{quoted(between)}.join(str(part) for part in [{listed}])", "string")
    inside = [
        quoted(part.text)[1:-1].replace("{", "{{").replace("}", "}}") if is_text else "{" + piece.text + "}"
        for part, piece, is_text in zip(parts, pieces, whole, strict=True)
    ]
    between = quoted(between)[1:-1].replace("{", "{{").replace("}", "}}")
    return Code('f"' + between.join(inside) + '"', "string")


@_maker("as.formula", "formula")
def _as_formula(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if made.kind == "fit":
        return Code(f"{made.inside()}.formula", "formula")
    return Code(made.text, "formula", made.atom)


@_maker("print", "invisible", "suppressWarnings", "suppressMessages", "force", "identity", "I")
def _itself(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if node.text == "print":
        return Code(f"print({made.text})", made.kind, True, made.element)
    return made


@_maker("as.data.frame", "data.frame")
def _as_frame(t: Translator, node: Node, scope: Scope) -> Code:
    if node.text == "data.frame" and node.args and all(argument.name is None for argument in node.args):
        return _columns(t, node, scope)
    if node.text == "data.frame":
        t.needs("pd")
        inside = []
        for argument in node.args:
            if argument.name in ("stringsAsFactors", "check.names", "row.names"):
                continue
            if argument.name is None or argument.value is None:
                raise t.refuse(node, "data.frame() of unnamed columns")
            made = t.expression(argument.value, scope)
            inside.append(f"{quoted(argument.name)}: {made.text}")
        single = all(not text.partition(": ")[2].startswith(("[", "range", "np.")) for text in inside)
        return Code("pd.DataFrame({" + ", ".join(inside) + "}" + (", index=[0]" if single else "") + ")", "data")
    made = _only(t, node, scope)
    if made.kind == "fit" and made.element == "stan_lmer":
        return Code(f"{made.inside()}.as_matrix()", "frame")
    if made.kind in ("table", "frame", "data"):
        return Code(made.text, "frame" if made.kind != "data" else "data", made.atom)
    raise t.refuse(node, "as.data.frame() of something that is no table")


def _columns(t: Translator, node: Node, scope: Scope) -> Code:
    """``data.frame(a, b)``: columns that are called as the variables are."""
    parts = []
    for value in _values(node):
        made = t.expression(value, scope)
        if made.kind == "frame":
            parts.append(made.text)
        elif made.kind == "series" and value.kind == "name":
            parts.append(f"{made.inside()}.rename({quoted(value.text)})")
        else:
            raise t.refuse(node, "data.frame() of things that are no columns")
    if len(parts) == 1:
        return Code(parts[0], "frame")
    t.needs("pd")
    return Code(f"pd.concat([{', '.join(parts)}], axis=1)", "frame")


def _reduction(python: str) -> Maker:
    def make(t: Translator, node: Node, scope: Scope) -> Code:
        made = _only(t, node, scope)
        if made.kind in ("series",):
            return Code(f"{made.inside()}.{python}()", "number")
        if made.kind in ("vector", "range", "any", "frame"):
            t.needs("np")
            extra = ", ddof=1" if python in ("std", "var") else ""
            return Code(f"np.{python}({made.text}{extra})", "number")
        raise t.refuse(node, f"{node.text}() of something that is no vector")

    return make


for _r, _python in (
    ("sum", "sum"),
    ("mean", "mean"),
    ("sd", "std"),
    ("var", "var"),
    ("median", "median"),
    ("min", "min"),
    ("max", "max"),
):
    FUNCTIONS[_r] = _reduction(_python)


def _elementwise(python: str) -> Maker:
    def make(t: Translator, node: Node, scope: Scope) -> Code:
        made = _only(t, node, scope)
        if made.kind == "string":
            raise t.refuse(node, "numbers expected")
        t.needs("np")
        return Code(f"np.{python}({made.text})", "vector" if made.kind == "range" else made.kind)

    return make


for _r, _python in (("sqrt", "sqrt"), ("exp", "exp"), ("log", "log"), ("abs", "abs"), ("log10", "log10")):
    FUNCTIONS[_r] = _elementwise(_python)


@_maker("round", "signif")
def _round(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    made = t.expression(values[0], scope)
    digits = t.expression(values[1], scope).text if len(values) > 1 else "0"
    if node.text == "signif" or made.kind not in ("number", "series", "frame", "vector", "any"):
        raise t.refuse(node, f"{node.text}() is not carried over")
    if made.kind in ("series", "frame"):
        return Code(f"{made.inside()}.round({digits})", made.kind)
    t.needs("np")
    return Code(f"np.round({made.text}, {digits})", made.kind)


@_maker("length", "nrow", "ncol", "NROW")
def _length(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if node.text == "ncol":
        return Code(f"{made.inside()}.shape[1]", "number")
    return Code(f"len({made.text})", "number")


@_maker("names", "rownames", "colnames", "row.names")
def _names(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if made.kind in ("dict", "frames"):
        return Code(f"list({made.text})", "strings", True, "string")
    part = (
        "columns" if node.text == "colnames" or (node.text == "names" and made.kind in ("frame", "data")) else "index"
    )
    if made.kind in LABELLED:
        return Code(f"list({made.inside()}.{part})", "strings", True, "string")
    raise t.refuse(node, "names of something without names")


@_maker("levels")
def _levels(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if made.kind != "series":
        raise t.refuse(node, "levels of something that is no factor")
    return Code(f"list({made.inside()}.cat.categories)", "strings", True, "string")


@_maker("unique")
def _unique(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if made.kind != "series":
        raise t.refuse(node, "unique() of something that is no column")
    return Code(f"list({made.inside()}.unique())", "strings", True, "string")


@_maker("head", "tail")
def _head(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    made = t.expression(values[0], scope)
    count = t.expression(values[1], scope).text if len(values) > 1 else "6"
    if made.kind in LABELLED:
        return Code(f"{made.inside()}.{node.text}({count})", made.kind)
    raise t.refuse(node, f"{node.text}() of something that is no table")


@_maker("as.numeric", "as.vector", "unname", "as.double", "as.character", "unlist", "drop", "as.matrix")
def _as_plain(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if node.text == "as.character" and made.kind in ("string", "formula"):
        return made
    if made.kind == "number":
        return made
    if node.text in ("as.numeric", "as.vector", "unname", "drop") and made.kind in ("series", "vector"):
        t.needs("np")
        return Code(f"np.asarray({made.text})", "vector")
    if node.text in ("as.numeric", "as.vector", "drop") and made.kind == "frame":
        t.needs("np")
        return Code(f"np.asarray({made.text}).ravel(order='F')", "vector")
    if node.text == "unlist" and made.kind in ("list", "vector", "dict"):
        return made
    raise t.refuse(node, f"{node.text}() is not carried over here")


@_maker("seq_along", "seq_len", "seq")
def _sequence(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    made = [t.expression(value, scope) for value in values]
    if node.text == "seq_along":
        return Code(f"range(1, len({made[0].text}) + 1)", "range")
    if node.text == "seq_len":
        return Code(f"range(1, {plus_one(made[0])})", "range")
    if len(made) == 2:
        return Code(f"range({made[0].text}, {plus_one(made[1])})", "range")
    if len(made) == 3:
        t.needs("np")
        a, b, by = (one.text for one in made)
        if any(argument.name in ("length.out", "length", "len") for argument in node.args):
            return Code(f"np.linspace({a}, {b}, {by})", "vector")
        return Code(f"np.arange({a}, {b} + {by} / 2, {by})", "vector")
    raise t.refuse(node, "a sequence of this kind")


@_maker("split")
def _split(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    data, by = (t.expression(value, scope) for value in values[:2])
    if data.kind != "data" or by.kind != "series":
        raise t.refuse(node, "split() of this kind")
    return Code(f"dict(list({data.inside()}.groupby({by.text}, observed=True)))", "dict", True, "data")


@_maker("subset")
def _subset(t: Translator, node: Node, scope: Scope) -> Code:
    raise t.refuse(node, "the data are kept as R had them after this step")


@_maker("lapply", "sapply", "vapply", "Map", "map", "map_dbl", "map_dfr")
def _apply(t: Translator, node: Node, scope: Scope) -> Code:
    values = [
        argument.value
        for argument in node.args
        if argument.value is not None and argument.name in (None, "X", "FUN", "f")
    ]
    if node.text == "Map":
        if len(values) != 2:
            raise t.refuse(node, "Map() over several lists")
        values.reverse()
    if len(values) < 2 or any(argument.name in ("simplify", "USE.NAMES") for argument in node.args):
        raise t.refuse(node, "an apply of this kind")
    over, function = t.expression(values[0], scope), values[1]
    more = [
        a
        for a in node.args
        if a.value is not None and not any(a.value is v for v in values[:2]) and a.name != "FUN.VALUE"
    ]
    if node.text == "vapply":
        more = [a for a in more if a.name is not None]
    element = (
        over.element
        if over.kind in ("list", "dict", "vector", "strings")
        else "number"
        if over.kind == "range"
        else "any"
    )
    if over.kind not in ("list", "dict", "vector", "strings", "range", "frames"):
        raise t.refuse(node, "an apply over something that is no list")
    variable = "x"
    if function.kind == "function" and len(function.args) == 1:
        variable = python_name(function.args[0].name or "x")
        body = function.parts[0]
        while body.kind == "block" and len(body.parts) == 1:
            body = body.parts[0]
        inner = t.parameters(
            function, scope, {function.args[0].name or "x": element_of(variable, element)} if element != "any" else None
        )
        made = t.expression(body, inner)
    else:
        call = Node(
            "call", function.text, [function], [Argument(None, Node("name", "x")), *more], function.start, function.end
        )
        made = t.expression(call, Scope({"x": element_of("x", element)}, scope))
    kept = node.text in ("lapply", "map", "Map")
    if over.kind in ("dict", "frames"):
        text = "{" + f"name: {made.text} for name, {variable} in {over.inside()}.items()" + "}"
        table = made.kind == "series" or (made.kind == "dict" and made.element == "number")
        if not kept and table:  # sapply() makes a matrix of it, a column for each element
            t.needs("pd")
            return Code(f"pd.DataFrame({text})", "frame")
        return Code(text, "dict", True, nested(made))
    listed = f"[{made.text} for {variable} in {over.text}]"
    named = node.text == "sapply" and over.kind == "strings"
    text = "{" + f"{variable}: {made.text} for {variable} in {over.text}" + "}"
    if named and made.kind in ("number", "fit"):
        return Code(text, "dict", True, nested(made))
    if named and made.kind == "series":
        t.needs("pd")
        return Code(f"pd.DataFrame({text})", "frame")
    return Code(listed, "list" if kept or made.kind != "number" else "vector", True, nested(made))


@_maker("pchisq", "pnorm", "pt", "qnorm", "qt", "pf")
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
    t.needs("stats")
    family = {"chisq": "chi2", "norm": "norm", "t": "t", "f": "f"}[node.text[1:]]
    tail = upper is not None and upper.text in ("FALSE", "F")
    verb = ("sf" if tail else "cdf") if node.text[0] == "p" else ("isf" if tail else "ppf")
    return Code(f"stats.{family}.{verb}({', '.join(values)})", "number")


@_maker("cov2cor")
def _correlation(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    t.needs("np")
    text = made.inside()
    return Code(f"{text} / np.sqrt(np.outer(np.diag({made.text}), np.diag({made.text})))", "frame", False)


@_maker("diag")
def _diagonal(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if made.kind != "frame":
        raise t.refuse(node, "diag() of something that is no matrix")
    t.needs("np")
    t.needs("pd")
    return Code(f"pd.Series(np.diag({made.text}), index={made.inside()}.index)", "series")


@_maker("cat", "message")
def _cat(t: Translator, node: Node, scope: Scope) -> Code:
    parts = [t.expression(value, scope).text for value in _values(node)]
    return Code(f"print({', '.join(parts)})", "none")


@_maker("do.call")
def _do_call(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    if len(values) == 2 and values[0].text == "anova" and values[1].text != "list":
        fits = t.expression(values[1], scope)
        if fits.kind == "list" and fits.element == "fit":
            return Code(f"{fits.inside()}[0].anova(*{fits.inside()}[1:])", "frame")
    if len(values) != 2 or values[0].kind not in ("name", "string", "namespace") or values[1].text != "list":
        raise t.refuse(node, "do.call() of this kind")
    function = Node("name", values[0].text, start=values[0].start, end=values[0].end, line=values[0].line)
    return t.expression_of_call(
        Node("call", function.text, [function], values[1].args, node.start, node.end, node.line), scope
    )


@_maker("dim")
def _dim(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if made.kind not in ("frame", "data"):
        raise t.refuse(node, "dim() of something that is no table")
    return Code(f"{made.inside()}.shape", "list", True, "number")


@_maker("t")
def _transposed(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if made.kind != "frame":
        raise t.refuse(node, "t() of something that is no matrix")
    return Code(f"{made.inside()}.T", "frame")


@_maker("str")
def _structure(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if made.kind != "data":
        raise t.refuse(node, "str() of something that is no data frame")
    return Code(f"{made.inside()}.info()", "none")


@_maker("table")
def _table(t: Translator, node: Node, scope: Scope) -> Code:
    values = _values(node)
    made = t.expression(values[0], scope) if len(values) == 1 == len(node.args) else None
    if made is None or made.kind != "series":
        raise t.refuse(node, "table() of this kind")
    return Code(f"{made.inside()}.value_counts().sort_index()", "series")


@_maker("prop.table")
def _shares(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if not made.text.endswith(".value_counts().sort_index()"):
        raise t.refuse(node, "prop.table() of something other than table()")
    return Code(made.text.replace(".value_counts()", ".value_counts(normalize=True)"), "series")


@_maker("quantile")
def _quantile(t: Translator, node: Node, scope: Scope) -> Code:
    named = matched(node.args, ("x", "probs", "na.rm"))
    if named.get("x") is None:
        raise t.refuse(node, "quantile() without values")
    made = t.expression(named["x"], scope)  # type: ignore[arg-type]
    probs = named.get("probs")
    text = t.expression(probs, scope).text if probs is not None else "[0, 0.25, 0.5, 0.75, 1]"
    if made.kind != "series":
        raise t.refuse(node, "quantile() of something that is no column")
    return Code(f"{made.inside()}.quantile({text})", "series")


@_maker("apply")
def _over_margin(t: Translator, node: Node, scope: Scope) -> Code:
    """``apply(X, 2, FUN)``: a number, or some, for each column."""
    named = matched(node.args, ("X", "MARGIN", "FUN"))
    matrix, margin, function = (named.pop(key, None) for key in ("X", "MARGIN", "FUN"))
    if matrix is None or margin is None or function is None or margin.text not in ("1", "2"):
        raise t.refuse(node, "apply() of this kind")
    made = t.expression(matrix, scope)
    known = {"mean": "mean", "sd": "std", "var": "var", "median": "median", "min": "min", "max": "max", "sum": "sum"}
    axis = "" if margin.text == "2" else "axis=1"
    if made.kind != "frame":
        raise t.refuse(node, "apply() of something that is no matrix")
    if function.text in known and not named:
        return Code(f"{made.inside()}.{known[function.text]}({axis})", "series")
    probs = named.pop("probs", None)
    if function.text == "quantile" and probs is not None and not named and not axis:
        return Code(f"{made.inside()}.quantile({t.expression(probs, scope).text})", "frame")
    raise t.refuse(node, "apply() of this kind")


@_maker("which.min", "which.max")
def _which(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    t.needs("np")
    return Code(f"int(np.arg{node.text[6:]}({made.text})) + 1", "number", False)


@_maker("is.null")
def _is_null(t: Translator, node: Node, scope: Scope) -> Code:
    return Code(f"{_only(t, node, scope).inside()} is None", "number", False)


@_maker("tryCatch", "try")
def _guarded(t: Translator, node: Node, scope: Scope) -> Code:
    return t.expression(_values(node)[0], scope)


@_maker("cor")
def _correlated(t: Translator, node: Node, scope: Scope) -> Code:
    values = _values(node)
    if len(values) != 2 or len(node.args) != 2:
        raise t.refuse(node, "cor() of this kind")
    a, b = (t.expression(value, scope).text for value in values)
    t.needs("np")
    return Code(f"np.corrcoef({a}, {b})[0, 1]", "number")


@_maker("attr")
def _attribute(t: Translator, node: Node, scope: Scope) -> Code:
    values = _values(node)
    owner = values[0]
    if owner.kind == "call" and owner.text == "VarCorr" and len(values) == 2 and values[1].text == "sc":
        return Code(f"{t.expression(owner.args[0].value, scope).inside()}.sigma()", "number")  # type: ignore[arg-type]
    raise t.refuse(node, "attr() is R's inside")


@_maker("get")
def _by_name(t: Translator, node: Node, scope: Scope) -> Code:
    values = _values(node)
    if not values or values[0].kind != "string":
        raise t.refuse(node, "get() of a name that is computed")
    return t.expression(Node("name", values[0].text, start=values[0].start, end=values[0].end), scope)


@_maker("rep")
def _repeated(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    if len(values) != 2 or node.args[1].name in ("each", "length.out"):
        raise t.refuse(node, "rep() of this kind")
    made, times = (t.expression(value, scope) for value in values)
    if made.kind not in ("number", "string") or times.kind != "number":
        raise t.refuse(node, "rep() of this kind")
    kind = "strings" if made.kind == "string" else "vector"
    return Code(f"[{made.text}] * {times.inside()}", kind, False, made.kind)


@_maker("rbind", "cbind")
def _bound(t: Translator, node: Node, scope: Scope) -> Code:
    raise t.refuse(node, f"{node.text}() is not carried over")


@_maker("is.na")
def _missing(t: Translator, node: Node, scope: Scope) -> Code:
    made = _only(t, node, scope)
    if made.kind != "series":
        raise t.refuse(node, "is.na() of something that is no column")
    return Code(f"{made.inside()}.isna()", "series")


@_maker("factor", "as.factor")
def _factor(t: Translator, node: Node, scope: Scope) -> Code:
    if len(node.args) == 1:
        made = _only(t, node, scope)
        if made.kind == "string":
            return made
    raise t.refuse(node, "the data are kept as R had them after this step")


@_maker("update", "update.formula")
def _updated(t: Translator, node: Node, scope: Scope) -> Code:
    """``update(formula, . ~ . + x)``; of a fit it is a verb."""
    values = _values(node)
    parts = [t.expression(value, scope) for value in values]
    if len(parts) != 2 or len(node.args) != 2 or any(part.kind not in ("formula", "string") for part in parts):
        raise t.refuse(node, "update() of something that is neither a fit nor a formula")
    t.needs("update_formula")
    return Code(f"update_formula({parts[0].text}, {parts[1].text})", "formula")


@_maker("stack")
def _unknown(t: Translator, node: Node, scope: Scope) -> Code:
    raise t.refuse(node, "not carried over")
