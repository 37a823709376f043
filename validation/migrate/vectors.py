"""R's words for vectors: summaries, conversions, sequences, sets, cuts."""

from validation.migrate.code import Code, Scope, element_of, matched, plus_one, quoted, unmarked
from validation.migrate.makers import maker, numbers, only, values_of
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Translator, unwrapped

__all__: list[str] = []

#: Kinds whose values are vectors in R.
_VECTORS = {"series", "vector", "strings", "list", "range"}
_NUMBERS = {"series", "vector", "range", "number", "any"}


@maker("summary", takes="object x digits", unneeded="maxsum quantile.type")
def _summary(t: Translator, node: Node, scope: Scope) -> Code:
    """Of a vector its six numbers, of a factor its counts, of a table pandas' description; of fits it is a verb."""
    made = numbers(t, t.expression((values_of(node) or [Node("none", "")])[0], scope))
    if made.kind in ("data", "frame"):
        return Code(f'{made.inside()}.describe(include="all")', "frame")
    if made.kind == "list" and made.element == "number":
        made = Code(made.text, "vector")
    if made.kind not in ("series", "vector", "range"):
        raise t.refuse(node, "summary() of something that is neither a fit nor data")
    if made.kind == "series" and t.type_of(made) in ("factor", "ordered"):
        return Code(f"{made.inside()}.value_counts().sort_index()", "series")
    text = made.inside() if made.kind == "series" else f"pd.Series({made.text})"
    six = f'{text}.describe()[["min", "25%", "50%", "mean", "75%", "max"]]'
    if not t.has_missing(made):
        return Code(six, "series")
    return Code(f'pd.concat([{six}, pd.Series({{"NA\'s": {unmarked(text)}.isna().sum()}})])', "series")


@maker("as.integer", "as.numeric", "as.double", takes="x")
def _as_number(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    whole = node.text == "as.integer"
    if made.kind in ("number", "any", "string"):
        if made.kind == "string" or (whole and not made.text.isdigit()):
            return Code(f"{'int' if whole else 'float'}({made.text})", "number")
        return made
    if made.kind == "series" and t.type_of(made) in ("factor", "ordered"):  # the levels' numbers, from 1
        return Code(f"{made.inside()}.cat.codes + 1", "series", False, made.element)
    if made.kind == "series" and whole:
        return Code(f"{made.inside()}.astype(int)", "series", True, made.element)
    if made.kind == "dict" and made.element == "number":
        return Code(f"list({made.inside()}.values())", "vector", True, "number")
    if made.kind == "frame" and not whole:
        return Code(f"np.asarray({made.text}).ravel(order='F')", "vector")
    if made.kind not in ("series", "vector", "strings", "range"):
        raise t.refuse(node, f"{node.text}() of something that is no vector")
    kind = ", dtype=int" if whole else ", dtype=float" if made.kind == "strings" else ""
    return Code(f"np.asarray({made.text}{kind})", "vector")


@maker("pmin", "pmax", takes="")
def _extremes(t: Translator, node: Node, scope: Scope) -> Code:
    made = [t.expression(value, scope) for value in values_of(node)]
    if len(made) != 2 or any(one.kind not in _NUMBERS for one in made):
        raise t.refuse(node, f"{node.text}() of this kind")
    kind = "series" if any(one.kind == "series" for one in made) else "vector"
    of_columns = all(one.element == "column" for one in made if one.kind == "series")
    function = "minimum" if node.text == "pmin" else "maximum"
    text = f"np.{function}({made[0].text}, {made[1].text})"
    return Code(text, kind, True, "column" if kind == "series" and of_columns else "any")


@maker("intersect", "setdiff", "union", takes="x y")
def _sets(t: Translator, node: Node, scope: Scope) -> Code:
    made = [t.expression(value, scope) for value in values_of(node)]
    if len(made) != 2 or any(one.kind not in _VECTORS | {"positions"} for one in made):
        raise t.refuse(node, f"{node.text}() of things that are no vectors")
    a, b = made
    element = a.element if a.element != "column" else "any"
    kind = a.kind if a.kind in ("strings", "list") else "vector"
    if node.text == "union":
        return Code(f"list(dict.fromkeys([*{a.inside()}, *{b.inside()}]))", kind, True, element)
    method = "intersection" if node.text == "intersect" else "difference"
    return Code(f"list(pd.Index({a.text}).{method}({b.text}, sort=False))", kind, True, element)


@maker("identical", takes="x y")
def _identical(t: Translator, node: Node, scope: Scope) -> Code:
    made = [numbers(t, t.expression(value, scope)) for value in values_of(node)]
    if len(made) != 2 or any(one.kind not in _VECTORS | {"number", "string", "frame", "any"} for one in made):
        raise t.refuse(node, "identical() of things that are no numbers")
    return Code(f"np.array_equal({made[0].text}, {made[1].text})", "number")


@maker("cut", takes="x breaks labels right include.lowest ordered_result")
def _cut(t: Translator, node: Node, scope: Scope) -> Code:
    """Intervals under labels; R's own labels of intervals are texts of three digits, which are not made here."""
    given = matched(node.args, ("x", "breaks", "labels", "include.lowest", "right"))
    parts = {key: t.expression(value, scope) for key, value in given.items() if value is not None}
    x, breaks, labels = (parts.get(key) for key in ("x", "breaks", "labels"))
    if x is None or breaks is None or x.kind not in ("series", "vector") or breaks.kind not in ("vector", "series"):
        raise t.refuse(node, "cut() without breaks that are numbers")
    if labels is None or labels.kind not in ("strings", "vector", "number"):
        raise t.refuse(node, "cut() without labels: R writes its own")
    numbered = labels.kind == "number"
    options = "".join(
        f", {ours}={parts[key].text}"
        for key, ours in (("right", "right"), ("include.lowest", "include_lowest"))
        if key in parts
    )
    text = f"pd.cut({x.text}, {breaks.text}, labels={'False' if numbered else labels.text}{options})"
    if x.kind == "vector":
        text = f"pd.Series({text})"
    return Code(f"{text} + 1" if numbered else text, "series", not numbered, "column")


@maker("rep", "rep_len", takes="x times each length.out")
def _repeated(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("x", "times", "length.out", "each"))
    if node.text == "rep_len":
        given = matched(node.args, ("x", "length.out"))
    parts = {key: t.expression(value, scope) for key, value in given.items() if value is not None}
    x, times, each, length = (parts.get(key) for key in ("x", "times", "each", "length.out"))
    if x is None or x.kind not in _VECTORS | {"number", "string", "any"}:
        raise t.refuse(node, "rep() of something that is no vector")
    single = x.kind in ("number", "string", "any")
    if single and times is not None and times.kind in ("number", "any") and each is None and length is None:
        kind = "strings" if x.kind == "string" else "vector"
        return Code(f"[{x.text}] * {times.inside()}", kind, False, x.kind)
    text = f"[{x.text}]" if single else x.text
    if each is not None:
        text = f"np.repeat({text}, {each.text})"
    if times is not None:
        text = f"np.{'repeat' if times.kind != 'number' and each is None else 'tile'}({text}, {times.text})"
    if length is not None:
        text = f"np.resize({text}, {length.text})"
    strings = x.kind in ("strings", "string")
    return Code(f"{text}.tolist()" if strings else text, "strings" if strings else "vector", True, x.element)


@maker("seq_along", "seq_len", "seq", "seq.int", takes="from to by length.out along.with")
def _sequence(t: Translator, node: Node, scope: Scope) -> Code:
    if node.text == "seq_along":
        return Code(f"range(1, len({only(t, node, scope).text}) + 1)", "range")
    if node.text == "seq_len":
        return Code(f"range(1, {plus_one(only(t, node, scope))})", "range")
    given = matched(node.args, ("from", "to", "by", "length.out", "along.with"))
    parts = {key: t.expression(value, scope) for key, value in given.items() if value is not None}
    first, last, by, length = (parts.get(key) for key in ("from", "to", "by", "length.out"))
    if "along.with" in parts or first is None:
        raise t.refuse(node, "a sequence of this kind")
    if last is None and by is None and length is None:  # seq(n)
        return Code(f"range(1, {plus_one(first)})", "range")
    if last is not None and by is None and length is None:
        return Code(f"range({first.text}, {plus_one(last)})", "range")
    if last is not None and length is not None and by is None:
        return Code(f"np.linspace({first.text}, {last.text}, {length.text})", "vector")
    if last is not None and by is not None and length is None:
        return Code(f"np.arange({first.text}, {last.text} + {by.inside()} / 2, {by.text})", "vector")
    if last is None and by is not None and length is not None:
        return Code(f"{first.inside()} + {by.inside()} * np.arange({length.text})", "vector", False)
    raise t.refuse(node, "a sequence of this kind")


@maker("combn", takes="x m FUN simplify")
def _combinations(t: Translator, node: Node, scope: Scope) -> Code:
    """``combn(x, 2, function(p) ...)``: a value for each pair."""
    given = matched(node.args, ("x", "m", "FUN"))
    x, m, function = (given.get(key) for key in ("x", "m", "FUN"))
    made = t.expression(x, scope) if x is not None else None
    if made is None or m is None or function is None or function.kind != "function" or len(function.args) != 1:
        raise t.refuse(node, "combn() of this kind")
    if made.kind not in ("strings", "vector", "range"):
        raise t.refuse(node, "combn() of something that is no vector")
    variable = function.args[0].name or "x"
    inner = t.parameters(function, scope, {variable: Code("", "strings" if made.kind == "strings" else "vector")})
    result = t.expression(unwrapped(function.parts[0]), inner)
    each = inner.names[variable].text
    text = f"[{result.text} for {each} in combinations({made.text}, {t.expression(m, scope).text})]"
    kind = {"string": "strings", "number": "vector"}.get(result.kind, "list")
    return Code(text, kind, True, result.kind)


@maker("sweep", takes="x MARGIN STATS FUN")
def _swept(t: Translator, node: Node, scope: Scope) -> Code:
    """A number for each row or column, taken from a table (or added to it, ...)."""
    given = matched(node.args, ("x", "MARGIN", "STATS", "FUN"))
    x, margin, of, function = (given.get(key) for key in ("x", "MARGIN", "STATS", "FUN"))
    frame = t.expression(x, scope) if x is not None else None
    how = {"-": "sub", "+": "add", "*": "mul", "/": "div"}.get(function.text if function is not None else "-")
    if frame is None or frame.kind not in ("frame", "data") or margin is None or of is None or how is None:
        raise t.refuse(node, "sweep() of this kind")
    axis = {"1": "0", "2": "1"}[margin.text]
    return Code(f"{frame.inside()}.{how}(np.asarray({t.expression(of, scope).text}), axis={axis})", "frame")


@maker("apply", takes=None)
def _over_margin(t: Translator, node: Node, scope: Scope) -> Code:
    """``apply(X, 2, FUN)``: a number, or some, for each column; for each row with 1."""
    given = matched(node.args, ("X", "MARGIN", "FUN", "probs"))
    matrix, margin, function = (given.pop(key, None) for key in ("X", "MARGIN", "FUN"))
    if function is not None and function.text != "quantile" and "probs" in given:
        raise t.refuse(node, "apply() with arguments of its function that have no names")
    if matrix is None or margin is None or function is None or margin.text not in ("1", "2"):
        raise t.refuse(node, "apply() of this kind")
    made = t.expression(matrix, scope)
    axis = "" if margin.text == "2" else "axis=1"
    if made.kind not in ("frame", "data"):
        raise t.refuse(node, "apply() of something that is no matrix")
    known = {"mean": "mean", "sd": "std", "var": "var", "median": "median", "min": "min", "max": "max", "sum": "sum"}
    if function.text in known and function.kind != "function" and not given:
        return Code(f"{made.inside()}.{known[function.text]}({axis})", "series")
    if function.text == "quantile" and function.kind != "function":
        return _quantiles_of(t, node, made, given, axis, scope)
    part = Code("x", "series", True, "column")
    inner = Scope({"\0x": part}, scope)
    more = [Argument(name, value) for name, value in given.items()]
    if function.kind == "function" and len(function.args) == 1 and not given:
        inner = Scope({function.args[0].name or "x": part}, scope)
        result = t.expression(unwrapped(function.parts[0]), inner)
    elif function.kind in ("name", "string", "namespace"):
        call = Node(
            "call", function.text, [function], [Argument(None, Node("name", "\0x")), *more], node.start, node.end
        )
        result = t.expression_of_call(call, inner)
    else:
        raise t.refuse(node, "apply() of this kind")
    again = ", axis=1" if axis else ""
    if result.kind in ("series", "vector"):  # of rows, R gives a column for each
        each = result.text if result.kind == "series" else f"pd.Series({result.text})"
        text = f"{made.inside()}.apply(lambda x: {each}{again})"
        return Code(f"{text}.T" if axis else text, "frame")
    return Code(f"{made.inside()}.apply(lambda x: {result.text}{again})", "series")


def _quantiles_of(
    t: Translator, node: Node, made: Code, given: "dict[str, Node | None]", axis: str, scope: Scope
) -> Code:
    """Quantiles of each column or row; the probabilities by name or by place."""
    values = [value for name, value in given.items() if value is not None and "probs".startswith(name)]
    unnamed = values_of(node)[3:]
    probs = next(iter([*values, *unnamed]), None)
    if len(given) > 1 or (given and not values) or probs is None:
        raise t.refuse(node, "apply() of this kind")
    asked = t.expression(probs, scope)
    kind = "series" if asked.kind == "number" else "frame"
    options = f"{asked.text}, {axis}" if axis else asked.text
    return Code(f"{made.inside()}.quantile({options})", kind)


@maker("Reduce", takes="f x")
def _reduced(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("f", "x"))
    function, over = given.get("f"), given.get("x")
    made = t.expression(over, scope) if over is not None else None
    if function is None or made is None or made.kind not in ("list", "dict", "vector", "strings"):
        raise t.refuse(node, "Reduce() of this kind")
    listed = f"{made.inside()}.values()" if made.kind == "dict" else made.text
    given_by_name = function.kind in ("name", "string")
    if given_by_name and function.text == "+" and made.element in ("number", "series", "frame"):
        kind = made.element if made.element != "number" else "number"
        return Code(f"sum({listed})", kind)
    element = made.element if made.element != "column" else "any"
    if given_by_name:
        made_of = t.expression(Node("name", function.text, start=function.start, end=function.end), scope)
        if made_of.kind != "function":
            raise t.refuse(node, "Reduce() by something that is no function")
        return element_of(f"reduce({made_of.text}, {listed})", element)
    if function.kind != "function" or len(function.args) != 2:
        raise t.refuse(node, "Reduce() of this kind")
    names = [one.name or "x" for one in function.args]
    inner = t.parameters(function, scope, {name: element_of("", element) for name in names})
    result = t.expression(unwrapped(function.parts[0]), inner)
    arguments = ", ".join(inner.names[name].text for name in names)
    return Code(f"reduce(lambda {arguments}: {result.text}, {listed})", result.kind, True, result.element)


@maker("is", "inherits", takes="object x what class2 which")
def _is_a(t: Translator, node: Node, scope: Scope) -> Code:
    values = [a.value for a in node.args if a.value is not None]
    if len(values) != 2 or values[1].kind != "string":
        raise t.refuse(node, "a class of R's")
    made, name = t.expression(values[0], scope), values[1].text
    if name in ("try-error", "error"):
        return Code(f"isinstance({made.text}, Exception)", "number")
    ours = {"merMod": "LmerFit", "lmerMod": "LmerFit", "stanreg": "StanLmerFit"}.get(name)
    if made.kind != "fit" or ours is None:
        raise t.refuse(node, "a class of R's")
    return Code(f"isinstance({made.text}, {t.imported(ours)})", "number")


@maker("cor", "cov", takes="x y use method")
def _correlated(t: Translator, node: Node, scope: Scope) -> Code:
    """Of a table's columns, or of two vectors in the order of their elements."""
    given = matched(node.args, ("x", "y", "use", "method"))
    made = [numbers(t, t.expression(value, scope)) for key in ("x", "y") if (value := given.get(key)) is not None]
    method, use = given.get("method"), given.get("use")
    if method is not None and method.text not in ("pearson", "spearman", "kendall"):
        raise t.refuse(node, f"{node.text}() by a method that is computed")
    ranked = method is not None and method.text != "pearson"
    how = f"method={quoted(method.text)}" if method is not None and ranked else ""
    if node.text == "cov" and ranked:
        raise t.refuse(node, "cov() of ranks")
    if len(made) == 1 and made[0].kind in ("frame", "data"):
        complete = use is not None and use.text.startswith("comp")
        return Code(
            f"{made[0].inside()}{'.dropna()' if complete else ''}.{node.text}({how})".replace(".cor(", ".corr("),
            "frame",
        )
    if len(made) != 2 or any(one.kind not in ("series", "vector", "range") for one in made):
        raise t.refuse(node, f"{node.text}() of something that is no table, nor two vectors")
    if ranked or use is not None:
        a, b = (f"pd.Series(np.asarray({one.text}))" for one in made)
        return Code(f"{a}.{'corr' if node.text == 'cor' else 'cov'}({b}{', ' + how if how else ''})", "number")
    function = "corrcoef" if node.text == "cor" else "cov"
    return Code(f"np.{function}({made[0].text}, {made[1].text})[0, 1]", "number")
