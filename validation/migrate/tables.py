"""R's words for tables that a script makes of its results: rows, columns, names, merges, tables of two factors."""

from validation.migrate.code import Code, Scope, matched, quoted, unmarked
from validation.migrate.makers import maker, only, values_of
from validation.migrate.rcode import Node
from validation.migrate.translate import Translator

__all__: list[str] = []

_IN_THE_DATA = "the data are kept as R had them after this step"


@maker("subset", takes=None)
def _subset(t: Translator, node: Node, scope: Scope) -> Code:
    """``subset(d, condition, select = c(a, b))``; at the top the data that came of it are kept."""
    given = matched(node.args, ("x", "subset", "select"))
    data, condition, select = (given.pop(key, None) for key in ("x", "subset", "select"))
    frame = t.expression(data, scope) if data is not None else None
    if frame is None or given or frame.kind not in ("data", "frame", "table"):
        raise t.refuse(node, _IN_THE_DATA)
    text = frame.inside()
    if condition is not None:
        text = f"{text}[{t.expression(condition, t.among_columns(frame, condition, scope)).text}]"
    if select is not None:
        chosen = values_of(select) if select.kind == "call" and select.text == "c" else [select]
        names = [one.text for one in chosen]
        if any(one.kind not in ("name", "string") for one in chosen):
            raise t.refuse(node, "columns that are chosen in another way than by their names")
        text = f"{text}[[{', '.join(quoted(name) for name in names)}]]"
    return Code(text, "frame" if frame.kind == "table" else frame.kind)


@maker("merge", takes="x y by all all.x sort")
def _merged(t: Translator, node: Node, scope: Scope) -> Code:
    """R sorts by the key and puts it first, and calls what both have ``.x`` and ``.y``."""
    given = matched(node.args, ("x", "y", "by"))
    x, y, by = (given.get(key) for key in ("x", "y", "by"))
    sides = [t.expression(one, scope) for one in (x, y) if one is not None]
    if by is None or len(sides) != 2 or any(one.kind not in ("frame", "data") for one in sides):
        raise t.refuse(node, _IN_THE_DATA)
    every = given.get("all")
    left = given.get("all.x")
    how = "outer" if every is not None and every.text in ("TRUE", "T") else "inner"
    how = "left" if left is not None and left.text in ("TRUE", "T") else how
    key = t.expression(by, scope)
    text = f"pd.merge({sides[0].text}, {sides[1].text}, on={key.text}, how={quoted(how)}, sort=True"
    kind = "data" if "data" in (sides[0].kind, sides[1].kind) else "frame"
    return Code(f'{text}, suffixes=(".x", ".y"))', kind)


@maker("match", takes="x table")
def _matched(t: Translator, node: Node, scope: Scope) -> Code:
    x, table = (t.expression(value, scope) for value in values_of(node))
    if x.kind not in ("strings", "series", "vector") or table.kind not in ("strings", "series", "vector"):
        raise t.refuse(node, "match() of things that are no vectors")
    texts = "string" in (x.element, table.element)
    as_text = ".astype(str)" if texts and table.kind == "series" else ""
    return Code(f"pd.Index({table.text}){as_text}.get_indexer({x.text}) + 1", "positions", False)


@maker("setNames", "structure", takes="object nm names .Data")
def _named(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    if len(values) != 2:
        raise t.refuse(node, f"{node.text}() of this kind")
    thing, names = (t.expression(value, scope) for value in values)
    labels = names.text
    if thing.kind == "list":
        return Code(f"dict(zip({labels}, {thing.text}))", "dict", True, thing.element)
    if thing.kind == "dict":
        return Code(f"dict(zip({labels}, {thing.inside()}.values()))", "dict", True, thing.element)
    if thing.kind not in ("vector", "series", "strings", "range"):
        raise t.refuse(node, f"{node.text}() of something that is no vector")
    inside = f"{thing.inside()}.to_numpy()" if thing.kind == "series" else thing.text
    index = labels if names.kind == "strings" else f"list({labels})"
    return Code(f"pd.Series({inside}, index={index})", "series")


@maker("is.na", takes="x")
def _missing(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind in ("series", "frame", "data"):
        return Code(f"{made.inside()}.isna()", "series" if made.kind == "series" else "frame")
    if made.kind not in ("vector", "number"):
        raise t.refuse(node, "is.na() of something that is no column")
    return Code(f"pd.isna({made.text})", made.kind)


@maker("all.equal", takes="target current tolerance check.attributes")
def _all_equal(t: Translator, node: Node, scope: Scope) -> Code:
    """R's default tolerance is 1.5e-8, relative."""
    given = matched(node.args, ("target", "current", "tolerance"))
    sides = [t.expression(value, scope) for key in ("target", "current") if (value := given.get(key)) is not None]
    if len(sides) != 2 or any(one.kind not in ("number", "any", "vector", "series", "frame") for one in sides):
        raise t.refuse(node, "all.equal() of things that are no numbers")
    asked = given.get("tolerance")
    rtol = t.expression(asked, scope).text if asked is not None else "1.5e-8"
    return Code(f"np.allclose({sides[1].text}, {sides[0].text}, rtol={rtol}, atol=0)", "number")


@maker("scale", takes="x center scale")
def _scaled(t: Translator, node: Node, scope: Scope) -> Code:
    """A vector, centred and divided by its standard deviation."""
    given = matched(node.args, ("x", "center", "scale"))
    value = given.get("x")
    made = t.expression(value, scope) if value is not None else None
    asked = {key: one.text for key in ("center", "scale") if (one := given.get(key)) is not None}
    if made is None or made.kind != "series" or set(asked.values()) - {"TRUE", "FALSE", "T", "F"}:
        raise t.refuse(node, "scale() of something that is no vector")
    again = unmarked(made.inside())
    text = made.inside() if asked.get("center", "T")[0] == "F" else f"({made.inside()} - {again}.mean())"
    if asked.get("scale", "T")[0] == "T":
        if asked.get("center", "T")[0] == "F":
            raise t.refuse(node, "scale() without centring")
        text = f"{text} / {again}.std()"
    return Code(text, "series", False, made.element)


@maker("prop.table", "proportions", takes="x margin")
def _shares(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    made = t.expression(values[0], scope)
    margin = values[1].text if len(values) > 1 else ""
    if made.kind == "series":
        if made.text.endswith(".value_counts().sort_index()"):
            return Code(made.text.replace(".value_counts()", ".value_counts(normalize=True)"), "series")
        return Code(f"{made.inside()} / {unmarked(made.inside())}.sum()", "series", False)
    if made.kind != "frame" or margin not in ("", "1", "2"):
        raise t.refuse(node, "prop.table() of something other than a table")
    total = {"": ".to_numpy().sum()", "1": ".sum(axis=1), axis=0", "2": ".sum()"}[margin]
    return Code(f"{made.inside()}.div({unmarked(made.inside())}{total})", "frame")


@maker("cbind", takes=None)
def _side_by_side(t: Translator, node: Node, scope: Scope) -> Code:
    """Columns side by side, in the order of their rows, whatever these are called."""
    made: list[tuple[str | None, Code]] = []
    for argument in node.args:
        if argument.name in ("stringsAsFactors", "deparse.level"):
            continue
        if argument.value is None:
            raise t.refuse(node, "an argument without a value")
        name = argument.name or (argument.value.text if argument.value.kind == "name" else None)
        made.append((name, t.expression(argument.value, scope)))
    kinds = {one.kind for _, one in made}
    if not made or kinds - {"series", "vector", "frame", "data", "number"}:
        raise t.refuse(node, "cbind() of things that are neither tables nor vectors")
    first = made[0][1]
    if first.kind in ("frame", "data"):
        if any(one.kind in ("frame", "data") for _, one in made[1:]):
            if kinds - {"frame", "data"}:
                return _beside(t, node, made)
            return Code(f"pd.concat([{', '.join(one.text for _, one in made)}], axis=1)", "frame")
        if any(name is None for name, _ in made[1:]):
            raise t.refuse(node, "cbind() of a column without a name")
        more = "{" + ", ".join(f"{quoted(str(name))}: {_column(one)}" for name, one in made[1:]) + "}"
        return Code(f"{first.inside()}.assign(**{more})", "frame")
    if kinds & {"frame", "data"}:
        return _beside(t, node, made)
    if any(name is None for name, _ in made):
        raise t.refuse(node, "cbind() of columns without names")
    inside = ", ".join(f"{quoted(str(name))}: {_column(one)}" for name, one in made)
    index = f", index={unmarked(first.inside())}.index" if first.kind == "series" and first.element != "column" else ""
    return Code("pd.DataFrame({" + inside + "}" + index + ")", "frame")


def _beside(t: Translator, node: Node, made: list[tuple[str | None, Code]]) -> Code:
    """Tables and vectors side by side, by the order of their rows."""
    if any(name is None for name, one in made if one.kind not in ("frame", "data")):
        raise t.refuse(node, "cbind() of a column without a name")
    rows = unmarked(next(one for _, one in made if one.kind in ("frame", "data")).inside())
    parts = [
        one.text
        if one.kind in ("frame", "data")
        else f"pd.Series({_column(one)}, index={rows}.index, name={quoted(str(name))})"
        for name, one in made
    ]
    return Code(f"pd.concat([{', '.join(parts)}], axis=1)", "frame")


def _column(one: Code) -> str:
    return one.text if one.kind == "number" else f"np.asarray({one.text})"
