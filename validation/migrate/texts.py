"""R's words for text: formats, patterns, parts of strings."""

import re

from validation.migrate.code import Code, Scope, matched, quoted
from validation.migrate.makers import maker, values_of
from validation.migrate.rcode import Node
from validation.migrate.translate import Translator

__all__ = ["pattern_of"]

#: R's classes of characters, and Python's.
_CLASSES = {"[:alpha:]": "a-zA-Z", "[:digit:]": "0-9", "[:alnum:]": "a-zA-Z0-9", "[:space:]": r"\s", "[:upper:]": "A-Z"}


def pattern_of(t: Translator, node: Node, given: "dict[str, Node | None]", scope: Scope) -> str:
    """R's regular expression as Python's."""
    value = given.get("pattern")
    fixed = given.get("fixed")
    if value is None or any(given.get(one) is not None for one in ("ignore.case", "useBytes")):
        raise t.refuse(node, f"{node.text}() with arguments that are not carried over")
    if value.kind != "string":
        made = t.expression(value, scope)
        return f"regex.escape({made.text})" if fixed is not None and fixed.text in ("TRUE", "T") else made.text
    if fixed is not None and fixed.text in ("TRUE", "T"):
        return quoted(re.escape(value.text))
    text = value.text
    for theirs, ours in _CLASSES.items():
        text = text.replace(theirs, ours)
    if "[:" in text or "\\<" in text or "\\>" in text:
        raise t.refuse(node, "a regular expression of a kind that is not carried over")
    return quoted(text)


def _several(made: Code) -> str | None:
    """What a vector of texts is gone through by; None for one text."""
    if made.kind in ("strings", "vector", "list"):
        return made.text
    if made.kind == "series":
        return f"{made.inside()}.astype(str)"
    return None


@maker("grepl", "grep", "startsWith", "endsWith", takes="pattern x fixed value perl prefix suffix")
def _found(t: Translator, node: Node, scope: Scope) -> Code:
    if node.text in ("startsWith", "endsWith"):
        made, part = (t.expression(value, scope) for value in values_of(node))
        test = f"one.{node.text.lower()}({part.text})"
    else:
        given = matched(node.args, ("pattern", "x", "ignore.case", "perl", "value", "fixed"))
        if given.get("x") is None:
            raise t.refuse(node, "a search in nothing")
        made = t.expression(given["x"], scope)  # type: ignore[arg-type]
        test = f"regex.search({pattern_of(t, node, given, scope)}, one)"
        value = given.get("value")
        if node.text == "grep" and value is not None and value.text in ("TRUE", "T"):
            return Code(
                f"[one for one in {_several(made) or '[' + made.text + ']'} if {test}]", "strings", True, "string"
            )
    over = _several(made)
    if node.text == "grep":
        return Code(
            f"np.flatnonzero([bool({test}) for one in {over or '[' + made.text + ']'}]) + 1", "positions", False
        )
    if over is None:
        return Code(f"bool({test.replace('one', made.inside())})", "number")
    return Code(f"np.array([bool({test}) for one in {over}])", "vector")


@maker("sub", "gsub", takes="pattern replacement x fixed perl")
def _replaced(t: Translator, node: Node, scope: Scope) -> Code:
    given = matched(node.args, ("pattern", "replacement", "x", "ignore.case", "perl", "fixed"))
    new, value = given.get("replacement"), given.get("x")
    if new is None or value is None or new.kind != "string":
        raise t.refuse(node, f"{node.text}() with a replacement that is computed")
    made = t.expression(value, scope)
    by = quoted(new.text)
    count = ", count=1" if node.text == "sub" else ""
    pattern, over = pattern_of(t, node, given, scope), _several(made)
    if over is None:
        return Code(f"regex.sub({pattern}, {by}, {made.text}{count})", "string")
    return Code(f"[regex.sub({pattern}, {by}, one{count}) for one in {over}]", "strings", True, "string")


@maker("toupper", "tolower", "nchar", "trimws", takes="x")
def _each_text(t: Translator, node: Node, scope: Scope) -> Code:
    made = t.expression(values_of(node)[0], scope)
    one = {"toupper": "{}.upper()", "tolower": "{}.lower()", "nchar": "len({})", "trimws": "{}.strip()"}[node.text]
    over = _several(made)
    number = node.text == "nchar"
    if over is None:
        return Code(one.format(made.inside()), "number" if number else "string")
    kind, element = ("vector", "number") if number else ("strings", "string")
    return Code(f"[{one.format('one')} for one in {over}]", kind, True, element)


@maker(
    "format", "format.pval", "formatC", "prettyNum", takes="x pv digits nsmall width format eps big.mark justify flag"
)
def _shown(t: Translator, node: Node, scope: Scope) -> Code:
    """A number as a text; R's default is seven digits."""
    given = matched(node.args, ("x", "digits"))
    value = given.pop("x", None) or given.pop("pv", None)
    digits, small = given.pop("digits", None), given.pop("nsmall", None)
    how = given.pop("format", None)
    if value is None or (set(given) - {"eps", "big.mark"}):
        raise t.refuse(node, f"{node.text}() of this kind")
    made = t.expression(value, scope)
    if made.kind in ("string", "strings"):
        return made
    places = small or (digits if how is not None and how.text == "f" else None)
    code = f".{t.expression(places, scope).text}f" if places is not None else ""
    comma = given.pop("big.mark", None)
    if comma is not None and comma.text != ",":
        raise t.refuse(node, f"{node.text}() of this kind")
    if node.text == "format" and made.kind in ("series", "vector", "list", "frame"):
        raise t.refuse(node, "format() of several numbers: R gives them one width")
    if not code:
        code = f".{t.expression(digits, scope).text if digits is not None else '7'}g"
    code = f",{code}" if comma is not None else code
    if not re.fullmatch(r",?\.\d+[fg]", code):
        raise t.refuse(node, f"{node.text}() with digits that are computed")
    if made.kind in ("series", "vector", "list"):
        return Code(f'[f"{{one:{code}}}" for one in {made.text}]', "strings", True, "string")
    return Code(f"format({made.text}, {quoted(code)})", "string")


@maker("paste", "paste0", takes="sep collapse")
def _paste(t: Translator, node: Node, scope: Scope) -> Code:
    between = "" if node.text == "paste0" else " "
    collapse = next((one for one in node.args if one.name == "collapse" and one.value is not None), None)
    if collapse is not None and len(values_of(node)) > 1:  # paste0("a", x, collapse = ", "): first each, then all
        rest = [one for one in node.args if one is not collapse]
        each = _paste(t, Node("call", node.text, node.parts, rest, node.start, node.end, node.line), scope)
        joint = t.expression(collapse.value, scope) if collapse.value is not None else None
        if each.kind == "strings" and joint is not None and joint.kind == "string":
            return Code(f"{joint.text}.join({each.text})", "string")
        if each.kind == "string":
            return each
    parts = []
    for argument in node.args:
        if argument.name == "sep" and argument.value is not None and argument.value.kind == "string":
            between = argument.value.text
        elif argument.name == "collapse" and argument.value is not None:
            return _collapsed(t, node, scope, argument.value)
        elif argument.name is not None or argument.value is None:
            raise t.refuse(node, "paste() with collapse")
        else:
            parts.append(argument.value)
    pieces = [t.expression(part, scope) for part in parts]
    if any(piece.kind not in ("string", "number", "any", "formula") for piece in pieces):
        return _pasted_each(t, node, pieces, between)
    whole = [part.kind == "string" for part in parts]
    if any(
        "{" in p.text or '"' in p.text or "'" in p.text or "\\" in p.text
        for p, w in zip(pieces, whole, strict=True)
        if not w
    ):
        listed = ", ".join(piece.text for piece in pieces)
        return Code(f"{quoted(between)}.join(str(part) for part in [{listed}])", "string")
    inside = [
        quoted(part.text)[1:-1].replace("{", "{{").replace("}", "}}")
        if is_text
        else "{" + piece.text + (":.15g}" if piece.kind == "number" and part.kind == "call" else "}")
        for part, piece, is_text in zip(parts, pieces, whole, strict=True)
    ]
    between = quoted(between)[1:-1].replace("{", "{{").replace("}", "}}")
    return Code('f"' + between.join(inside) + '"', "string")


def _pasted_each(t: Translator, node: Node, pieces: list[Code], between: str) -> Code:
    """``paste0("M", 1:4)``: as many texts as the vectors are long."""
    several = [k for k, piece in enumerate(pieces) if piece.kind in ("strings", "vector", "range", "series", "list")]
    if any(k not in several and piece.kind not in ("string", "number", "any") for k, piece in enumerate(pieces)):
        raise t.refuse(node, "paste() over several values")
    variables = {k: "abcdefgh"[i] for i, k in enumerate(several[:8])}
    if len(several) > len(variables):
        raise t.refuse(node, "paste() over several values")
    if any('"' in p.text[1:-1] or "{" in p.text or "\\" in p.text for k, p in enumerate(pieces) if k not in variables):
        texts = [f"str({variables[k]})" if k in variables else f"str({p.text})" for k, p in enumerate(pieces)]
        joined = f"{quoted(between)}.join([{', '.join(texts)}])"
    else:
        literal = [p.text[1:-1] if p.text.startswith('"') else "{" + p.text + "}" for p in pieces]
        inside = ["{" + variables[k] + "}" if k in variables else one for k, one in enumerate(literal)]
        joined = 'f"' + quoted(between)[1:-1].replace("{", "{{").replace("}", "}}").join(inside) + '"'
    names = ", ".join(variables.values())
    over = pieces[several[0]].text if len(several) == 1 else f"zip({', '.join(pieces[k].text for k in several)})"
    return Code(f"[{joined} for {names} in {over}]", "strings", True, "string")


def _collapsed(t: Translator, node: Node, scope: Scope, collapse: Node) -> Code:
    """``paste(x, collapse = " + ")``."""
    values = values_of(node)
    between = t.expression(collapse, scope)
    made = t.expression(values[0], scope) if len(values) == 1 else None
    known = ("strings", "vector", "range", "list", "series")
    if made is None or made.kind not in known or between.kind != "string":
        raise t.refuse(node, "paste() with collapse of several vectors")
    texts = made.element == "string" or t.type_of(made) in ("factor", "character")
    numbers_of = made.kind in ("vector", "series") and not texts
    one = 'f"{part:.15g}"' if numbers_of else "str(part)"
    joined = made.text if made.kind == "strings" else f"{one} for part in {made.text}"
    return Code(f"{between.text}.join({joined})", "string")
