"""dplyr's verbs, for tables that a script makes of its results; what prepares data at the top is kept as R had it."""

from validation.migrate.code import Code, Scope, quoted
from validation.migrate.functions import maker
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Translator

__all__: list[str] = []


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


def _plain(t: Translator, node: Node, scope: Scope) -> tuple[Code, list[Argument]]:
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


def _listed(names: list[str]) -> str:
    return "[" + ", ".join(quoted(name) for name in names) + "]"


def _kind(made: Code) -> str:
    return "data" if made.kind == "data" else "frame"


@maker("filter", takes=None)
def _filter(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
    if any(one.name is not None or one.value is None for one in rest) or not rest:
        raise t.refuse(node, "filter() of this kind")
    inner = _Masked(t, made, scope, "d")
    tests = [t.expression(one.value, inner) for one in rest if one.value is not None]
    condition = " & ".join(f"({one.text})" if len(tests) > 1 else one.text for one in tests)
    return Code(f"{made.inside()}[lambda d: {condition}].reset_index(drop=True)", _kind(made))


@maker("mutate", "transmute", takes=None)
def _mutate(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
    if node.text == "transmute" or any(one.name is None or one.value is None for one in rest):
        raise t.refuse(node, f"{node.text}() of this kind")
    inner = _Masked(t, made, scope, "d")
    parts = []
    for one in rest:
        if one.value is not None and one.name is not None:
            value = t.expression(one.value, inner)
            inner.names[one.name] = Code(f"d[{quoted(one.name)}]", "series", True, "column")
            parts.append((one.name, t.by_place(value)))
    if all(name.isidentifier() for name, _ in parts):
        inside = ", ".join(f"{name}=lambda d: {text}" for name, text in parts)
    else:
        inside = "**{" + ", ".join(f"{quoted(name)}: lambda d: {text}" for name, text in parts) + "}"
    return Code(f"{made.inside()}.assign({inside})", _kind(made))


@maker("group_by", takes=None)
def _group_by(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
    names = _names(t, node, [one for one in rest if one.name != ".groups"])
    return Code(made.text, "grouped", made.atom, _listed(names))


@maker("ungroup", "as_tibble", "as.tbl", takes="x")
def _ungroup(t: Translator, node: Node, scope: Scope) -> Code:
    made, _ = _table(t, node, scope)
    return Code(made.text, "frame" if made.kind == "grouped" else _kind(made), made.atom)


@maker("summarise", "summarize", takes=None)
def _summarise(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _table(t, node, scope)
    rest = [one for one in rest if one.name != ".groups"]
    if not rest or any(one.name is None or one.value is None for one in rest):
        raise t.refuse(node, f"{node.text}() without names")
    inner = _Masked(t, made, scope, "d")
    parts = []
    for one in rest:
        if one.value is not None and one.name is not None:
            value = t.expression(one.value, inner)
            parts.append(f"{quoted(one.name)}: {value.text}")
            if value.kind in ("number", "any"):  # a later part of the same summary sees it
                inner.names[one.name] = Code(value.text, value.kind, value.atom)
    t.needs("pd")
    row = "pd.Series({" + ", ".join(parts) + "})"
    if made.kind != "grouped":
        return Code(f"(lambda d: {row})({made.text}).to_frame().T", "frame")
    return Code(f"{made.inside()}.groupby({made.element}, observed=True).apply(lambda d: {row}).reset_index()", "frame")


@maker("n", takes="")
def _count_of_rows(t: Translator, node: Node, scope: Scope) -> Code:
    rows = scope.find(".")
    if node.args or rows is None or rows.kind != "frame":
        raise t.refuse(node, "n() outside of a table")
    return Code(f"len({rows.text})", "number")


@maker("n_distinct", takes="")
def _distinct_values(t: Translator, node: Node, scope: Scope) -> Code:
    made = t.expression(node.args[0].value, scope) if node.args and node.args[0].value is not None else None
    if made is None or made.kind != "series":
        raise t.refuse(node, "n_distinct() of something that is no column")
    return Code(f"{made.inside()}.nunique()", "number")


@maker("arrange", takes=None)
def _arrange(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
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
    made, rest = _plain(t, node, scope)
    minus = [one for one in rest if one.value is not None and one.value.kind == "unary" and one.value.text == "-"]
    if minus and len(minus) == len(rest):
        names = _names(t, node, [Argument(None, one.value.parts[0]) for one in minus if one.value is not None])
        return Code(f"{made.inside()}.drop(columns={_listed(names)})", _kind(made))
    renamed = {one.name: one.value.text for one in rest if one.name is not None and one.value is not None}
    names = _names(t, node, [Argument(None, one.value) for one in rest])
    text = f"{made.inside()}[{_listed(names)}]"
    if renamed:
        inside = ", ".join(f"{quoted(old)}: {quoted(str(new))}" for new, old in renamed.items())
        text += ".rename(columns={" + inside + "})"
    return Code(text, _kind(made))


@maker("rename", takes=None)
def _rename(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
    inside = []
    for one in rest:
        if one.name is None or one.value is None or one.value.kind not in ("name", "string"):
            raise t.refuse(node, "rename() of this kind")
        inside.append(f"{quoted(one.value.text)}: {quoted(one.name)}")
    return Code(f"{made.inside()}.rename(columns={{{', '.join(inside)}}})", _kind(made))


@maker("slice", "slice_head", takes=None)
def _slice(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
    if len(rest) != 1 or rest[0].value is None:
        raise t.refuse(node, f"{node.text}() of this kind")
    rows = t.expression(rest[0].value, scope)
    if node.text == "slice_head" or rest[0].name == "n":
        return Code(f"{made.inside()}.head({rows.text})", _kind(made))
    if rows.kind == "range" and rows.text.startswith("range(1, "):
        last = rows.text.removeprefix("range(1, ").removesuffix(")")
        return Code(f"{made.inside()}.head({int(last) - 1 if last.isdigit() else last + ' - 1'})", _kind(made))
    raise t.refuse(node, "slice() of rows other than the first")


@maker("slice_max", "slice_min", takes=None)
def _extreme(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
    count = next((one.value for one in rest if one.name == "n"), None)
    names = _names(t, node, [one for one in rest if one.name in (None, "order_by")][:1])
    if count is None or len(rest) != 2:
        raise t.refuse(node, f"{node.text}() of this kind")
    method = "nlargest" if node.text == "slice_max" else "nsmallest"
    text = f"{made.inside()}.{method}({t.expression(count, scope).text}, {quoted(names[0])})"
    return Code(f"{text}.reset_index(drop=True)", _kind(made))


@maker("pull", takes="var")
def _pull(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
    (name,) = _names(t, node, rest[:1]) or [""]
    return Code(f"{made.inside()}[{quoted(name)}]", "series", True, "column")


@maker("count", takes=None)
def _count(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
    names = _names(t, node, rest)
    if not names:
        raise t.refuse(node, "count() of nothing")
    return Code(f'{made.inside()}.groupby({_listed(names)}, observed=True).size().reset_index(name="n")', "frame")


@maker("left_join", "inner_join", takes=None)
def _join(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
    other = next((one.value for one in rest if one.name in (None, "y")), None)
    by = next((one.value for one in rest if one.name == "by"), None)
    if other is None or by is None:
        raise t.refuse(node, f"{node.text}() without by")
    table, key = t.expression(other, scope), t.expression(by, scope)
    if table.kind not in ("frame", "data") or key.kind not in ("string", "strings"):
        raise t.refuse(node, f"{node.text}() of this kind")
    t.needs("pd")
    how = node.text.removesuffix("_join")
    kind = "data" if "data" in (made.kind, table.kind) else "frame"
    return Code(f"pd.merge({made.text}, {table.text}, on={key.text}, how={quoted(how)})", kind)


@maker("rownames_to_column", takes="var .data")
def _row_names(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = _plain(t, node, scope)
    name = rest[0].value.text if rest and rest[0].value is not None else "rowname"
    return Code(f"{made.inside()}.rename_axis({quoted(name)}).reset_index()", "frame")


@maker("bind_rows", takes=None)
def _bind_rows(t: Translator, node: Node, scope: Scope) -> Code:
    made = [t.expression(one.value, scope) for one in node.args if one.value is not None and one.name is None]
    t.needs("pd")
    if len(made) == 1 and len(node.args) == 1 and made[0].kind == "list" and made[0].element.startswith("frame"):
        return Code(f"pd.concat({made[0].text}, ignore_index=True)", "frame")
    if len(made) == len(node.args) and all(one.kind == "frame" for one in made):
        return Code(f"pd.concat([{', '.join(one.text for one in made)}], ignore_index=True)", "frame")
    raise t.refuse(node, "bind_rows() of this kind")


@maker("tibble", "data_frame", takes=None)
def _tibble(t: Translator, node: Node, scope: Scope) -> Code:
    call = Node("call", "data.frame", node.parts, node.args, node.start, node.end, node.line)
    return t.expression_of_call(call, scope)
