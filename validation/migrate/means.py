"""R's emmeans and loo: means, contrasts, trends and comparisons of fits, whose Python is ours of the same names."""

from validation.migrate.code import Code, Scope, in_order, matched, quoted
from validation.migrate.makers import FUNCTIONS
from validation.migrate.rcode import Argument, Node
from validation.migrate.translate import Maker, Translator

__all__ = ["MEANS"]

#: The formals of R's after the grid; of contrast() what else is given are the family's options.
_FORMALS = {
    "pairs": ("reverse",),
    "contrast": ("method", "interaction", "by"),
    "test": ("null",),
    "confint": ("parm", "level"),
    "summary": ("infer", "level", "adjust", "by"),
}
#: What each gives: a grid, which can be asked again, or its table.
_GIVES = {"pairs": "emmeans", "contrast": "emmeans", "test": "emmtable", "confint": "emmtable", "summary": "emmtable"}
_RENAMED = {"max.degree": "max_degree"}


def _of_grid(before: "Maker | None") -> Maker:
    """A verb of a grid of means; of anything else what stood for the name before."""

    def make(t: Translator, node: Node, scope: Scope) -> Code:
        first = node.args[0].value if node.args else None
        grid = t.expression(first, scope) if first is not None else None
        if grid is not None and grid.kind == "profile" and node.text == "confint":
            return _of_profile(t, node, grid, scope)
        if grid is None or grid.kind not in ("emmeans", "emmpair"):
            if before is not None:
                return before(t, node, scope)
            raise t.refuse(node, f"{node.text}() of something that is no grid of means")
        if grid.kind == "emmpair":
            raise t.refuse(node, f"{node.text}() of a list of means and contrasts: name one of them with $")
        given: list[str] = []
        for name, value in in_order(matched(node.args[1:], _FORMALS[node.text]), _FORMALS[node.text]):
            if value is None:
                continue
            if name == "type" and value.text in ("response", "link"):
                t.noted.append(f'type = "{value.text}" (the response is as it is in the model)')
                continue
            text = "[]" if value.text == "NULL" and name == "by" else t.expression(value, scope).text
            leading = name == _FORMALS[node.text][0] and not given
            given.append(text if leading else f"{_RENAMED.get(name, name.replace('.', '_'))}={text}")
        return Code(f"{grid.inside()}.{node.text}({', '.join(given)})", _GIVES[node.text])

    return make


def _of_profile(t: Translator, node: Node, profile: Code, scope: Scope) -> Code:
    """``confint(profile(m, which))``: the profile's intervals, of the fit itself."""
    owner, _, which = profile.element.partition("\0")
    given = [which] if which else []
    for name, value in matched(node.args[1:], ("parm", "level")).items():
        if value is not None and name != "level":
            raise t.refuse(node, "a part of a profile")
        given += [f"level={t.expression(value, scope).text}"] if value is not None else []
    return Code(f"{owner}.confint({', '.join(given)})", "frame")


def _table(before: Maker) -> Maker:
    """``as.data.frame(emmeans(...))``: its numbers."""

    def make(t: Translator, node: Node, scope: Scope) -> Code:
        first = node.args[0].value if len(node.args) == 1 and node.args[0].name is None else None
        if first is not None:
            made = t.expression(first, scope)
            if made.kind in ("emmeans", "emmtable"):
                return Code(f"{made.inside()}.frame", "frame")
        return before(t, node, scope)

    return make


def _joint_tests(t: Translator, node: Node, scope: Scope) -> Code:
    first = node.args[0].value if node.args else None
    fit = t.expression(first, scope) if first is not None else None
    if fit is None or fit.kind != "fit":
        raise t.refuse(node, "joint_tests() of something that is no fit")
    given = [fit.text]
    for name, value in matched(node.args[1:], ("by",)).items():
        if value is not None:
            name = {"lmer.df": "ddf"}.get(name, name.replace(".", "_"))
            given.append(f"{name}={t.expression(value, scope).text}")
    if t.ddf and not any(one.startswith("ddf=") for one in given):
        given.append(f"ddf={quoted(t.ddf)}")
    return Code(f"{t.imported('joint_tests')}({', '.join(given)})", "emmtable")


def _loo_compare(t: Translator, node: Node, scope: Scope) -> Code:
    """``loo_compare(l1, l2)``, and of a list with names; the models are called as R calls them."""
    arguments = node.args
    if len(arguments) == 1 and arguments[0].value is not None:
        listed = arguments[0].value
        if listed.kind == "call" and listed.text == "list":
            arguments = listed.args
        else:
            made = t.expression(listed, scope)
            if made.kind != "dict":
                raise t.refuse(node, "loo_compare() of a list without names")
            return Code(f"{t.imported('loo_compare')}({made.text})", "frame")
    inside = []
    for k, argument in enumerate(arguments):
        if argument.value is None:
            raise t.refuse(node, "an argument without a value")
        made = t.expression(argument.value, scope)
        if made.kind not in ("loo", "fit"):
            raise t.refuse(node, "a comparison with something that is no loo()")
        inside.append(f"{quoted(argument.name or _called(t, argument, k))}: {made.text}")
    return Code(f"{t.imported('loo_compare')}({{{', '.join(inside)}}})", "frame")


def _called(t: Translator, argument: Argument, k: int) -> str:
    """R calls a model without a name ``model1``, ...; the variable's name says more."""
    value = argument.value
    return value.text if value is not None and value.kind == "name" else f"model{k + 1}"


MEANS: dict[str, Maker] = {
    **{name: _of_grid(FUNCTIONS.get(name)) for name in _FORMALS},
    "as.data.frame": _table(FUNCTIONS["as.data.frame"]),
    "joint_tests": _joint_tests,
    "loo_compare": _loo_compare,
}
