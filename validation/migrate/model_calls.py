"""Calls of R's models, priors and of what is asked of fits, as calls of ours."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyimpl
from r_scripts.arguments import R_ARGUMENTS
from validation.migrate.code import Code, Refused, Scope, Untranslatable, in_order, matched, quoted, unmarked
from validation.migrate.rcode import Node
from validation.migrate.watched import FITS, NO_MEANING, PRIOR_FORMALS, VERBS

if TYPE_CHECKING:
    from validation.migrate.translate import Translator

__all__ = ["ModelCalls"]


def _with_contrasts(given: list[str]) -> list[str]:
    """``contr = "poly"`` as the left side of the formula of the means."""
    asked = next((one for one in given if one.startswith("contr=")), None)
    if asked is None or not given or not re.fullmatch(r'contr="\w[\w.]*"', asked):
        return given
    specs = given[0].removeprefix("specs=").strip('"')
    if not re.fullmatch(r'"[^"~]*~?[^"~]*"', given[0].removeprefix("specs=")) or specs.strip().find("~") > 0:
        return given
    method = asked.removeprefix('contr="').rstrip('"')
    return [f'"{method} ~ {specs.strip().lstrip("~").strip()}"', *(one for one in given[1:] if one is not asked)]


class ModelCalls:
    """Translates the calls that :mod:`validation.migrate.watched` has tables of."""

    def __init__(self, translator: "Translator") -> None:
        self.t = translator

    def prior(self, node: Node, scope: Scope) -> Code:
        """A prior of rstanarm's."""
        given = []
        for k, argument in enumerate(node.args):
            formals = PRIOR_FORMALS.get(node.text, ())
            name = argument.name or (formals[k] if k < len(formals) else None)
            if argument.value is None or name is None:
                raise self.t.refuse(node, "an argument of the prior that is not known")
            given.append(f"{name}={self.t.expression(argument.value, scope).text}")
        return Code(f"{self.t.imported(node.text)}({', '.join(given)})", "any")

    def fit(self, node: Node, scope: Scope) -> Code:
        """A call that fits a model."""
        known = FITS[node.text]
        if known.python not in pyimpl.__all__:
            raise self.t.refuse(node, f"{node.text}() has no counterpart in mlmparity")
        place = self.t.site_at.get((node.start, node.end, node.kind))
        seen = self.t.seen.get(place.number, {}) if place else {}
        arguments = matched(node.args, known.positions)
        data, columns = self._data_of(node, arguments, seen, scope)
        given = [self._formula(node, arguments, seen, scope)]
        if data:
            given.append(data)
        for name, value in arguments.items():
            if name in ("formula", "data") or value is None:
                continue
            ours = known.rename.get(name, name.replace(".", "_"))
            if ours is None or (known.python == "lmer" and name in ("control", "start")):
                self._without(node, known.python, name, value, seen)
                continue
            if name == "subset":
                given.append(f"subset={self._subset(value, data, columns, scope)}")
            elif name in ("weights", "offset"):
                given.append(f"{name}={self._weights(name, value, data, columns, seen, scope)}")
            elif name == "contrasts":
                given.append(f"contrasts={self.t.expression(value, scope).text}")
            elif value.kind == "name" and value.text.startswith("na."):
                given.append(f"{ours}={quoted(value.text)}")
            else:
                given.append(f"{ours}={self.t.expression(value, scope).text}")
        if known.python == "stan_lmer" and "seed" not in arguments:
            given.append(f"seed={self.t.seed}")
        element = known.python
        if element == "lmer" and not seen.get("tests", not self._of_lme4(node)):
            element = "lmer of lme4"
        return Code(f"{self.t.imported(known.python)}({', '.join(given)})", "fit", True, element)

    @staticmethod
    def _of_lme4(node: Node) -> bool:
        """Whether a call says ``lme4::lmer``, whatever is loaded."""
        function = node.parts[0]
        return function.kind == "namespace" and bool(function.parts) and function.parts[0].text == "lme4"

    def _without(self, node: Node, function: str, name: str, value: Node, seen: Mapping[str, object]) -> None:
        """Leave out an argument that has no meaning in Python; refuse a value of it that asks for another result."""
        rule = R_ARGUMENTS.get(function, {}).get(name)
        recorded = seen.get(name)
        plain: object = recorded if isinstance(recorded, str) else value.text if value.kind == "string" else None
        if rule is not None and plain is not None and not rule.accepts(plain):
            raise Refused(f"{node.text}(): {name} = {plain!r}, but expected is {rule.expected}: {rule.why}")
        self.t.noted.append(
            f"{name} = {self.t.source(value)} ({rule.why if rule else NO_MEANING.get(name, 'no meaning here')})"
        )

    def _formula(
        self, node: Node, arguments: Mapping[str, "Node | None"], seen: Mapping[str, object], scope: Scope
    ) -> str:
        value = arguments.get("formula")
        forced = seen.get("forced")
        if forced:
            return quoted(str(forced))
        if value is None:
            raise self.t.refuse(node, "a model without a formula")
        try:
            made = self.t.expression(value, scope)
            if made.kind in ("formula", "string", "any"):
                return made.text
            raise self.t.refuse(value, "not known to be a formula")
        except Untranslatable:
            formulas = seen.get("formulas", [])
            if isinstance(formulas, list) and len(set(formulas)) == 1:
                return quoted(str(formulas[0]))
            raise

    def _data_of(
        self, node: Node, arguments: Mapping[str, "Node | None"], seen: Mapping[str, object], scope: Scope
    ) -> tuple[str, list[str]]:
        value = arguments.get("data")
        if value is not None and value.kind == "name" and not seen.get("forced"):
            found = scope.names.get(value.text) if scope.outer is not None else None
            if found is not None and found.kind in ("data", "any"):
                return found.text, []
        rows = scope.find(".") if value is None else None
        if rows is not None and rows.kind == "frame":  # within dplyr's verbs: the rows of the group
            return rows.text, []
        frames = seen.get("frames", [])
        if isinstance(frames, list) and len(set(frames)) == 1:
            coded = seen.get("contrasts")
            variable = self.t.frame_variable(frames[0], coded if isinstance(coded, dict) else None)
            return variable, list(seen.get("columns", []))  # type: ignore[call-overload]
        if isinstance(frames, list) and len(set(frames)) > 1:
            if value is not None:
                made = self.t.expression(value, scope)
                if made.kind == "data":
                    return made.text, []
            raise self.t.refuse(node, "the model is fitted to several data sets here")
        if value is not None:  # nothing was run: the text is all there is
            made = self.t.expression(value, scope)
            return made.text, []
        raise self.t.refuse(node, "the data of the model are not known")

    def _subset(self, value: Node, data: str, columns: list[str], scope: Scope) -> str:
        """Rows: R's words for them where they are about columns, else what they are."""
        names = [one.text for one in value.walk() if one.kind == "name"]
        if not columns or all(name in columns for name in names):
            return quoted(self.t.source(value))
        known = {one: Code(f"{data}[{quoted(one)}]", "series", True, "column") for one in columns}
        return self.t.expression(value, Scope(known, scope)).text

    def _weights(
        self, name: str, value: Node, data: str, columns: list[str], seen: Mapping[str, object], scope: Scope
    ) -> str:
        """Weights or an offset: a column's name, the same expression, or the numbers that R had."""
        try:
            return self._column(value, data, columns, scope)
        except Untranslatable:
            vectors = seen.get("vectors", {})
            kept = vectors.get(name) if isinstance(vectors, dict) else None
            if kept is None:
                raise
            return f'read("{kept}")["{name}"].to_numpy()'

    def _column(self, value: Node, data: str, columns: list[str], scope: Scope) -> str:
        if value.kind == "name" and (value.text in columns or scope.find(value.text) is None):
            return quoted(value.text)
        inner = Scope({one: Code(f"{data}[{quoted(one)}]", "series") for one in columns}, scope)
        return self.t.expression(value, inner).text

    def verb(self, node: Node, scope: Scope) -> Code | None:
        """A call of one of our fits' methods; None where its first argument is no fit."""
        verb = VERBS[node.text]
        if not node.args or node.args[0].value is None:
            return None
        first = node.args[0].value
        if node.text == "coef" and first.kind == "call" and first.text == "summary" and first.args[0].value is not None:
            fit = self.t.expression(first.args[0].value, scope)
            if fit.kind == "fit":
                return Code(f"{fit.inside()}.{self.table_of(fit)}", "frame")
        if node.text == "model.matrix" and first.kind == "call" and first.text == "terms" and len(first.args) == 1:
            return self._coded_anew(node, first, scope)
        fit = self.t.expression(first, scope)
        if node.text == "coef" and fit.kind == "summary":
            return Code(f"{fit.inside()}.coefficients", "frame")
        if fit.kind != "fit":
            return None
        if node.text == "print":
            return None
        if node.text in ("anova", "AIC", "BIC", "loo_compare"):
            return self._several(node, fit, scope)
        rest = matched(node.args[1:], verb.positions)
        given: list[str] = []
        for name, value in in_order(rest, verb.positions):
            ours = verb.rename.get(name, name.replace(".", "_"))
            if value is None:
                continue
            if ours is None:
                self.t.noted.append(f"{name} = {self.t.source(value)} ({NO_MEANING.get(name, 'no meaning here')})")
                continue
            if value.kind == "constant" and value.text == "NA" and ours == "re_form":
                given.append('re_form="~0"')
                continue
            if node.text == "bootMer" and name == "FUN" and value.kind == "name" and value.text in VERBS:
                given.append(f"lambda fit: fit.{VERBS[value.text].method}()")
                continue
            made = self.t.expression(value, scope)
            text = f"[{made.text}]" if name == "pars" and made.kind == "string" else made.text  # ours are lists
            leading = name in ("specs", "formula") and not given
            given.append(text if leading else f"{ours}={text}")
        place = self.t.site_at.get((node.start, node.end, node.kind))
        if place is not None and place.draws and "seed" not in rest and scope.outer is None:
            given.append(f"seed={self.t.next_seed()}")
        if node.text == "drop1" and self._tests(fit) and "ddf" not in rest:  # lmerTest's own, whatever `test` says
            given = [one for one in given if not one.startswith("test=")] + ['ddf="Satterthwaite"']
        if node.text == "summary" and self._tests(fit) and "ddf" not in rest:
            given.append('ddf="Satterthwaite"')
        if verb.gives == "emmeans":
            given = _with_contrasts(given)
        if verb.gives == "emmeans" and self.t.ddf and not any(one.startswith("ddf=") for one in given):
            given.append(f"ddf={quoted(self.t.ddf)}")
        if node.text == "coef" and fit.element in ("lm", "lmList"):
            return Code(f"{fit.inside()}.coef()", "series" if fit.element == "lm" else "frame")
        if node.text == "getME" and given:
            what = given[0].removeprefix("name=").strip('"')
            kind = {"X": "frame", "y": "series", "theta": "series", "beta": "series"}.get(
                what, "sparse" if what in ("Z", "Zt", "Lambda", "Lambdat") else "any"
            )
            return Code(f"{fit.inside()}.getME({', '.join(given)})", kind)
        if node.text == "prior_summary" and first.kind == "name" and first.text != "m":
            given.append(f"model_name={quoted(first.text)}")
        if node.text == "contest1D":
            given += ["joint=False", *([] if "confint" in rest else ["confint=False"])]
        if verb.gives == "profile":
            own = ", ".join(one for one in given if one.startswith("which="))
            which = own.removeprefix("which=")
            return Code(f"{fit.inside()}.profile({', '.join(given)})", "profile", True, f"{fit.inside()}\0{which}")
        kind = {"table": "table", "intervals": "frame", "draws": "frame"}.get(verb.gives, verb.gives)
        if (
            kind == "emmeans" and given and re.match(r'"[^~]*[^~\s][^~]*~', given[0])
        ):  # pairwise ~ a: means and contrasts
            kind = "emmpair"
        of = f"of {unmarked(fit.text)}" if kind == "frames" and fit.atom else "any"
        return Code(f"{fit.inside()}.{verb.method}({', '.join(given)})", kind, True, of)

    def _coded_anew(self, node: Node, terms: Node, scope: Scope) -> Code:
        """``model.matrix(terms(m), newdata)``."""
        owner, new = terms.args[0].value, node.args[1].value if len(node.args) == 2 else None
        fit = self.t.expression(owner, scope) if owner is not None else None
        if fit is None or fit.kind != "fit" or new is None:
            raise self.t.refuse(node, "model.matrix() of this kind")
        return Code(f"{fit.inside()}.model_matrix(newdata={self.t.expression(new, scope).text})", "frame")

    def table_of(self, fit: Code) -> str:
        """The call that gives ``coef(summary(m))``."""
        return "satterthwaite()" if self._tests(fit) else "coef_table()"

    def _tests(self, fit: Code) -> bool:
        return self.t.lmer_test and fit.element != "lmer of lme4"

    def _several(self, node: Node, fit: Code, scope: Scope) -> Code:
        fits, names, rest = [], [], []
        for argument in node.args:
            if argument.value is None:
                continue
            if argument.name is None:
                made = self.t.expression(argument.value, scope)
                if made.kind != "fit":
                    raise self.t.refuse(node, "a comparison with something that is no fit")
                fits.append(made)
                names.append(self.t.source(argument.value))
            else:
                value = self.t.expression(argument.value, scope)
                rest.append(f"{argument.name.replace('.', '_')}={value.text}")
        if node.text == "anova":
            others = [one.text for one in fits[1:]]
            if others:
                rest.append(f"model_names=({', '.join(quoted(one) for one in names)})")
            elif self._tests(fit):
                for default in ('type="III"', 'ddf="Satterthwaite"'):
                    if not any(one.startswith(default.partition("=")[0] + "=") for one in rest):
                        rest.append(default)
            return Code(f"{fit.inside()}.anova({', '.join([*others, *rest])})", "frame")
        penalty = next((a.value for a in node.args if a.name == "k"), None)
        if penalty is not None and len(fits) == 1 and len(rest) == 1 and node.text == "AIC":
            again = unmarked(fit.inside())
            text = f"-2 * {fit.inside()}.logLik() + {self.t.expression(penalty, scope).inside()} * {again}.npar"
            return Code(text, "number", False)
        if rest:
            raise self.t.refuse(node, f"{node.text}() with more than fits")
        if len(fits) == 1:
            return Code(f"{fit.inside()}.{node.text}()", "number")
        listed = ", ".join(one.text for one in fits)
        labels = "{" + f"'df': [m.npar for m in ({listed})], '{node.text}': [m.{node.text}() for m in ({listed})]" + "}"
        return Code(f"pd.DataFrame({labels}, index={names!r})", "frame")
