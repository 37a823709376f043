"""R's loops that are functions: ``lapply`` and its kin, ``Map``, ``by``, ``split``, purrr's ``map``."""

from dataclasses import dataclass

from validation.migrate.code import Code, Scope, element_of, nested, python_name, quoted, unmarked
from validation.migrate.makers import maker
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Translator, call_of, is_several, unwrapped

__all__: list[str] = []

_MAPS = {"map": "", "map_dbl": "number", "map_chr": "string", "map_int": "number", "map_lgl": "number", "map_dfr": ""}
#: What each gives: a list always, or a vector where it can.
_LISTS = {"lapply", "map", "Map", "by", "split"}


@dataclass(frozen=True)
class _Over:
    """What a function is applied over: Python that goes through it, its elements, and their names if it has some."""

    items: str
    element: str
    named: str  # Python that goes through the names


def _gone_through(t: Translator, node: Node, made: Code) -> _Over:
    """How Python goes through something of R's."""
    text, again = made.inside(), unmarked(made.inside())
    if made.kind in ("dict", "frames"):
        return _Over(f"{text}.values()", "frame" if made.kind == "frames" else made.element, again)
    if made.kind == "table":  # VarCorr(m): a matrix for each factor
        groups = f"{again}.grp.drop_duplicates()[:-1]"
        return _Over(f"({text}[group] for group in {groups})", "frame", groups)
    if made.kind in ("frame", "data"):
        return _Over(f"({text}[name] for name in {text})", "series<column", again)
    if made.kind == "series":
        texts = made.element == "column" and t.type_of(made) == "character"
        named = f"{again}.index" if made.element != "column" else again if texts else ""  # texts are their own names
        return _Over(text, "string" if texts else "number", named)
    if made.kind == "strings":
        return _Over(made.text, "string", unmarked(made.text))
    if made.kind in ("list", "vector", "range"):
        return _Over(made.text, "number" if made.kind == "range" else made.element, "")
    raise t.refuse(node, "an apply over something that is no list")


def _body_of(t: Translator, function: Node, values: list[tuple[str, Code]], more: list[Argument], scope: Scope) -> Code:
    """What a function gives for some values, called by the names of Python's variables."""
    if function.kind == "unary" and function.text == "~":  # purrr's ~ f(.x)
        inner = Scope(dict(zip((".x", ".y"), (c for _, c in values), strict=False)), scope)
        if len(values) == 1:
            inner.names["."] = values[0][1]
        return t.expression(function.parts[0], inner)
    if function.kind == "function":
        formals = [one.name or "x" for one in function.args]
        if len(formals) < len(values):
            raise t.refuse(function, "a function of fewer arguments than it gets")
        extra = {one.name: one.value for one in more if one.name and one.value is not None}
        kinds = {formal: code for formal, (_, code) in zip(formals, values, strict=False)}
        if not is_several(function.parts[0]) and not extra and len(formals) == len(values):
            body = unwrapped(function.parts[0])
            if body.kind == "call" and body.text == "return" and body.args and body.args[0].value is not None:
                body = body.args[0].value
            inner = t.parameters(function, scope, kinds)
            inner.names.update(kinds)
            return t.expression(body, inner)
        if t.define is None:
            raise t.refuse(function, "a function of several statements")
        name, kind = t.define(
            function, scope, {formal: Code("", c.kind, True, c.element) for formal, c in kinds.items()}
        )
        given = [code.text for _, code in values]
        given += [f"{python_name(key)}={t.expression(value, scope).text}" for key, value in extra.items()]
        return element_of(f"{name}({', '.join(given)})", kind)
    inner = Scope({f"\0{k}": code for k, (_, code) in enumerate(values)}, scope)
    call = call_of(function, [Node("name", f"\0{k}") for k in range(len(values))], more)
    return t.expression_of_call(call, inner) if call.kind == "call" else t.expression(call, inner)


def _variable(function: Node, k: int, taken: "set[str]") -> str:
    """The loop's variable: what R calls the argument."""
    name = "xyzuvw"[k]
    if function.kind == "function" and k < len(function.args):
        name = python_name(function.args[k].name or name)
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _loop(t: Translator, node: Node, over: list[Code], function: Node, more: list[Argument], scope: Scope) -> Code:
    """A comprehension over one thing, or several side by side."""
    if len(over) == 1 and over[0].kind in ("frame", "data", "table") and over[0].atom:
        # columns under their names; of VarCorr(m) each factor's matrix. A watched call is watched where it comes first
        of_factors = over[0].kind == "table"
        variable = "group" if of_factors else "name"
        kind = Code("", "frame") if of_factors else Code("", "series", True, "column")
        part = Code(f"{unmarked(over[0].text)}[{variable}]", kind.kind, True, kind.element)
        made = _body_of(t, function, [("", part)], more, scope)
        through = f"{over[0].text}{'.grp.drop_duplicates()[:-1]' if of_factors else ''}"
        return Code("{" + f"{variable}: {made.text} for {variable} in {through}" + "}", "dict", True, nested(made))
    ways = [_gone_through(t, node, one) for one in over]
    taken = {"name"} if over[0].kind in ("dict", "frames") else set()
    values: list[tuple[str, Code]] = []
    for k, way in enumerate(ways):
        variable = _variable(function, k, taken)
        values.append((variable, element_of(variable, way.element)))
    made = _body_of(t, function, values, more, scope)
    variables = ", ".join(name for name, _ in values)
    first = ways[0]
    named = first.named and not (node.text in ("lapply", "map", "by") and over[0].kind == "strings")
    named = named and not (node.text == "vapply" and over[0].kind == "strings" and made.kind == "string")
    of_texts = over[0].kind == "series" and first.element == "string"
    named = named and not (of_texts and node.text in ("lapply", "map", "by"))
    if not named:
        through = first.items if len(ways) == 1 else f"zip({', '.join(way.items for way in ways)})"
        return Code(f"[{made.text} for {variables} in {through}]", "list", True, nested(made))
    if len(ways) == 1 and over[0].kind == "strings":
        return Code(
            "{" + f"{variables}: {made.text} for {variables} in {first.items}" + "}", "dict", True, nested(made)
        )
    if len(ways) == 1 and over[0].kind in ("dict", "frames"):
        inside = f"name: {made.text} for name, {variables} in {over[0].inside()}.items()"
        return Code("{" + inside + "}", "dict", True, nested(made))
    through = f"zip({', '.join([first.named, *(way.items for way in ways)])})"
    return Code("{" + f"name: {made.text} for name, {variables} in {through}" + "}", "dict", True, nested(made))


def _simplified(t: Translator, node: Node, made: Code) -> Code:
    """What ``sapply`` makes of a list: a vector of numbers, a matrix of vectors with names."""
    inner = element_of("", made.element)
    if node.text in _LISTS:
        return made
    table = inner.kind == "series" or (inner.kind == "dict" and inner.element == "number")
    if made.kind == "dict" and table:
        return Code(f"pd.DataFrame({made.text})", "frame")
    if node.text == "map_dfr" and inner.kind == "frame" and made.kind == "list":
        return Code(f"pd.concat({made.text}, ignore_index=True)", "frame")
    if made.kind == "list" and inner.kind in ("number", "any"):
        return Code(made.text, "vector", True, made.element)
    if made.kind == "list" and inner.kind == "string":
        return Code(made.text, "strings", True, "string")
    return made


def _kind_of(like: Node) -> str:
    """What ``vapply`` is told that it gets: ``numeric(1)``, ``0``, ``""``."""
    if like.kind in ("number", "string"):
        return like.kind
    single = (
        like.kind == "call"
        and len(like.args) == 1
        and like.args[0].value is not None
        and like.args[0].value.text in ("1", "1L")
    )
    return (
        {"numeric": "number", "double": "number", "integer": "number", "logical": "number", "character": "string"}.get(
            like.text, ""
        )
        if single
        else ""
    )


@maker("mclapply", "future_map", "future_lapply", takes=None)
def _in_parallel(t: Translator, node: Node, scope: Scope) -> Code:
    """In several processes as in one: the result is the same."""
    kept = [one for one in node.args if not (one.name or "").startswith(("mc.", "future.", ".options", ".progress"))]
    name = "map" if node.text == "future_map" else "lapply"
    return _apply(t, Node("call", name, node.parts, kept, node.start, node.end, node.line), scope)


@maker("lapply", "sapply", "vapply", *_MAPS, takes=None)
def _apply(t: Translator, node: Node, scope: Scope) -> Code:
    own = {"X", "FUN", "FUN.VALUE", ".x", ".f", ".id"}
    unnamed = [a.value for a in node.args if a.value is not None and a.name is None]
    named = {a.name: a.value for a in node.args if a.value is not None and a.name in own}
    over = named.get("X") or named.get(".x") or (unnamed.pop(0) if unnamed else None)
    function = named.get("FUN") or named.get(".f") or (unnamed.pop(0) if unnamed else None)
    if over is None or function is None or any(a.name in ("simplify", "USE.NAMES") for a in node.args):
        raise t.refuse(node, "an apply of this kind")
    like = named.get("FUN.VALUE") or (unnamed[0] if node.text == "vapply" and unnamed else None)
    if node.text == "vapply" and "FUN.VALUE" not in named:
        unnamed = unnamed[1:]
    more = [a for a in node.args if a.name not in own and (a.name is not None or any(a.value is v for v in unnamed))]
    made = _loop(t, node, [t.expression(over, scope)], function, more, scope)
    known = _MAPS.get(node.text, "") or (_kind_of(like) if like is not None else "")
    if known and made.kind in ("dict", "list"):
        made = Code(made.text, made.kind, made.atom, known)
    label = named.get(".id")
    if label is not None:
        if made.kind != "dict" or not made.element.startswith("frame") or label.kind != "string":
            raise t.refuse(node, "an apply of this kind")
        bound = f"pd.concat({made.text}, names=[{quoted(label.text)}]).reset_index(level=0).reset_index(drop=True)"
        return Code(bound, "frame")
    return _simplified(t, node, made)


@maker("Map", "mapply", "map2", "map2_dbl", takes=None)
def _side_by_side(t: Translator, node: Node, scope: Scope) -> Code:
    values = [a.value for a in node.args if a.value is not None and a.name in (None, "f", "FUN", ".f", ".x", ".y")]
    if node.text.startswith("map2"):
        values = [values[-1], *values[:-1]]
    if len(values) < 2 or any(a.name in ("MoreArgs", "SIMPLIFY", "USE.NAMES") for a in node.args):
        raise t.refuse(node, f"{node.text}() of this kind")
    function = next((a.value for a in node.args if a.name in ("f", "FUN", ".f") and a.value is not None), values[0])
    over = [t.expression(value, scope) for value in values if value is not function]
    made = _loop(t, node, over, function, [], scope)
    return made if node.text in ("Map", "map2") else _simplified(t, node, made)


@maker("split", takes="x f")
def _split(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    if len(values) == 2 and values[1].kind == "unary" and values[1].text == "~" and values[1].parts[0].kind == "name":
        data = t.expression(values[0], scope)  # split(d, ~ g)
        if data.kind in ("data", "frame"):
            grouped = f"{data.inside()}.groupby({quoted(values[1].parts[0].text)}, observed=True)"
            return Code(f"dict(list({grouped}))", "dict", True, data.kind)
    data, by = (t.expression(value, scope) for value in values[:2])
    if data.kind not in ("data", "frame", "series") or by.kind not in ("series", "vector"):
        raise t.refuse(node, "split() of this kind")
    element = "series<column" if data.kind == "series" else data.kind
    grouped = f"dict(list({data.inside()}.groupby({by.text}, observed=True)))"
    return Code(grouped, "dict", True, element)


@maker("by", takes="data INDICES FUN")
def _by(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    if len(values) != 3:
        raise t.refuse(node, "by() of this kind")
    parts = _split(t, Node("call", "split", node.parts, node.args[:2], node.start, node.end, node.line), scope)
    return _loop(t, node, [parts], values[2], [], scope)


@maker("Filter", takes="f x")
def _filtered(t: Translator, node: Node, scope: Scope) -> Code:
    function, over = (argument.value for argument in node.args[:2])
    if function is None or over is None:
        raise t.refuse(node, "Filter() of this kind")
    made = t.expression(over, scope)
    if made.kind not in ("list", "dict", "vector", "strings"):
        raise t.refuse(node, "Filter() over something that is no list")
    variable = _variable(function, 0, set())
    test = _body_of(t, function, [(variable, element_of(variable, made.element))], [], scope)
    if made.kind == "dict":
        inside = f"name: {variable} for name, {variable} in {made.inside()}.items() if {test.text}"
        return Code("{" + inside + "}", "dict", True, made.element)
    return Code(f"[{variable} for {variable} in {made.text} if {test.text}]", made.kind, True, made.element)


@maker("imap", "imap_chr", "imap_dbl", takes=None)
def _with_names(t: Translator, node: Node, scope: Scope) -> Code:
    """Purrr's ``imap(x, ~ f(.x, .y))``: ``.y`` is the name."""
    values = [argument.value for argument in node.args if argument.value is not None]
    made = t.expression(values[0], scope)
    if len(values) != 2 or made.kind != "dict":
        raise t.refuse(node, f"{node.text}() of something without names")
    result = _body_of(t, values[1], [("x", element_of("x", made.element)), ("name", Code("name", "string"))], [], scope)
    return Code("{" + f"name: {result.text} for name, x in {made.inside()}.items()" + "}", "dict", True, nested(result))
