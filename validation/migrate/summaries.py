"""R's words for what is asked of data: tables, groups, orders, conditions; and for text and control."""

import re

from validation.migrate.code import Code, Scope, matched, quoted, unmarked
from validation.migrate.makers import maker, numbers, only, values_of
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Translator
from validation.migrate.watched import FITS

__all__: list[str] = []

#: R's functions that make one number of many, and pandas' names for them.
_ONE_NUMBER = {
    "mean": "mean",
    "sd": "std",
    "var": "var",
    "median": "median",
    "min": "min",
    "max": "max",
    "sum": "sum",
    "length": "size",
}


def _one_number(t: Translator, node: Node, given: "dict[str, Node | None]", scope: Scope) -> str:
    """The call in pandas that sums a group up."""
    function = given.get("FUN")
    if function is not None and function.kind == "function" and len(function.args) == 1:
        made = t.expression(function, Scope({}, scope))
        return f"agg({made.text})"
    if function is None or function.text not in _ONE_NUMBER or function.kind not in ("name", "string"):
        raise t.refuse(node, f"{node.text}() by a function other than {', '.join(_ONE_NUMBER)}")
    others = set(given) - {"X", "INDEX", "FUN", "x", "data", "na.rm", "formula"}
    if others:
        raise t.refuse(node, f"the argument {min(others)} of {node.text}() is not carried over")
    return f"{_ONE_NUMBER[function.text]}()"


@maker("tapply", takes=None)
def _by_group(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("X", "INDEX", "FUN"))
    values, groups = (given.get(key) for key in ("X", "INDEX"))
    method = _one_number(t, node, given, scope)
    if values is None or groups is None:
        raise t.refuse(node, "tapply() without groups")
    x = t.expression(values, scope)
    if x.kind == "series" and groups.kind == "call" and groups.text == "list" and len(groups.args) == 2:
        return _by_two(t, node, x, groups, method, scope, skips=given.get("na.rm") is not None)
    g = t.expression(groups, scope)
    if x.kind != "series" or g.kind != "series":
        raise t.refuse(node, "tapply() of something other than a column by a column")
    groups_of = f"{x.inside()}.groupby({g.text}, observed=False)"
    skips = given.get("na.rm") is not None
    function = given.get("FUN")
    knows = function is not None and any(a.name == "na.rm" for one in function.walk() for a in one.args)
    if t.has_missing(x) and method.startswith("agg(") and not knows:
        raise t.refuse(node, "tapply() by a function, of a column with missing values")
    if t.has_missing(x) and not skips and method != "size()" and not method.startswith("agg("):
        return Code(f"{groups_of}.agg(lambda x: x.{method[:-1]}skipna=False))", "series")
    return Code(f"{groups_of}.{method}", "series")


def _by_two(t: Translator, node: Node, x: Code, groups: Node, method: str, scope: Scope, *, skips: bool) -> Code:
    """``tapply(x, list(a, b), f)``: a table, a row for each level of the first."""
    by = [t.expression(value, scope) for value in values_of(groups)]
    if len(by) != 2 or any(one.kind != "series" for one in by) or (t.has_missing(x) and not skips):
        raise t.refuse(node, "tapply() of this kind")
    grouped = f"{x.inside()}.groupby([{by[0].text}, {by[1].text}], observed=False)"
    return Code(f"{grouped}.{method}.unstack()", "frame")


def _terms(node: Node) -> "list[str] | None":
    """The names in ``a + b``, or in ``cbind(a, b)``."""
    if node.kind == "name":
        return [node.text]
    if node.kind == "binary" and node.text == "+":
        left, right = (_terms(part) for part in node.parts)
        return [*left, *right] if left and right else None
    if node.kind == "call" and node.text == "cbind":
        inside = [_terms(value) for value in values_of(node)]
        return [name for one in inside if one for name in one] if all(inside) else None
    return None


@maker("aggregate", takes=None)
def _aggregate(t: Translator, node: Node, scope: Scope) -> Code:
    """``aggregate(y ~ a + b, data, FUN)``: R counts the first group fastest, pandas the last."""
    given = matched(node.args, ("x", "data", "FUN"))
    formula = given.pop("formula", None) or given.get("x")
    data = given.get("data")
    if formula is None or formula.kind != "binary" or formula.text != "~" or data is None:
        return _aggregate_by(t, node, scope)
    method = _one_number(t, node, given, scope)
    left, right = (_terms(part) for part in formula.parts)
    frame = t.expression(data, scope)
    if left is None and formula.parts[0].kind in ("call", "binary") and frame.kind in ("data", "frame"):
        inside = t.expression(formula.parts[0], t.among_columns(frame, formula.parts[0], scope))
        left = [t.source(formula.parts[0])]  # what is computed becomes a column under R's words for it
        column = f"**{{{quoted(left[0])}: {t.by_place(inside)}}}"
        frame = Code(f"{frame.inside()}.assign({column})", "frame")
    if not left or not right or "." in (*left, *right) or frame.kind not in ("data", "frame"):
        raise t.refuse(node, "aggregate() of this kind")
    groups = ", ".join(quoted(one) for one in reversed(right))
    columns = ", ".join(quoted(one) for one in [*right, *left])
    y = "[" + ", ".join(quoted(one) for one in left) + "]"
    used = f"{frame.inside()}.dropna(subset=[{columns}])"
    text = f"{used}.groupby([{groups}], observed=True)[{y}].{method}.reset_index()"
    return Code(f"{text}[[{columns}]]" if len(right) > 1 else text, "frame")


def _aggregate_by(t: Translator, node: Node, scope: Scope) -> Code:
    """``aggregate(x, by = list(a = g), FUN)``: of a column, or of several."""
    given = matched(node.args, ("x", "by", "FUN"))
    x, by = given.get("x"), given.pop("by", None)
    if x is None or by is None or by.kind != "call" or by.text != "list" or len(by.args) != 1:
        raise t.refuse(node, "aggregate() of this kind")
    made, label, key = t.expression(x, scope), by.args[0].name or "Group.1", by.args[0].value
    groups = t.expression(key, scope) if key is not None else None
    if groups is None or groups.kind != "series" or made.kind not in ("series", "frame", "data"):
        raise t.refuse(node, "aggregate() of this kind")
    method = _one_number(t, node, given, scope)
    column = made.inside() if made.kind != "series" else f'{made.inside()}.rename("x")'
    return Code(
        f"{column}.groupby({groups.inside()}.rename({quoted(label)}), observed=True).{method}.reset_index()", "frame"
    )


def _counts(t: Translator, columns: list[str]) -> Code:
    if len(columns) == 1:
        return Code(f"{columns[0]}.value_counts().sort_index()", "series")
    return Code(f"pd.crosstab({columns[0]}, {columns[1]}, dropna=False)", "frame")


@maker("table", takes="")
def _table(t: Translator, node: Node, scope: Scope) -> Code:
    made = [t.expression(value, scope) for value in values_of(node)]
    if any(one.kind in ("vector", "strings", "list") for one in made):
        plain = ("vector", "strings", "list")
        made = [Code(f"pd.Series({one.text})", "series") if one.kind in plain else one for one in made]
    if not 1 <= len(made) <= 2 or any(one.kind != "series" for one in made):
        raise t.refuse(node, "table() of something other than one or two columns")
    return _counts(t, [one.inside() for one in made])


@maker("addmargins", takes="A")
def _with_sums(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind != "frame" or not made.text.startswith("pd.crosstab(") or not made.text.endswith(", dropna=False)"):
        raise t.refuse(node, "addmargins() of something other than a table of two factors")
    return Code(f'{made.text[:-1]}, margins=True, margins_name="Sum")', "frame")


@maker("xtabs", takes="formula data")
def _xtabs(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("formula", "data"))
    formula, data = given.get("formula"), given.get("data")
    names = _terms(formula.parts[-1]) if formula is not None and formula.text == "~" else None
    frame = t.expression(data, scope) if data is not None else None
    if formula is not None and formula.kind == "binary" and names and frame is not None and len(names) <= 2:
        if formula.parts[0].kind != "name" or frame.kind not in ("data", "frame"):
            raise t.refuse(node, "xtabs() of this kind")
        groups = ", ".join(quoted(one) for one in names)
        text = f"{frame.inside()}.groupby([{groups}], observed=False)[{quoted(formula.parts[0].text)}].sum()"
        return Code(f"{text}.unstack()" if len(names) == 2 else text, "frame" if len(names) == 2 else "series")
    if not names or len(names) > 2 or frame is None or frame.kind != "data":
        raise t.refuse(node, "xtabs() of this kind")
    return _counts(t, [f"{frame.inside()}[{quoted(name)}]" for name in names])


@maker("with", takes="data expr")
def _with(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("data", "expr"))
    data, expression = given.get("data"), given.get("expr")
    frame = t.expression(data, scope) if data is not None else None
    if frame is None or expression is None or frame.kind not in ("data", "frame"):
        raise t.refuse(node, "with() of something that is no data frame")
    if expression.kind == "call" and expression.text in FITS and not any(a.name == "data" for a in expression.args):
        arguments = [*expression.args, Argument("data", data)]
        place = (expression.start, expression.end, expression.line)
        return t.expression(Node("call", expression.text, expression.parts, arguments, *place), scope)
    return t.expression(expression, t.among_columns(frame, expression, scope))


@maker("which", takes="x")
def _which(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    return Code(f"np.flatnonzero({made.text}) + 1", "positions", False)


@maker("order", takes="decreasing")
def _order(t: Translator, node: Node, scope: Scope) -> Code:
    values = values_of(node)
    falling = any(a.name and a.value is not None and a.value.text in ("TRUE", "T") for a in node.args)
    if len(values) != 1:
        raise t.refuse(node, "order() by several keys")
    minus = values[0].kind == "unary" and values[0].text == "-"
    made = t.expression(values[0].parts[0] if minus else values[0], scope)
    if made.kind == "dict" and made.element == "number":
        made = Code(f"list({made.inside()}.values())", "vector")
    if made.kind not in ("series", "vector", "any", "list"):
        raise t.refuse(node, "order() of something that is no vector")
    sign = "-" if minus != falling else ""
    return Code(
        f'np.argsort({sign}{made.inside()}.to_numpy(), kind="stable") + 1'
        if made.kind == "series"
        else f'np.argsort({sign}np.asarray({made.text}), kind="stable") + 1',
        "positions",
        False,
    )


@maker("complete.cases", takes="")
def _complete(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind not in ("data", "frame"):
        raise t.refuse(node, "complete.cases() of something that is no data frame")
    return Code(f"{made.inside()}.notna().all(axis=1)", "series")


@maker("range", takes="x na.rm")
def _range(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind not in ("series", "vector", "range"):
        raise t.refuse(node, "range() of something that is no vector")
    return Code(f"np.array([np.min({made.text}), np.max({made.text})])", "vector", True, "number")


@maker("colMeans", "rowMeans", "colSums", "rowSums", takes="x")
def _margins(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind not in ("frame", "data"):
        raise t.refuse(node, f"{node.text}() of something that is no matrix")
    axis = "axis=1" if node.text.startswith("row") else ""
    return Code(f"{made.inside()}.{node.text[3:-1].lower()}({axis})", "series")


@maker("weighted.mean", takes="x w")
def _weighted(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("x", "w"))
    x, w = (t.expression(value, scope).text for key in ("x", "w") if (value := given.get(key)) is not None)
    return Code(f"np.average({x}, weights={w})", "number")


@maker("rank", takes="x")
def _ranks(t: Translator, node: Node, scope: Scope) -> Code:
    made = numbers(t, only(t, node, scope))
    if made.kind == "series":
        return Code(f"{made.inside()}.rank()", "series", True, made.element)
    if made.kind not in ("vector", "range"):
        raise t.refuse(node, "rank() of something that is no vector")
    return Code(f"stats.rankdata({made.text})", "vector", True, "number")


@maker("diff", "rev", takes="x")
def _along(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind not in ("series", "vector", "strings", "list", "range"):
        raise t.refuse(node, f"{node.text}() of something that is no vector")
    if node.text == "rev":
        return Code(f"{made.inside()}{'.iloc' if made.kind == 'series' else ''}[::-1]", made.kind, True, made.element)
    return Code(f"np.diff({made.text})", "vector", True, "number")


@maker("sort", takes="x decreasing")
def _sorted(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope) if len(node.args) == 1 else numbers(t, t.expression(values_of(node)[0], scope))
    falling = any(a.name == "decreasing" and a.value is not None and a.value.text in ("TRUE", "T") for a in node.args)
    if made.kind == "series":
        return Code(f'{made.inside()}.sort_values({"ascending=False, " if falling else ""}kind="stable")', "series")
    if made.kind not in ("vector", "strings"):
        raise t.refuse(node, "sort() of something that is no vector")
    return Code(f"sorted({made.text}{', reverse=True' if falling else ''})", made.kind, True, made.element)


@maker("any", "all", takes="na.rm")
def _any(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    return Code(f"bool(np.{node.text}({made.text}))", "number")


@maker("ifelse", takes="test yes no")
def _ifelse(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("test", "yes", "no"))
    parts = [t.expression(value, scope) for key in ("test", "yes", "no") if (value := given.get(key)) is not None]
    if len(parts) != 3:
        raise t.refuse(node, "ifelse() without its three parts")
    test, yes, no = parts
    if test.kind == "number":
        return Code(f"{yes.inside()} if {test.text} else {no.inside()}", yes.kind, False)
    return Code(f"np.where({test.text}, {yes.text}, {no.text})", "vector", True, yes.kind)


@maker("nlevels", takes="x")
def _how_many_levels(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind != "series":
        raise t.refuse(node, "nlevels() of something that is no column")
    return Code(f"len({made.inside()}.cat.categories)", "number")


@maker("expand.grid", takes=None)
def _grid(t: Translator, node: Node, scope: Scope) -> Code:
    """Every combination; R's first variable runs fastest, pandas' last."""
    parts = []
    asked = next((one.value for one in node.args if one.name == "stringsAsFactors"), None)
    factors = asked is None or asked.text not in ("FALSE", "F")
    for argument in node.args:
        if argument.name in ("stringsAsFactors", "KEEP.OUT.ATTRS"):
            continue
        if argument.name is None or argument.value is None:
            raise t.refuse(node, "expand.grid() of something without a name")
        made = t.expression(argument.value, scope)
        if made.kind not in ("vector", "strings", "range", "number", "string", "series"):
            raise t.refuse(node, "expand.grid() of something that is no vector")
        listed_of = f"[{made.text}]" if made.kind in ("number", "string") else made.text
        if factors and made.kind == "strings":  # a factor, its levels as they are given
            listed_of = f"pd.Categorical({made.text}, {unmarked(made.text)})"
        parts.append((argument.name, listed_of))
    if len(parts) == 1:
        return Code("pd.DataFrame({" + f"{quoted(parts[0][0])}: {parts[0][1]}" + "})", "frame")
    listed = ", ".join(text for _, text in reversed(parts))
    names = ", ".join(quoted(name) for name, _ in reversed(parts))
    columns = ", ".join(quoted(name) for name, _ in parts)
    product = f"pd.MultiIndex.from_product([{listed}], names=[{names}])"
    return Code(f"{product}.to_frame(index=False)[[{columns}]]", "frame")


@maker("rbind", takes=None)
def _bound(t: Translator, node: Node, scope: Scope) -> Code:
    parts = []
    for argument in node.args:
        if argument.name in ("stringsAsFactors", "make.row.names", "deparse.level"):
            continue
        if argument.value is None:
            raise t.refuse(node, "an argument without a value")
        made = t.expression(argument.value, scope)
        name = argument.name or (argument.value.text if argument.value.kind == "name" else None)
        if made.kind == "frame":
            parts.append(made.text)
        elif made.kind == "series" and name:
            parts.append(f"{made.inside()}.to_frame({quoted(name)}).T")
        else:
            raise t.refuse(node, "rbind() of things that are neither tables nor vectors with names")
    return Code(f"pd.concat([{', '.join(parts)}])", "frame")


# ------------------------------------------------------------------------------------------- text and control


@maker("sprintf", takes="fmt")
def _formatted(t: Translator, node: Node, scope: Scope) -> Code:
    values = [a.value for a in node.args if a.value is not None]
    if not values or values[0].kind != "string" or re.search(r"%\d+\$", values[0].text):
        raise t.refuse(node, "sprintf() with a format that is computed")
    parts = [t.expression(value, scope) for value in values[1:]]
    asked = re.findall(r"%[-+ 0#]*(\*|\d*)(?:\.(\*|\d*))?([a-zA-Z%])", values[0].text)
    kinds = [
        one for width, digits, kind in asked if kind != "%" for one in [*"*" * ((width + digits).count("*")), kind]
    ]
    if len(kinds) == len(parts):  # R writes a number by 15 digits where a text is asked for
        parts = [
            Code(f'format({part.text}, ".15g")', "string")
            if kind == "s" and part.kind == "number" and not part.text.lstrip("-").isdigit()
            else part
            for kind, part in zip(kinds, parts, strict=True)
        ]
    several = [part for part in parts if part.kind in ("series", "vector", "strings", "list", "range")]
    if several and all(part in several or part.kind in ("number", "string", "any") for part in parts):
        names = {id(part): "abcdefgh"[k] for k, part in enumerate(several[:8])}
        inside = ", ".join(names.get(id(part), part.text) for part in parts)
        listed = ", ".join(names.values())
        over = several[0].text if len(several) == 1 else f"zip({', '.join(part.text for part in several)})"
        made = f"{quoted(values[0].text)} % ({inside}{',' if len(parts) == 1 else ''})"
        return Code(f"[{made} for {listed} in {over}]", "strings", True, "string")
    if any(part.kind not in ("number", "string", "any") for part in parts):
        raise t.refuse(node, "sprintf() over several values")
    if not parts:
        return Code(quoted(values[0].text.replace("%%", "%")), "string")
    listed = ", ".join(part.text for part in parts)
    return Code(f"{quoted(values[0].text)} % ({listed}{',' if len(parts) == 1 else ''})", "string", False)


@maker("reformulate", takes="termlabels response")
def _reformulated(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("termlabels", "response"))
    terms, response = given.get("termlabels"), given.get("response")
    made = t.expression(terms, scope) if terms is not None else None
    if made is None or made.kind not in ("strings", "string"):
        raise t.refuse(node, "reformulate() of something that is no text")
    joined = made.text if made.kind == "string" else f'" + ".join({made.text})'
    if response is None or response.kind == "string":
        return Code(f"{quoted((response.text if response else '') + ' ~ ')} + {joined}", "formula", False)
    return Code(f'{t.expression(response, scope).inside()} + " ~ " + {joined}', "formula", False)


@maker("switch", takes=None)
def _switch(t: Translator, node: Node, scope: Scope) -> Code:
    """``switch(x, a = 1, b = , c = 2, 3)``: the cases as conditions, so that only one is computed."""
    first, *cases = node.args
    if first.value is None or not cases or any(one.name is None for one in cases[:-1]):
        raise t.refuse(node, "switch() by number")
    of = t.expression(first.value, scope)
    if of.kind not in ("string", "any"):
        raise t.refuse(node, "switch() by number")
    made: list[tuple[list[str], Code]] = []
    labels: list[str] = []
    default = Code("None", "none")
    for one in cases:
        if one.name is None and one.value is not None:
            default = t.expression(one.value, scope)
        elif one.name is not None:
            labels.append(one.name)
            if one.value is not None:
                made.append((labels, t.expression(one.value, scope)))
                labels = []
    parts = [
        f"{code.inside()} if {of.inside()} "
        + (f"== {quoted(names[0])}" if len(names) == 1 else f"in ({', '.join(quoted(name) for name in names)})")
        for names, code in made
    ]
    kinds = {code.kind for _, code in made}
    return Code(" else ".join([*parts, default.inside()]), kinds.pop() if len(kinds) == 1 else "any", False)


@maker("getElement", takes="object name")
def _element(t: Translator, node: Node, scope: Scope) -> Code:
    values = [a.value for a in node.args if a.value is not None]
    if len(values) != 2:
        raise t.refuse(node, "getElement() without a name")
    index = Node("index", "[[", [values[0]], [type(node.args[0])(None, values[1])], node.start, node.end, node.line)
    return t.expression(index, scope)


@maker("stopifnot", takes="")
def _asserted(t: Translator, node: Node, scope: Scope) -> Code:
    conditions = [t.expression(value, scope) for value in values_of(node)]
    texts = [one.text if one.kind == "number" else f"np.all({one.text})" for one in conditions]
    return Code(f"assert {' and '.join(texts)}", "none")


@maker("stop", takes="call.")
def _stopped(t: Translator, node: Node, scope: Scope) -> Code:
    parts = [t.expression(value, scope) for value in values_of(node)]
    if len(parts) == 1 and parts[0].kind == "string":
        return Code(f"raise RuntimeError({parts[0].text})", "none")
    raise t.refuse(node, "stop() with a text that is computed")


@maker("model.response", takes="data")
def _response(t: Translator, node: Node, scope: Scope) -> Code:
    """``model.response(model.frame(m))``."""
    inner = values_of(node)[0] if values_of(node) else None
    if inner is None or inner.kind != "call" or inner.text != "model.frame" or len(inner.args) != 1:
        raise t.refuse(node, "model.response() of something other than model.frame(m)")
    fit = only(t, inner, scope)
    if fit.kind != "fit":
        raise t.refuse(node, "model.frame() of something that is no fit")
    return Code(f'{fit.inside()}.getME("y")', "series")


@maker("crossprod", "tcrossprod", takes="x y")
def _product(t: Translator, node: Node, scope: Scope) -> Code:
    parts = [t.expression(a.value, scope) for a in node.args if a.value is not None]
    if not 1 <= len(parts) <= 2 or any(one.kind != "frame" for one in parts):
        raise t.refuse(node, f"{node.text}() of things that are no matrices")
    left, right = parts[0].inside(), parts[-1].inside()
    return Code(f"{left}.T @ {right}" if node.text == "crossprod" else f"{left} @ {right}.T", "frame", False)
