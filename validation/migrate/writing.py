"""R's words for files: tables and objects that a script writes, folders that it makes, what it reads back."""

from validation.migrate.code import Code, Scope, matched, quoted
from validation.migrate.makers import maker, values_of
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Translator

__all__: list[str] = []

#: What each writes between the columns.
_BETWEEN = {"write.csv": ",", "write_csv": ",", "fwrite": ",", "write.csv2": ";", "write.table": " "}
_HOW = "quote na dec fileEncoding eol qmethod append col.names showProgress progress"


@maker(*_BETWEEN, takes="x file path row.names sep", unneeded=_HOW)
def _table(t: Translator, node: Node, scope: Scope) -> Code:
    """A table as a text file; R numbers the rows unless it is told not to."""
    given = matched(node.args, ("x", "file", "path", "row.names", "sep"))
    value, file = given.get("x"), given.get("file") or given.get("path")
    made = t.expression(value, scope) if value is not None else None
    if made is None or made.kind not in ("frame", "data", "table", "series"):
        raise t.refuse(node, f"{node.text}() of something that is no table")
    rows = given.get("row.names")
    between = given.get("sep")
    if (rows is not None and rows.kind != "constant") or (between is not None and between.kind != "string"):
        raise t.refuse(node, f"{node.text}() with arguments that are computed")
    own = node.text in ("write_csv", "fwrite") or (rows is not None and rows.text in ("FALSE", "F"))
    sep = between.text if between is not None else _BETWEEN[node.text]
    options = [t.expression(file, scope).text] if file is not None and file.kind != "constant" else []
    options += [f"sep={quoted(sep)}"] if sep != "," else []
    options += ['decimal=","'] if node.text == "write.csv2" else []
    options += ["index=False"] if own else []
    text = f"{made.inside()}.to_csv({', '.join(options)})"
    return Code(text if file is not None else f"print({text})", "none")


@maker("saveRDS", "write_rds", takes="object x file path", unneeded="compress version")
def _object(t: Translator, node: Node, scope: Scope) -> Code:
    """An object, in Python's own format, under the name that R gives it."""
    values = [one.value for one in node.args if one.value is not None and one.name not in ("compress", "version")]
    if len(values) != 2:
        raise t.refuse(node, f"{node.text}() without a file")
    made, file = t.expression(values[0], scope), t.expression(values[1], scope).text
    if made.kind in ("function", "formula"):
        raise t.refuse(node, f"{node.text}() of something that is no value")
    t.saved[file] = made
    return Code(f"pd.to_pickle({made.text}, {file})", "none")


@maker("readRDS", "read_rds", takes="file path")
def _read_back(t: Translator, node: Node, scope: Scope) -> Code:
    values = values_of(node) or [one.value for one in node.args if one.value is not None]
    file = t.expression(values[0], scope).text if values else ""
    made = t.saved.get(file)
    if made is None:
        raise t.refuse(node, "a file that the script did not write")
    return Code(f"pd.read_pickle({file})", made.kind, True, made.element)


@maker("save", takes="file list", unneeded="compress version ascii envir")
def _bundle(t: Translator, node: Node, scope: Scope) -> Code:
    """``save(a, b, file = "x.RData")``; what :func:`load` gives back."""
    file = next((one.value for one in node.args if one.name == "file"), None)
    names = values_of(node)
    if file is None or not names or any(one.kind not in ("name", "string") for one in names):
        raise t.refuse(node, "save() of this kind")
    kept = {one.text: t.expression(Node("name", one.text, start=one.start, end=one.end), scope) for one in names}
    if any(not code.text.isidentifier() for code in kept.values()):
        raise t.refuse(node, "save() of something that is no variable of Python's")
    place = t.expression(file, scope).text
    t.bundles[place] = kept
    inside = ", ".join(f"{quoted(name)}: {code.text}" for name, code in kept.items())
    return Code(f"pd.to_pickle({{{inside}}}, {place})", "none")


@maker("dir.create", takes="path recursive", unneeded="showWarnings mode")
def _folder(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("path", "recursive"))
    path = given.get("path")
    if path is None:
        raise t.refuse(node, "dir.create() of nothing")
    parents = given.get("recursive") is not None
    return Code(
        f"Path({t.expression(path, scope).text}).mkdir({'parents=True, ' if parents else ''}exist_ok=True)", "none"
    )


@maker("dir.exists", "file.exists", takes="")
def _is_there(t: Translator, node: Node, scope: Scope) -> Code:
    made = t.expression(values_of(node)[0], scope) if values_of(node) else None
    if made is None or made.kind not in ("string", "any"):
        raise t.refuse(node, f"{node.text}() of several files")
    return Code(f"Path({made.text}).{'is_dir' if node.text == 'dir.exists' else 'exists'}()", "number")


@maker("file.path", takes="")
def _joined(t: Translator, node: Node, scope: Scope) -> Code:
    slash = Argument("sep", Node("string", "/"))
    return t.expression_of_call(
        Node("call", "paste", node.parts, [*node.args, slash], node.start, node.end, node.line), scope
    )


_TABLES = ("kable", "kbl", "glimpse", "datatable", "pander", "xtable", "gt", "flextable")


@maker(*_TABLES, takes=None)
def _shown(t: Translator, node: Node, scope: Scope) -> Code:
    """A table for a page: it is printed."""
    first = values_of(node)[0] if values_of(node) else next((a.value for a in node.args if a.name == "x"), None)
    made = t.expression(first, scope) if first is not None else None
    if made is None or made.kind not in ("frame", "data", "table", "series"):
        raise t.refuse(node, f"{node.text}() of something that is no table")
    more = ", ".join(t.source(a.value) for a in node.args if a.value is not None and a.value is not first)
    if more:
        t.noted.append(f"{more} (of {node.text}(): how it is printed)")
    return Code(f"print({made.text})", "none")
