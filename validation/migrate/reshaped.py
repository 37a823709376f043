"""R's words for tables that are made wider or longer: ``reshape``, tidyr's and data.table's."""

from validation.migrate.code import Code, Scope, matched, quoted
from validation.migrate.dplyr import chosen, plain_table
from validation.migrate.makers import maker
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Translator

__all__: list[str] = []


def _name(node: "Node | None") -> str:
    """A column's name, as a name or a text."""
    return node.text if node is not None and node.kind in ("name", "string") else ""


def _names(node: "Node | None") -> list[str]:
    if node is not None and node.kind == "call" and node.text in ("c", ".", "list"):
        inside = [_name(one.value) for one in node.args]
        return inside if all(inside) else []
    return [_name(node)] if _name(node) else []


def _wide(made: Code, ids: list[str], key: str, value: str, prefix: str, *, ordered: bool = False) -> Code:
    """A column of values for each value of the key; rows and columns as they first stand, or sorted."""
    index = quoted(ids[0]) if len(ids) == 1 else "[" + ", ".join(quoted(one) for one in ids) + "]"
    text = f"{made.inside()}.pivot_table({quoted(value)}, {index}, {quoted(key)}, aggfunc="
    text += f'"first", {"" if ordered else "sort=False, "}observed=True)'
    text += f".add_prefix({quoted(prefix)})" if prefix else ""
    return Code(f"{text}.rename_axis(columns=None).reset_index()", "frame")


def _rest(t: Translator, node: Node, made: Code, taken: list[str]) -> list[str]:
    """The columns that neither the key nor the values are, where it is known which there are."""
    columns = [one for one in t.columns.get(made.text, []) if one not in taken]
    if not columns:
        raise t.refuse(node, f"{node.text}() of a table whose columns are not known, without naming those that stay")
    return columns


@maker("reshape", takes=None)
def _reshape(t: Translator, node: Node, scope: Scope) -> Code:
    """``direction = "wide"`` of one column."""
    given = matched(node.args, ("data", "varying", "v.names", "timevar", "idvar", "direction", "sep"))
    data, direction = given.get("data"), given.get("direction")
    made = t.expression(data, scope) if data is not None else None
    if made is None or made.kind not in ("frame", "data") or _name(direction) != "wide":
        raise t.refuse(node, "reshape() of this kind")
    ids, key, value = _names(given.get("idvar")), _name(given.get("timevar")), _names(given.get("v.names"))
    if given.get("v.names") is None:
        value = [one for one in t.columns.get(made.text, []) if one not in {*ids, key}]
    if (
        not ids
        or not key
        or len(value) != 1
        or set(given) - {"data", "direction", "timevar", "idvar", "v.names", "sep"}
    ):
        raise t.refuse(node, "reshape() of several columns, or of some that are not known")
    sep = given.get("sep")
    return _wide(made, ids, key, value[0], value[0] + (sep.text if sep is not None else "."))


@maker("pivot_wider", "spread", takes=None)
def _wider(t: Translator, node: Node, scope: Scope) -> Code:
    made, rest = plain_table(t, node, scope)
    formals = ("key", "value") if node.text == "spread" else ("id_cols", "names_from", "values_from", "names_prefix")
    if node.text == "pivot_wider" and any(one.name is None for one in rest):
        raise t.refuse(node, "pivot_wider() without its arguments' names")
    given = matched(rest, formals)
    key = _name(given.get("key") or given.get("names_from"))
    value = _name(given.get("value") or given.get("values_from"))
    prefix = _name(given.get("names_prefix"))
    if not key or not value or set(given) - set(formals):
        raise t.refuse(node, f"{node.text}() of this kind")
    ids = _names(given.get("id_cols")) or _rest(t, node, made, [key, value])
    return _wide(made, ids, key, value, prefix)


@maker("dcast", takes=None)
def _cast(t: Translator, node: Node, scope: Scope) -> Code:
    """``dcast(d, a + b ~ key, value.var = "y")``."""
    given = matched(node.args, ("data", "formula", "value.var"))
    data, formula, value = given.get("data"), given.get("formula"), _name(given.get("value.var"))
    made = t.expression(data, scope) if data is not None else None
    if made is None or formula is None or formula.kind != "binary" or not value or len(given) > 3:
        raise t.refuse(node, "dcast() of this kind")
    ids, waiting = [], [formula.parts[0]]
    while waiting:
        one = waiting.pop()
        waiting += reversed(one.parts) if one.kind == "binary" and one.text == "+" else []
        ids += [one.text] if one.kind == "name" else []
    key = _name(formula.parts[1])
    if made.kind not in ("frame", "data") or not ids or not key:
        raise t.refuse(node, "dcast() of this kind")
    return _wide(made, ids, key, value, "", ordered=True)


@maker("pivot_longer", "gather", takes=None)
def _longer(t: Translator, node: Node, scope: Scope) -> Code:
    """R goes through the rows first, pandas through the columns."""
    made, rest = plain_table(t, node, scope)
    if node.text == "gather":
        names, value, *columns = [one for one in rest if one.name is None] or [Argument(None, None)] * 2
        given = {"names_to": names.value, "values_to": value.value}
        asked = columns[0].value if len(columns) == 1 else None
    else:
        given = matched(rest, ("cols", "names_to", "values_to"))
        asked = given.pop("cols", None)
    if asked is None or set(given) - {"names_to", "values_to"}:
        raise t.refuse(node, f"{node.text}() of this kind")
    name, value_name = _name(given.get("names_to")) or "name", _name(given.get("values_to")) or "value"
    columns_text = chosen(t, node, asked, "d", scope)
    melted = (
        f"{made.inside()}.pipe(lambda d: d.melt([one for one in d if one not in {columns_text}], "
        f"var_name={quoted(name)}, value_name={quoted(value_name)}, ignore_index=False))"
    )
    order = "" if node.text == "gather" else '.sort_index(kind="stable")'
    return Code(f"{melted}{order}.reset_index(drop=True)", "frame")


@maker("melt", takes=None)
def _melted(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("data", "id.vars", "measure.vars", "variable.name", "value.name"))
    data = given.get("data")
    made = t.expression(data, scope) if data is not None else None
    ids = _names(given.get("id.vars"))
    if made is None or made.kind not in ("frame", "data") or not ids or "measure.vars" in given:
        raise t.refuse(node, "melt() of this kind")
    name, value = _name(given.get("variable.name")) or "variable", _name(given.get("value.name")) or "value"
    listed = ", ".join(quoted(one) for one in ids)
    return Code(f"{made.inside()}.melt([{listed}], var_name={quoted(name)}, value_name={quoted(value)})", "frame")
