"""data.table's ``x[i, j, by]``, by dplyr's verbs: which rows, what is computed, in which groups."""

from validation.migrate.code import Code, Scope, quoted
from validation.migrate.makers import maker
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Translator

__all__: list[str] = []

#: Marks a table that is one of data.table's.
_ELEMENT = "data.table"
_NONE = Code("", "no data.table")


def _verb(name: str, of: Node, more: list[Argument], node: Node) -> Node:
    function = Node("name", name, start=node.start, end=node.end, line=node.line)
    return Node("call", name, [function], [Argument(None, of), *more], node.start, node.end, node.line)


def _counted(node: Node) -> Node:
    """``.N`` as ``n()``, wherever it stands."""
    if node.kind == "name" and node.text == ".N":
        return Node("call", "n", [Node("name", "n")], [], node.start, node.end, node.line)
    parts = [_counted(one) for one in node.parts]
    args = [Argument(one.name, _counted(one.value) if one.value is not None else None) for one in node.args]
    return Node(node.kind, node.text, parts, args, node.start, node.end, node.line)


def _groups(by: Node | None) -> list[Argument]:
    if by is None:
        return []
    if by.kind == "string":  # by = "a,b"
        return [Argument(None, Node("name", one.strip())) for one in by.text.split(",")]
    return by.args if by.kind == "call" and by.text in (".", "c", "list") else [Argument(None, by)]


@maker("of a data.table", takes=None)
def _data_table(t: Translator, node: Node, scope: Scope) -> Code:
    """An index into a table, where it is one of data.table's: by its arguments, or by what the table is."""
    given = {one.name: one.value for one in node.args if one.name in ("by", "keyby")}
    places = [one.value for one in node.args if one.name is None]
    i, j = (*places, None, None)[:2]
    listed = j is not None and j.kind == "call" and j.text in (".", "list")
    own = scope.names["\0table"]
    listed = listed or (j is not None and any(one.kind == "name" and one.text in (".N", ".SD") for one in j.walk()))
    if not (given or listed or own.element == _ELEMENT or (j is not None and j.kind == "assign" and j.text == ":=")):
        return _NONE
    if len(places) > 2 or set(given) == {"by", "keyby"} or any(one.name in (".SDcols", "on") for one in node.args):
        raise t.refuse(node, "an index of data.table's of this kind")
    table: Node = Node("name", "\0table", start=node.start, end=node.end, line=node.line)
    if i is not None and i.kind == "call" and i.text == "order":
        keys = [
            Argument(None, _verb("desc", one.value.parts[0], [], node) if one.value.kind == "unary" else one.value)
            for one in i.args
            if one.value is not None
        ]
        table = _verb("arrange", table, keys, node)
    elif i is not None and i.kind == "binary" and i.text == ":":
        table = _verb("slice", table, [Argument(None, i)], node)
    elif i is not None:
        table = _verb("filter", table, [Argument(None, i)], node)
    by = given.get("by") or given.get("keyby")
    made = t.expression_of_call(table, scope) if table.kind == "call" else own
    if j is None:
        return Code(made.text, made.kind, made.atom, _ELEMENT)
    computed = _computed(t, node, made, _counted(j), _groups(by), scope)
    if "by" in given:  # groups in the order in which they first stand; keyby sorts them
        head, found, tail = computed.text.rpartition(", observed=True).apply(")
        text = f"{head}, observed=True, sort=False).apply({tail}" if found else computed.text
        return Code(text, computed.kind, computed.atom, computed.element)
    return computed


def _computed(t: Translator, node: Node, made: Code, j: Node, groups: list[Argument], scope: Scope) -> Code:
    """What stands after the first comma."""
    inner = Scope({"\0rows": made}, scope)
    table: Node = Node("name", "\0rows", start=node.start, end=node.end, line=node.line)
    grouped = _verb("group_by", table, groups, node) if groups else table
    if j.kind == "assign":
        name = j.parts[0]
        if j.text != ":=" or name.kind not in ("name", "string"):
            raise t.refuse(node, "an assignment of data.table's of this kind")
        added = t.expression_of_call(_verb("mutate", grouped, [Argument(name.text, j.parts[1])], node), inner)
        return Code(added.text, made.kind, added.atom, _ELEMENT)
    if j.kind == "call" and j.text in (".", "list"):
        names = all(one.value is not None and one.value.kind == "name" for one in j.args)
        parts = [Argument(one.name or (one.value.text if one.value is not None else None), one.value) for one in j.args]
        if names and not groups:
            chosen = t.expression_of_call(
                _verb("select", table, [Argument(None, one.value) for one in parts], node), inner
            )
            return Code(chosen.text, chosen.kind, chosen.atom, _ELEMENT)
        if any(one.name is None for one in j.args) and not names:
            raise t.refuse(node, "columns of data.table's without names")
        table_of = t.expression_of_call(_verb("summarise", grouped, parts, node), inner)
        return Code(table_of.text, "frame", table_of.atom, _ELEMENT)
    if groups:
        raise t.refuse(node, "a column of data.table's without a name")
    if j.kind == "name":
        return Code(f"{made.inside()}[{quoted(j.text)}]", "series", True, "column")
    if j.kind == "call" and j.text == "n":
        return Code(f"len({made.text})", "number")
    return t.expression(j, t.among_columns(made, j, scope))


@maker("as.data.table", "setDT", takes="x")
def _as_data_table(t: Translator, node: Node, scope: Scope) -> Code:
    call = Node("call", "as.data.frame", node.parts, node.args, node.start, node.end, node.line)
    made = t.expression_of_call(call, scope)
    return Code(made.text, made.kind, made.atom, _ELEMENT)


@maker("data.table", takes=None)
def _new(t: Translator, node: Node, scope: Scope) -> Code:
    call = Node("call", "data.frame", node.parts, node.args, node.start, node.end, node.line)
    made = t.expression_of_call(call, scope)
    return Code(made.text, made.kind, made.atom, _ELEMENT)


@maker("rbindlist", takes="l idcol")
def _bound(t: Translator, node: Node, scope: Scope) -> Code:
    """Tables below each other; with ``idcol`` a column of the list's names."""
    values = [one.value for one in node.args if one.value is not None]
    made = t.expression(values[0], scope)
    if made.kind not in ("list", "dict") or not made.element.startswith("frame"):
        raise t.refuse(node, "rbindlist() of something that is no list of tables")
    label = next((one.value for one in node.args if one.name == "idcol"), None)
    if label is None or made.kind != "dict":
        listed = made.text if made.kind == "list" else f"{made.inside()}.values()"
        return Code(f"pd.concat({listed}, ignore_index=True)", "frame", True, _ELEMENT)
    if label.kind != "string":
        raise t.refuse(node, "rbindlist() with an idcol that is computed")
    text = f"pd.concat({made.text}, names=[{quoted(label.text)}]).reset_index(level=0).reset_index(drop=True)"
    return Code(text, "frame", True, _ELEMENT)
