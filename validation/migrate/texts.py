"""R's words for text: formats, patterns, parts of strings."""

import re

from validation.migrate.code import Code, Scope, matched, quoted
from validation.migrate.functions import maker, values_of
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
    t.needs("re")
    if value.kind != "string":
        made = t.expression(value, scope)
        return f"re.escape({made.text})" if fixed is not None and fixed.text in ("TRUE", "T") else made.text
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
        test = f"re.search({pattern_of(t, node, given, scope)}, one)"
        value = given.get("value")
        if node.text == "grep" and value is not None and value.text in ("TRUE", "T"):
            return Code(
                f"[one for one in {_several(made) or '[' + made.text + ']'} if {test}]", "strings", True, "string"
            )
    over = _several(made)
    t.needs("np")
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
        return Code(f"re.sub({pattern}, {by}, {made.text}{count})", "string")
    return Code(f"[re.sub({pattern}, {by}, one{count}) for one in {over}]", "strings", True, "string")


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
    if value is None or (set(given) - {"eps", "width", "justify", "flag"}):
        raise t.refuse(node, f"{node.text}() of this kind")
    made = t.expression(value, scope)
    if made.kind in ("string", "strings"):
        return made
    places = small or (digits if how is not None and how.text == "f" else None)
    code = f".{t.expression(places, scope).text}f" if places is not None else ""
    if not code:
        code = f".{t.expression(digits, scope).text if digits is not None else '7'}g"
    if not re.fullmatch(r"\.\d+[fg]", code):
        raise t.refuse(node, f"{node.text}() with digits that are computed")
    if made.kind in ("series", "vector", "list"):
        return Code(f'[f"{{one:{code}}}" for one in {made.text}]', "strings", True, "string")
    return Code(f"format({made.text}, {quoted(code)})", "string")
