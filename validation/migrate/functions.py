"""R's functions of vectors, tables, names and the session, one by one: what stands for each in Python."""

import keyword
import re

from validation.migrate.code import LABELLED, Code, Scope, matched, nested, quoted, unmarked
from validation.migrate.makers import maker, numbers, only, values_of
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Translator

__all__: list[str] = []


def _common(parts: list[Code]) -> str:
    """What all the elements of a list are."""
    whole, kinds = {nested(part) for part in parts}, {part.kind for part in parts}
    return whole.pop() if len(whole) == 1 else kinds.pop() if len(kinds) == 1 else "any"


def _label(value: Node | None) -> str | None:
    """The name that an element keeps in ``c(x["a"], b)``."""
    if value is None or value.kind != "index" or value.text != "[" or len(value.args) != 1:
        return None
    key = value.args[0].value
    return key.text if key is not None and key.kind == "string" else None


def _array(t: Translator, made: Code) -> str:
    if made.kind == "series":
        return made.inside()
    return f"np.asarray({made.text})"


@maker("c", takes=None)
def _combine(t: Translator, node: Node, scope: Scope) -> Code:
    parts = [t.expression(argument.value, scope) for argument in node.args if argument.value is not None]
    names = [argument.name or _label(argument.value) for argument in node.args]
    parts = [Code(part.text, "number", part.atom) if part.kind == "any" else part for part in parts]
    kinds = {part.kind for part in parts}
    listed = ", ".join(part.text for part in parts)
    if kinds <= {"strings", "string"} and "strings" in kinds and not any(names):
        spread = ", ".join(part.text if part.kind == "string" else f"*{part.inside()}" for part in parts)
        return Code(f"[{spread}]", "strings", True, "string")
    if kinds <= {"vector", "number", "range", "series"} and kinds - {"number"} and not any(names):
        spread = ", ".join(part.text if part.kind == "number" else f"*{part.inside()}" for part in parts)
        return Code(f"[{spread}]", "vector", True, "number")
    if names and all(names) and kinds <= {"number", "series", "vector"}:  # of one number each
        parts = [p if p.kind == "number" else Code(f"{_array(t, p)}.item()", "number") for p in parts]
        kinds, listed = {"number"}, ", ".join(part.text for part in parts)
    elif kinds <= {"number", "series", "vector"} and kinds != {"number"}:
        labelled = [
            f"pd.Series([{p.text}], index=[{quoted(str(n or ''))}])" if p.kind == "number" else f"pd.Series({p.text})"
            for n, p in zip(names, parts, strict=True)
        ]
        return Code(f"pd.concat([{', '.join(labelled)}])", "series")
    if kinds - {"number", "string", "formula", "fit"}:
        raise t.refuse(node, "c() of things that are not single values")
    if all(names) and names:
        if kinds == {"number"}:
            return Code(f"pd.Series([{listed}], index={names!r})", "series")
        inside = ", ".join(f"{quoted(str(n))}: {p.text}" for n, p in zip(names, parts, strict=True))
        return Code("{" + inside + "}", "dict", True, _common(parts))
    if kinds == {"number"}:
        return Code(f"[{listed}]", "vector", True, "number")
    return Code(f"[{listed}]", "strings" if kinds == {"string"} else "list", True, _common(parts))


@maker("list", takes=None)
def _list(t: Translator, node: Node, scope: Scope) -> Code:
    parts = [t.expression(argument.value, scope) for argument in node.args if argument.value is not None]
    names = [argument.name for argument in node.args]
    if {part.kind for part in parts} == {"string", "strings"}:  # in R a text is a vector of one
        parts = [part if part.kind == "strings" else Code(f"[{part.text}]", "strings") for part in parts]
    element = _common(parts)
    if names and all(names):
        inside = ", ".join(f"{quoted(str(n))}: {p.text}" for n, p in zip(names, parts, strict=True))
        return Code("{" + inside + "}", "dict", True, element)
    return Code("[" + ", ".join(part.text for part in parts) + "]", "list", True, element)


@maker("as.formula", "formula", takes="object x")
def _as_formula(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind == "fit":
        return Code(f"{made.inside()}.formula", "formula")
    return Code(made.text, "formula", made.atom)


_PRINTED = "digits correlation corr signif.stars comp row.names show.resids quote max right"


@maker(
    "print",
    "invisible",
    "suppressWarnings",
    "suppressMessages",
    "force",
    "identity",
    "I",
    takes="x expr",
    unneeded=_PRINTED,
)
def _itself(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if node.text == "print":
        return Code(f"print({made.text})", made.kind, True, made.element)
    return made


@maker("as.data.frame", "data.frame", takes=None)
def _as_frame(t: Translator, node: Node, scope: Scope) -> Code:
    if node.text == "data.frame" and not node.args:
        return Code("pd.DataFrame()", "frame")
    if node.text == "data.frame" and node.args and all(argument.name is None for argument in node.args):
        return _columns(t, node, scope)
    vectors = node.text == "data.frame" and node.args and node.args[0].name is None
    if vectors and node.args[0].value is not None and node.args[0].value.kind == "name":
        found = scope.find(node.args[0].value.text)
        vectors = found is not None and found.kind in ("vector", "strings", "list")
        if vectors:  # data.frame(a, b, c = 1): columns that are called as the variables are
            named = [
                Argument(a.name or (a.value.text if a.value and a.value.kind == "name" else None), a.value)
                for a in node.args
            ]
            node = Node(node.kind, node.text, node.parts, named, node.start, node.end, node.line)
    if node.text == "data.frame" and node.args and node.args[0].name is None:
        return _with_columns(t, node, scope)
    if node.text == "data.frame":
        inside, kinds = [], []
        for argument in node.args:
            if argument.name in ("stringsAsFactors", "check.names", "row.names"):
                continue
            if argument.name is None or argument.value is None:
                raise t.refuse(node, "data.frame() of unnamed columns")
            made = t.expression(argument.value, scope)
            kinds.append(made.kind)
            text = f"list({made.inside()}.values())" if made.kind == "dict" else made.text
            inside.append(f"{quoted(argument.name)}: {text}")
        single = set(kinds) <= {"number", "string", "any"}
        return Code("pd.DataFrame({" + ", ".join(inside) + "}" + (", index=[0]" if single else "") + ")", "frame")
    effects = _effects(t, node, scope)
    if effects is not None:
        return effects
    made = only(t, node, scope)
    if made.kind == "fit" and made.element == "stan_lmer":
        return Code(f"{made.inside()}.as_matrix()", "frame")
    if made.kind in ("table", "frame", "data"):
        return Code(made.text, "frame" if made.kind != "data" else "data", made.atom)
    raise t.refuse(node, "as.data.frame() of something that is no table")


def _effects(t: Translator, node: Node, scope: Scope) -> Code | None:
    """``as.data.frame(ranef(m))``: one row for each level and effect."""
    first = node.args[0].value if len(node.args) == 1 else None
    if first is None or first.kind != "call" or first.text not in ("ranef", "random.effects") or not first.args:
        return None
    given = matched(first.args, ("object", "condVar"))
    owner = given.pop("object", None)
    fit = t.expression(owner, scope) if owner is not None else None
    if fit is None or fit.kind != "fit" or not set(given) <= {"condVar"}:
        return None
    return Code(f"{fit.inside()}.ranef_frame()", "frame")


def _with_columns(t: Translator, node: Node, scope: Scope) -> Code:
    """``data.frame(d, a = 1)``: a table with more columns."""
    frame = t.expression(node.args[0].value, scope) if node.args[0].value is not None else None
    columns = [(one.name, one.value) for one in node.args[1:] if one.name not in ("stringsAsFactors", "check.names")]
    if (
        frame is None
        or frame.kind not in ("frame", "data")
        or any(name is None or value is None for name, value in columns)
    ):
        raise t.refuse(node, "data.frame() of unnamed columns")
    texts = {str(name): t.expression(value, scope).text for name, value in columns if value is not None}
    if all(name.isidentifier() and not keyword.iskeyword(name) for name in texts):
        listed = ", ".join(f"{name}={text}" for name, text in texts.items())
    else:
        listed = "**{" + ", ".join(f"{quoted(name)}: {text}" for name, text in texts.items()) + "}"
    return Code(f"{frame.inside()}.assign({listed})", "frame")


def _columns(t: Translator, node: Node, scope: Scope) -> Code:
    """``data.frame(a, b)``: columns that are called as the variables are."""
    parts = []
    for value in values_of(node):
        made = t.expression(value, scope)
        if made.kind == "frame":
            parts.append(made.text)
        elif made.kind == "series" and value.kind == "name":
            parts.append(f"{made.inside()}.rename({quoted(value.text)})")
        else:
            raise t.refuse(node, "data.frame() of things that are no columns")
    if len(parts) == 1:  # R makes names of the columns' names: t.value
        return Code(f'{parts[0]}.rename(columns=lambda name: regex.sub(r"[^\\w.]", ".", str(name)))', "frame")
    return Code(f"pd.concat([{', '.join(parts)}], axis=1)", "frame")


@maker("length", "nrow", "ncol", "NROW", takes="x")
def _length(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if node.text == "ncol":
        return Code(f"{made.inside()}.shape[1]", "number")
    return Code(f"len({made.text})", "number")


@maker("names", "rownames", "colnames", "row.names", takes="x")
def _names(t: Translator, node: Node, scope: Scope) -> Code:
    inner = values_of(node)[0] if values_of(node) else None
    if inner is not None and inner.kind == "call" and inner.text in ("which.min", "which.max") and node.text == "names":
        of = numbers(t, only(t, inner, scope))
        if of.kind == "series":
            return Code(f"{of.inside()}.idx{inner.text[6:]}()", "string")
    made = only(t, node, scope)
    if made.kind in ("dict", "frames"):
        return Code(f"list({made.text})", "strings", True, "string")
    part = (
        "columns" if node.text == "colnames" or (node.text == "names" and made.kind in ("frame", "data")) else "index"
    )
    if made.kind in LABELLED:
        return Code(f"list({made.inside()}.{part})", "strings", True, "string")
    raise t.refuse(node, "names of something without names")


@maker("levels", takes="x")
def _levels(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind != "series":
        raise t.refuse(node, "levels of something that is no factor")
    return Code(f"list({made.inside()}.cat.categories)", "strings", True, "string")


@maker("unique", takes="x")
def _unique(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind in ("strings", "vector", "list"):
        return Code(f"list(dict.fromkeys({made.text}))", made.kind, True, made.element)
    if made.kind != "series":
        raise t.refuse(node, "unique() of something that is no column")
    return Code(f"list({made.inside()}.unique())", "strings", True, "string")


@maker("head", "tail", takes="x n")
def _head(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    made = t.expression(values[0], scope)
    count = t.expression(values[1], scope).text if len(values) > 1 else "6"
    if made.kind in LABELLED:
        return Code(f"{made.inside()}.{node.text}({count})", made.kind, True, made.element)
    if made.kind in ("strings", "vector", "list") and count.isdigit():
        part = f"[:{count}]" if node.text == "head" else f"[-{count}:]"
        return Code(f"{made.inside()}{part}", made.kind, True, made.element)
    raise t.refuse(node, f"{node.text}() of something that is no table")


@maker("as.vector", "unname", "as.character", "unlist", "drop", takes="x")
def _as_plain(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if node.text == "as.character" and made.kind in ("string", "formula"):
        return made
    if made.kind in ("number", "any") and node.text != "as.character":
        return made
    if node.text == "as.character" and made.kind in ("series", "vector", "strings"):
        listed = f"list({made.inside()}.astype(str))" if made.kind == "series" else f"[str(one) for one in {made.text}]"
        return Code(made.text if made.kind == "strings" else listed, "strings", True, "string")
    if node.text == "as.character" and made.kind in ("number", "any"):
        return Code(f"str({made.text})", "string")
    if node.text == "unname" and made.kind == "dict":
        return Code(f"list({made.inside()}.values())", "list", True, made.element)
    if node.text == "unname" and made.kind in ("list", "strings"):
        return made
    if node.text in ("as.vector", "unname", "drop") and made.kind in ("series", "vector"):
        return Code(f"np.asarray({made.text})", "vector")
    if node.text == "as.vector" and made.kind == "dict" and made.element == "number":
        return Code(f"list({made.inside()}.values())", "vector", True, "number")
    if node.text in ("as.vector", "drop") and made.kind == "frame":
        return Code(f"np.asarray({made.text}).ravel(order='F')", "vector")
    if node.text == "unlist" and made.kind in ("list", "vector", "dict", "series", "strings"):
        return made
    raise t.refuse(node, f"{node.text}() is not carried over here")


@maker("droplevels", takes="x")
def _without_levels(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind != "data":
        raise t.refuse(node, "the data are kept as R had them after this step")
    return made  # lmer leaves out levels that no row has, as R's does


@maker("cat", "message", takes="sep")
def _cat(t: Translator, node: Node, scope: Scope) -> Code:
    """``cat(...)``: what it writes ends a line only where it says so, as ``print`` does by itself."""
    values = values_of(node)
    between = next((a.value for a in node.args if a.name == "sep"), None)
    parts = [t.expression(value, scope) for value in values]
    if any(part.kind not in ("string", "number", "any", "formula") for part in parts):
        parts = [Code(f"*{part.inside()}", part.kind) if part.kind in ("vector", "strings") else part for part in parts]
    texts = [part.text for part in parts]
    ends = node.text == "message"
    if values and values[-1].kind == "string" and values[-1].text.endswith("\n"):
        ends = True
        last = values[-1].text[:-1]
        texts[-1:] = [quoted(last)] if last else []
    elif values and values[-1].kind == "call" and values[-1].text in ("sprintf", "paste", "paste0") and ends is False:
        ends, texts[-1] = _without_last_newline(texts[-1])
    more = [] if ends else ['end=""']
    if between is not None:
        if between.kind != "string":
            raise t.refuse(node, "cat() with separators of several kinds")
        if between.text == "\n":
            more = ['sep="\\n"', *more]
        elif between.text != " ":
            more = [f"sep={quoted(between.text)}", *more]
    elif node.text == "message":
        more = ['sep=""'] if len(texts) > 1 else []
    return Code(f"print({', '.join([*texts, *more])})", "none")


def _without_last_newline(text: str) -> tuple[bool, str]:
    """A text, given as Python code, without the newline that it ends with; and whether it had one."""
    found = re.fullmatch(r'(f?")((?:[^"\\]|\\.)*)\\n(".*)', text, flags=re.DOTALL)
    return (True, found[1] + found[2] + found[3]) if found else (False, text)


def _anova_of(t: Translator, node: Node, given: Node, scope: Scope) -> Code:
    """``do.call(anova, fits)``, and ``do.call(anova, c(fits, list(model.names = x)))``."""
    names = ""
    if given.kind == "call" and given.text == "c" and len(given.args) == 2:
        fits_node, more = (argument.value for argument in given.args)
        asked = more.args if more is not None and more.kind == "call" and more.text == "list" else []
        if fits_node is None or len(asked) != 1 or asked[0].name != "model.names" or asked[0].value is None:
            raise t.refuse(node, "do.call() of this kind")
        given, names = fits_node, f", model_names={t.expression(asked[0].value, scope).text}"
    fits = t.expression(given, scope)
    if fits.kind not in ("list", "dict") or not fits.element.startswith("fit"):
        raise t.refuse(node, "do.call() of this kind")
    text = fits.inside() if fits.kind == "list" else f"list({fits.inside()}.values())"
    return Code(f"{text}[0].anova(*{unmarked(text)}[1:]{names})", "frame")


@maker("do.call", takes="what args")
def _do_call(t: Translator, node: Node, scope: Scope) -> Code:
    values = [argument.value for argument in node.args if argument.value is not None]
    if len(values) == 2 and values[0].text == "anova" and values[1].text != "list":
        return _anova_of(t, node, values[1], scope)
    if len(values) == 2 and values[0].text == "rbind" and values[1].text != "list":
        rows = t.expression(values[1], scope)
        if rows.kind == "dict" and rows.element.startswith("frame"):
            return Code(f"pd.concat({rows.text}).droplevel(1)", "frame")
        if rows.kind == "list" and rows.element.startswith("frame"):
            return Code(f"pd.concat({rows.text}, ignore_index=True)", "frame")
        if rows.kind in ("dict", "list") and rows.element in ("series", "dict<number"):
            return Code(f"pd.DataFrame({rows.text}){'.T' if rows.kind == 'dict' else ''}", "frame")
    if len(values) != 2 or values[0].kind not in ("name", "string", "namespace") or values[1].text != "list":
        raise t.refuse(node, "do.call() of this kind")
    function = Node("name", values[0].text, start=values[0].start, end=values[0].end, line=values[0].line)
    return t.expression_of_call(
        Node("call", function.text, [function], values[1].args, node.start, node.end, node.line), scope
    )


@maker("dim", takes="x")
def _dim(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind not in ("frame", "data", "sparse"):
        raise t.refuse(node, "dim() of something that is no table")
    return Code(f"{made.inside()}.shape", "list", True, "number")


@maker("str", takes="object")
def _structure(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind != "data":
        raise t.refuse(node, "str() of something that is no data frame")
    return Code(f"{made.inside()}.info()", "none")


@maker("deparse", takes="expr", unneeded="width.cutoff")
def _deparsed(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind != "formula":
        raise t.refuse(node, "deparse() of something that is no formula")
    return Code(made.text, "string", made.atom)


@maker("conditionMessage", takes="c")
def _said(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind != "condition":
        raise t.refuse(node, "conditionMessage() of something that is no error")
    return Code(f"str({made.text})", "string")


@maker("is.null", takes="x")
def _is_null(t: Translator, node: Node, scope: Scope) -> Code:
    made = only(t, node, scope)
    if made.kind in ("dict", "numbered"):  # what R's NULL becomes, to be filled
        return Code(f"not {made.inside()}", "number", False)
    return Code(f"{made.inside()} is None", "number", False)


@maker("tryCatch", "try", takes="expr", unneeded="silent")
def _guarded(t: Translator, node: Node, scope: Scope) -> Code:
    return t.expression(values_of(node)[0], scope)


@maker("attr", takes="x which exact")
def _attribute(t: Translator, node: Node, scope: Scope) -> Code:
    """``attr(VarCorr(m)$g, "stddev")`` and its like."""
    values = [a.value for a in node.args if a.value is not None]
    owner, what = values[0], values[1].text if len(values) > 1 else ""
    if owner.kind == "call" and owner.args and owner.args[0].value is not None:
        inner = t.expression(owner.args[0].value, scope)
        if inner.kind == "fit" and (owner.text, what) == ("VarCorr", "sc"):
            return Code(f"{inner.inside()}.sigma()", "number")
        if inner.kind == "fit" and (owner.text, what) == ("logLik", "df"):
            return Code(f"{inner.inside()}.npar", "number")
    if owner.kind == "call" and (owner.text, what) == ("terms", "term.labels") and owner.args[0].value is not None:
        fit = t.expression(owner.args[0].value, scope)
        if fit.kind == "fit":
            return Code(f"[term.label for term in {fit.inside()}.terms().terms]", "strings", True, "string")
    if owner.kind == "name" and what == "sc":
        table = t.expression(owner, scope)
        if table.kind == "table":
            return Code(f"{table.inside()}.sdcor.iloc[-1]", "number")
    if owner.kind in ("dollar", "index") and what == "postVar":
        effects = owner.parts[0]
        asked = effects.args[0].value if effects.kind == "call" and effects.text == "ranef" and effects.args else None
        modes_of = t.expression(asked, scope) if asked is not None else None
        kept = t.expression(effects, scope) if effects.kind == "name" else None
        if kept is not None and kept.kind == "frames" and kept.element.startswith("of "):  # re <- ranef(m)
            modes_of = Code(kept.element.removeprefix("of "), "fit")
        if modes_of is not None and modes_of.kind == "fit":
            made = t.expression(owner, scope)
            level = re.search(r"\[([^\[\]]+)\]$", unmarked(made.text))
            if level:
                return Code(f"{modes_of.inside()}.ranef_condVar()[{level[1]}]", "variances")
    if owner.kind in ("dollar", "index") and what in ("stddev", "correlation"):
        table = t.expression(owner.parts[0], scope)
        key = t.expression(owner, scope)
        found = re.search(r'\[("(?:[^"\\]|\\.)*")\]$', key.text)
        if table.kind == "table" and key.kind == "frame" and found:
            kind = "series" if what == "stddev" else "frame"
            return Code(f"{table.inside()}.{what}({found[1]})", kind)
    raise t.refuse(node, "attr() is R's inside")


@maker("get")
def _by_name(t: Translator, node: Node, scope: Scope) -> Code:
    values = values_of(node)
    if not values or values[0].kind != "string":
        raise t.refuse(node, "get() of a name that is computed")
    return t.expression(Node("name", values[0].text, start=values[0].start, end=values[0].end), scope)


@maker("factor", "as.factor", takes=None)
def _factor(t: Translator, node: Node, scope: Scope) -> Code:
    if len(node.args) == 1:
        made = only(t, node, scope)
        if made.kind == "string":
            return made
    raise t.refuse(node, "the data are kept as R had them after this step")


@maker("update", "update.formula", takes=None)
def _updated(t: Translator, node: Node, scope: Scope) -> Code:
    """``update(formula, . ~ . + x)``; of a fit it is a verb."""
    values = values_of(node)
    parts = [t.expression(value, scope) for value in values]
    if len(parts) != 2 or len(node.args) != 2 or any(part.kind not in ("formula", "string") for part in parts):
        raise t.refuse(node, "update() of something that is neither a fit nor a formula")
    return Code(f"{t.imported('update_formula')}({parts[0].text}, {parts[1].text})", "formula")


@maker("stack")
def _unknown(t: Translator, node: Node, scope: Scope) -> Code:
    raise t.refuse(node, "not carried over")
