"""dplyr's verbs, for tables that a script makes of its results; what prepares data at the top is kept as R had it."""

import keyword
import re

from validation.migrate.code import Code, Scope, quoted
from validation.migrate.makers import maker, only, values_of
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Translator, call_of, is_several

__all__ = ["chosen", "plain_table"]


class _Masked(Scope):
    """Names among a table's columns: its columns, then what the script knows, then again a column."""

    def __init__(self, t: Translator, frame: Code, outer: Scope, among: str) -> None:
        known = t.columns.get(frame.text, [])
        columns = {name: Code(f"{among}[{quoted(name)}]", "series", True, "column") for name in known}
        super().__init__({**columns, ".": Code(among, "frame")}, outer)
        self.among = among

    def find(self, name: str) -> Code | None:
        found = super().find(name)
        return found if found is not None else Code(f"{self.among}[{quoted(name)}]", "series", True, "column")


def _table(t: Translator, node: Node, scope: Scope) -> tuple[Code, list[Argument]]:
    """The table that a verb is of, and the rest of its arguments."""
    first, rest = (node.args[0], node.args[1:]) if node.args else (None, [])
    if first is None or first.value is None or first.name not in (None, ".data", "x"):
        raise t.refuse(node, f"{node.text}() of nothing")
    made = t.expression(first.value, scope)
    if made.kind not in ("frame", "data", "table", "grouped"):
        raise t.refuse(node, f"{node.text}() of something that is no table")
    return made, rest


def plain_table(t: Translator, node: Node, scope: Scope) -> tuple[Code, list[Argument]]:
    """The table that a verb is of, without groups, and the rest of its arguments."""
    made, rest = _table(t, node, scope)
    if made.kind == "grouped":
        raise t.refuse(node, f"{node.text}() within groups")
    return made, rest


def _names(t: Translator, node: Node, arguments: list[Argument]) -> list[str]:
    found = []
    for one in arguments:
        if one.value is None or one.name is not None or one.value.kind not in ("name", "string"):
            raise t.refuse(node, f"{node.text}() by something other than columns' names")
        found.append(one.value.text)
    return found


def chosen(t: Translator, node: Node, asked: Node, frame: str, scope: Scope) -> str:
    """Columns, as tidyselect's words name them: Python that gives their names.

    Parameters
    ----------
    node : Node
        The call that they are for.
    asked : Node
        ``c(a, b)``, ``starts_with("x")``, ``where(is.numeric)``, ``-a``, ``a:b``, ``everything()``, ``all_of(x)``.
    frame : str
        Python's table.
    """
    while asked.kind == "paren":
        asked = asked.parts[0]
    text = asked.args[0].value if asked.kind == "call" and asked.args else None
    if asked.kind in ("name", "string"):
        return f"[{quoted(asked.text)}]"
    if asked.kind == "unary" and asked.text in ("-", "!"):
        return f"[one for one in {frame} if one not in {chosen(t, node, asked.parts[0], frame, scope)}]"
    if asked.kind == "binary" and asked.text == ":" and all(part.kind == "name" for part in asked.parts):
        first, last = (quoted(part.text) for part in asked.parts)
        return f"list({frame}.loc[:, {first}:{last}])"
    if asked.kind == "call" and asked.text == "c":
        parts = [chosen(t, node, one.value, frame, scope) for one in asked.args if one.value is not None]
        if all(one.value is not None and one.value.kind in ("name", "string") for one in asked.args):
            return "[" + ", ".join(part[1:-1] for part in parts) + "]"
        return "[" + ", ".join(f"*{part}" for part in parts) + "]"
    if (
        asked.kind == "call"
        and asked.text in ("starts_with", "ends_with")
        and text is not None
        and text.kind == "string"
    ):
        method = "startswith" if asked.text == "starts_with" else "endswith"
        return f"[one for one in {frame} if one.{method}({quoted(text.text)})]"
    if asked.kind == "call" and asked.text == "contains" and text is not None and text.kind == "string":
        return f"[one for one in {frame} if {quoted(text.text)} in one]"
    if asked.kind == "call" and asked.text == "everything" and not asked.args:
        return f"list({frame})"
    if asked.kind == "call" and asked.text in ("all_of", "any_of") and text is not None:
        return t.expression(text, scope).inside()
    if asked.kind == "call" and asked.text == "where" and text is not None:
        kinds = {"is.numeric": '"number"', "is.character": '"str"', "is.factor": '"category"', "is.logical": '"bool"'}
        if text.text in kinds:
            return f"list({frame}.select_dtypes({kinds[text.text]}))"
    raise t.refuse(node, f"columns that are chosen by {t.source(asked)}")


def _across(t: Translator, node: Node, call: Node, inner: _Masked, frame: str) -> list[tuple[str, str]]:
    """``across(columns, functions)``: new columns, or numbers, by their names; under no name, a dict of them."""
    values = values_of(call)
    given = {one.name: one.value for one in call.args if one.name is not None and one.value is not None}
    columns = given.pop(".cols", None) or (values.pop(0) if values else None)
    functions = given.pop(".fns", None) or (values.pop(0) if values else None)
    if columns is None or functions is None or values or given:
        raise t.refuse(node, "across() of this kind")
    several = functions.kind == "call" and functions.text == "list"
    listed = [(one.name, one.value) for one in functions.args] if several else [("", functions)]
    if any(function is None or (several and not label) for label, function in listed):
        raise t.refuse(node, "across() of functions without names")
    named = [one.value for one in columns.args] if columns.kind == "call" and columns.text == "c" else [columns]
    ends = [f"_{label}" if label else "" for label, _ in listed]
    made = []
    if all(one is not None and one.kind in ("name", "string") for one in named):
        for name in [one.text for one in named if one is not None]:
            part = Code(f"{frame}[{quoted(name)}]", "series", True, "column")
            texts = [_of_column(t, node, function, part, inner) for _, function in listed if function is not None]
            made += [(name + end, text) for end, text in zip(ends, texts, strict=True)]
        return made
    names, part = chosen(t, node, columns, frame, inner), Code(f"{frame}[name]", "series", True, "column")
    for end, (_, function) in zip(ends, listed, strict=True):
        if function is not None:
            key = f"name + {quoted(end)}" if end else "name"
            made.append(("", f"{{{key}: {_of_column(t, node, function, part, inner)} for name in {names}}}"))
    return made


def _of_column(t: Translator, node: Node, function: Node, part: Code, inner: Scope) -> str:
    """What a function makes of a column: ``mean``, ``~ .x / 2``, ``function(x) x / 2``."""
    if function.kind == "unary" and function.text == "~":
        return t.by_place(t.expression(function.parts[0], Scope({".x": part, ".": part}, inner)))
    if function.kind == "function" and len(function.args) == 1 and not is_several(function.parts[0]):
        return t.expression(function.parts[0], Scope({function.args[0].name or "x": part}, inner)).text
    if function.kind in ("name", "namespace"):
        call = call_of(function, [Node("name", "\0x")])
        return t.expression(call, Scope({"\0x": part}, inner)).text
    raise t.refuse(node, "across() of this kind")


def _is_across(argument: Argument) -> bool:
    value = argument.value
    return argument.name is None and value is not None and value.kind == "call" and value.text == "across"


def _grouping(t: Translator, node: Node, made: Code, rest: list[Argument], scope: Scope) -> tuple[Code, list[Argument]]:
    """The groups that ``.by`` asks for, as those of ``group_by``."""
    by = next((one.value for one in rest if one.name == ".by"), None)
    rest = [one for one in rest if one.name not in (".by", ".groups")]
    if by is None:
        return made, rest
    return Code(made.text, "grouped", made.atom, chosen(t, node, by, made.text, scope)), rest


def _listed(names: list[str]) -> str:
    return "[" + ", ".join(quoted(name) for name in names) + "]"


def _kind(made: Code) -> str:
    return "data" if made.kind == "data" else "frame"


@maker("filter", takes=None)
def _filter(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _table(t, node, scope)
    made, rest = _grouping(t, node, made, rest, scope)
    if any(one.name is not None or one.value is None for one in rest) or not rest:
        raise t.refuse(node, "filter() of this kind")
    inner = _Masked(t, made, scope, "d")
    with t.within(made.element if made.kind == "grouped" else ""):
        tests = [t.expression(one.value, inner) for one in rest if one.value is not None]
    condition = " & ".join(f"({one.text})" if len(tests) > 1 else one.text for one in tests)
    text = f"{made.inside()}[lambda d: {condition}].reset_index(drop=True)"
    return Code(text, "grouped", True, made.element) if made.kind == "grouped" else Code(text, _kind(made))


@maker("mutate", "transmute", takes=None)
def _mutate(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _table(t, node, scope)
    made, rest = _grouping(t, node, made, rest, scope)
    if any((one.name is None or one.value is None) and not _is_across(one) for one in rest):
        raise t.refuse(node, f"{node.text}() of this kind")
    inner = _Masked(t, made, scope, "d")
    text = made.inside()
    parts: list[tuple[str, str]] = []
    with t.within(made.element if made.kind == "grouped" else ""):
        for one in rest:
            if one.value is not None and _is_across(one):
                for name, made_of in _across(t, node, one.value, inner, "d"):
                    parts.append((name, made_of))
            elif one.value is not None and one.name is not None:
                value = t.expression(one.value, inner)
                inner.names[one.name] = Code(f"d[{quoted(one.name)}]", "series", True, "column")
                parts.append((one.name, t.by_place(value)))
    text += _assigned(parts)
    if node.text == "transmute":
        if made.kind == "grouped" or any(not name for name, _ in parts):
            raise t.refuse(node, "transmute() of this kind")
        return Code(f"{text}[{_listed([name for name, _ in parts])}]", _kind(made))
    return Code(text, "grouped", True, made.element) if made.kind == "grouped" else Code(text, _kind(made))


def _assigned(parts: list[tuple[str, str]]) -> str:
    """Columns one after the other, each of which sees those before it."""
    if not parts:
        return ""
    several = [k for k, (name, _) in enumerate(parts) if not name]
    if several:  # columns that are known when it runs
        k = several[0]
        return f"{_assigned(parts[:k])}.pipe(lambda d: d.assign(**{parts[k][1]})){_assigned(parts[k + 1 :])}"
    if all(name.isidentifier() and not keyword.iskeyword(name) for name, _ in parts):
        return ".assign(" + ", ".join(f"{name}={_of_the_table(text)}" for name, text in parts) + ")"
    return ".assign(**{" + ", ".join(f"{quoted(name)}: {_of_the_table(text)}" for name, text in parts) + "})"


def _of_the_table(text: str) -> str:
    return f"lambda d: {text}" if re.search(r"\bd\b", text) else text


@maker("transform", takes=None)
def _transform(t: Translator, node: Node, scope: Scope) -> Code:
    """R's own: all columns are computed from those that were there."""
    made, rest = plain_table(t, node, scope)
    if not rest or any(one.name is None or one.value is None or not one.name.isidentifier() for one in rest):
        raise t.refuse(node, "transform() of this kind")
    inner = _Masked(t, made, scope, "d")
    values = [(one.name, t.expression(one.value, inner)) for one in rest if one.value is not None]
    plain = ("number", "string")
    parts = [f"{name}={v.text}" if v.kind in plain else f"{name}=lambda d: {t.by_place(v)}" for name, v in values]
    if sum(v.kind not in plain for _, v in values) > 1:
        raise t.refuse(node, "transform() of several columns that are computed")
    return Code(f"{made.inside()}.assign({', '.join(parts)})", _kind(made))


@maker("group_by", takes=None)
def _group_by(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    names = _names(t, node, [one for one in rest if one.name != ".groups"])
    return Code(made.text, "grouped", made.atom, _listed(names))


@maker("ungroup", "as_tibble", "as.tbl", takes="x")
def _ungroup(t: Translator, node: Node, scope: Scope) -> Code:
    made, _ = _table(t, node, scope)
    return Code(made.text, "frame" if made.kind == "grouped" else _kind(made), made.atom)


@maker("summarise", "summarize", takes=None)
def _summarise(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _table(t, node, scope)
    made, rest = _grouping(t, node, made, rest, scope)
    rest = [  # R calls what has no name by its words
        Argument(t.source(one.value), one.value)
        if one.name is None and one.value is not None and one.value.kind == "call" and not _is_across(one)
        else one
        for one in rest
    ]
    if not rest or any((one.name is None or one.value is None) and not _is_across(one) for one in rest):
        raise t.refuse(node, f"{node.text}() without names")
    inner = _Masked(t, made, scope, "d")
    parts = []
    for one in rest:
        if one.value is not None and _is_across(one):
            spread = _across(t, node, one.value, inner, "d")
            parts += [f"{quoted(name)}: {text}" if name else f"**{text}" for name, text in spread]
        elif one.value is not None and one.name is not None:
            value = t.expression(one.value, inner)
            parts.append(f"{quoted(one.name)}: {value.text}")
            if value.kind in ("number", "any"):  # a later part of the same summary sees it
                inner.names[one.name] = Code(value.text, value.kind, value.atom)
    row = "pd.Series({" + ", ".join(parts) + "})"
    if made.kind != "grouped":
        return Code(f"{made.inside()}.pipe(lambda d: {row}).to_frame().T", "frame")
    return Code(f"{made.inside()}.groupby({made.element}, observed=True).apply(lambda d: {row}).reset_index()", "frame")


@maker("n", takes="")
def _count_of_rows(t: Translator, node: Node, scope: Scope) -> Code:
    rows = scope.find(".")
    if node.args or rows is None or rows.kind != "frame":
        raise t.refuse(node, "n() outside of a table")
    if t.groups:
        return Code(
            f'{rows.text}.groupby({t.groups}, observed=True)[{t.groups}[0]].transform("size")', "series", True, "column"
        )
    return Code(f"len({rows.text})", "number")


@maker("n_distinct", takes="")
def _distinct_values(t: Translator, node: Node, scope: Scope) -> Code:
    made = t.expression(node.args[0].value, scope) if node.args and node.args[0].value is not None else None
    if made is None or made.kind != "series":
        raise t.refuse(node, "n_distinct() of something that is no column")
    return Code(f"{made.inside()}.nunique()", "number")


@maker("arrange", takes=None)
def _arrange(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    names, rising = [], []
    for one in rest:
        value = one.value
        falling = value is not None and value.kind == "call" and value.text == "desc" and len(value.args) == 1
        value = value.args[0].value if value is not None and falling else value
        if value is None or value.kind != "name":
            raise t.refuse(node, "arrange() by something other than columns")
        names.append(value.text)
        rising.append(not falling)
    by = quoted(names[0]) if len(names) == 1 else _listed(names)
    order = "" if all(rising) else f", ascending={rising[0] if len(rising) == 1 else rising}"
    return Code(f'{made.inside()}.sort_values({by}{order}, kind="stable").reset_index(drop=True)', _kind(made))


@maker("select", takes=None)
def _select(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    minus = [one for one in rest if one.value is not None and one.value.kind == "unary" and one.value.text == "-"]
    if minus and len(minus) == len(rest):
        names = _names(t, node, [Argument(None, one.value.parts[0]) for one in minus if one.value is not None])
        return Code(f"{made.inside()}.drop(columns={_listed(names)})", _kind(made))
    renamed = {one.name: one.value.text for one in rest if one.name is not None and one.value is not None}
    if any(one.value is not None and one.value.kind not in ("name", "string") for one in rest) and not renamed:
        asked = Node("call", "c", node.parts, rest, node.start, node.end, node.line)
        columns = chosen(t, node, asked, "d", scope)
        return Code(f"{made.inside()}.pipe(lambda d: d[{columns}])", _kind(made))
    names = _names(t, node, [Argument(None, one.value) for one in rest])
    text = f"{made.inside()}[{_listed(names)}]"
    if renamed:
        inside = ", ".join(f"{quoted(old)}: {quoted(str(new))}" for new, old in renamed.items())
        text += ".rename(columns={" + inside + "})"
    return Code(text, _kind(made))


@maker("rename", takes=None)
def _rename(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    inside = []
    for one in rest:
        if one.name is None or one.value is None or one.value.kind not in ("name", "string"):
            raise t.refuse(node, "rename() of this kind")
        inside.append(f"{quoted(one.value.text)}: {quoted(one.name)}")
    return Code(f"{made.inside()}.rename(columns={{{', '.join(inside)}}})", _kind(made))


@maker("slice", "slice_head", takes=None)
def _slice(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    if len(rest) != 1 or rest[0].value is None:
        raise t.refuse(node, f"{node.text}() of this kind")
    rows = t.expression(rest[0].value, scope)
    if node.text == "slice_head" or rest[0].name == "n":
        return Code(f"{made.inside()}.head({rows.text})", _kind(made))
    if rows.kind == "range" and rows.text.startswith("range(1, "):
        last = rows.text.removeprefix("range(1, ").removesuffix(")")
        return Code(f"{made.inside()}.head({int(last) - 1 if last.isdigit() else last + ' - 1'})", _kind(made))
    raise t.refuse(node, "slice() of rows other than the first")


@maker("top_n", takes=None)
def _top(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    if len(rest) != 2 or rest[0].value is None:
        raise t.refuse(node, "top_n() without a column")
    (name,) = _names(t, node, rest[1:])
    count = t.expression(rest[0].value, scope).text
    rows = f'd[{quoted(name)}].rank(method="min", ascending=False) <= {count}'  # in the table's order, with ties
    return Code(f"{made.inside()}[lambda d: {rows}].reset_index(drop=True)", _kind(made))


@maker("slice_max", "slice_min", takes=None)
def _extreme(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    count = next((one.value for one in rest if one.name == "n"), None)
    names = _names(t, node, [one for one in rest if one.name in (None, "order_by")][:1])
    if count is None or len(rest) != 2:
        raise t.refuse(node, f"{node.text}() of this kind")
    method = "nlargest" if node.text == "slice_max" else "nsmallest"
    text = f"{made.inside()}.{method}({t.expression(count, scope).text}, {quoted(names[0])})"
    return Code(f"{text}.reset_index(drop=True)", _kind(made))


@maker("pull", takes="var")
def _pull(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    (name,) = _names(t, node, rest[:1]) or [""]
    return Code(f"{made.inside()}[{quoted(name)}]", "series", True, "column")


@maker("count", takes=None)
def _count(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    falling = next((one.value for one in rest if one.name == "sort"), None)
    names = _names(t, node, [one for one in rest if one.name != "sort"])
    if not names:
        raise t.refuse(node, "count() of nothing")
    text = f'{made.inside()}.groupby({_listed(names)}, observed=True).size().reset_index(name="n")'
    if falling is not None and falling.text in ("TRUE", "T"):
        text += '.sort_values("n", ascending=False, kind="stable").reset_index(drop=True)'
    return Code(text, "frame")


@maker("distinct", takes=None)
def _distinct(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    names = _names(t, node, [one for one in rest if one.name != ".keep_all"])
    whole = any(one.name == ".keep_all" for one in rest)
    of = f"[{_listed(names)}]" if names and not whole else ""
    subset = _listed(names) if names and whole else ""
    return Code(f"{made.inside()}{of}.drop_duplicates({subset}).reset_index(drop=True)", _kind(made))


@maker("drop_na", takes=None)
def _complete(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    names = _names(t, node, rest)
    subset = f"subset={_listed(names)}" if names else ""
    return Code(f"{made.inside()}.dropna({subset}).reset_index(drop=True)", _kind(made))


@maker("case_when", takes=None)
def _cases(t: Translator, node: Node, scope: Scope) -> Code:
    """The first condition that holds says which value."""
    tests, values = [], []
    default = Code("None", "none")
    for one in node.args:
        if one.name == ".default" and one.value is not None:
            default = t.expression(one.value, scope)
            continue
        if one.name is not None or one.value is None or one.value.kind != "binary" or one.value.text != "~":
            raise t.refuse(node, "case_when() of this kind")
        test, value = one.value.parts
        if test.text in ("TRUE", "T") and test.kind in ("constant", "name"):
            default = t.expression(value, scope)
            continue
        tests.append(t.expression(test, scope).text)
        values.append(t.expression(value, scope))
    element = values[0].kind if values else "any"
    listed = ", ".join(one.text for one in values)
    return Code(f"np.select([{', '.join(tests)}], [{listed}], default={default.text})", "vector", True, element)


@maker("if_else", takes="condition true false")
def _if_else(t: Translator, node: Node, scope: Scope) -> Code:
    parts = [t.expression(one.value, scope) for one in node.args if one.value is not None]
    if len(parts) != 3:
        raise t.refuse(node, "if_else() without its three parts")
    return Code(f"np.where({', '.join(one.text for one in parts)})", "vector", True, parts[1].kind)


@maker("min_rank", "dense_rank", takes="x")
def _rank(t: Translator, node: Node, scope: Scope) -> Code:
    value = values_of(node)[0] if len(values_of(node)) == 1 else None
    falling = value is not None and value.kind == "call" and value.text == "desc" and len(value.args) == 1
    value = value.args[0].value if falling and value is not None else value
    made = t.expression(value, scope) if value is not None else None
    if made is None or made.kind != "series" or t.groups:
        raise t.refuse(node, f"{node.text}() of something that is no column")
    method = "min" if node.text == "min_rank" else "dense"
    order = ", ascending=False" if falling else ""
    return Code(f'{made.inside()}.rank(method="{method}"{order})', "series", True, made.element)


@maker("first", "last", "lag", "lead", takes="x n")
def _neighbours(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind != "series":
        raise t.refuse(node, f"{node.text}() of something that is no column")
    found = re.fullmatch(r'd\["([^"\\]*)"\]', made.text)
    if t.groups and found is None:
        raise t.refuse(node, f"{node.text}() of something computed, within groups")
    of = f'd.groupby({t.groups}, observed=True)["{found[1]}"]' if t.groups and found else made.inside()
    if node.text in ("lag", "lead"):
        return Code(f"{of}.shift({'1' if node.text == 'lag' else '-1'})", "series", True, "column")
    if t.groups:
        return Code(f'{of}.transform("{node.text}")', "series", True, "column")
    return Code(f"{of}.iloc[{'0' if node.text == 'first' else '-1'}]", "any")


@maker("left_join", "inner_join", takes=None)
def _join(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    other = next((one.value for one in rest if one.name in (None, "y")), None)
    by = next((one.value for one in rest if one.name == "by"), None)
    if other is None or by is None:
        raise t.refuse(node, f"{node.text}() without by")
    table, key = t.expression(other, scope), t.expression(by, scope)
    if table.kind not in ("frame", "data") or key.kind not in ("string", "strings"):
        raise t.refuse(node, f"{node.text}() of this kind")
    how = node.text.removesuffix("_join")
    kind = "data" if "data" in (made.kind, table.kind) else "frame"
    return Code(f"pd.merge({made.text}, {table.text}, on={key.text}, how={quoted(how)})", kind)


@maker("rownames_to_column", takes="var .data")
def _row_names(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    name = rest[0].value.text if rest and rest[0].value is not None else "rowname"
    return Code(f"{made.inside()}.rename_axis({quoted(name)}).reset_index()", "frame")


@maker("bind_rows", takes=None)
def _bind_rows(t: Translator, node: Node, scope: Scope) -> Code:
    made = [t.expression(one.value, scope) for one in node.args if one.value is not None and one.name is None]
    if len(made) == 1 and len(node.args) == 1 and made[0].kind == "list" and made[0].element.startswith("frame"):
        return Code(f"pd.concat({made[0].text}, ignore_index=True)", "frame")
    if len(made) == len(node.args) and all(one.kind == "frame" for one in made):
        return Code(f"pd.concat([{', '.join(one.text for one in made)}], ignore_index=True)", "frame")
    raise t.refuse(node, "bind_rows() of this kind")


@maker("tibble", "data_frame", takes=None)
def _tibble(t: Translator, node: Node, scope: Scope) -> Code:
    call = Node("call", "data.frame", node.parts, node.args, node.start, node.end, node.line)
    return t.expression_of_call(call, scope)
