"""What R was seen to do in a statement, where the statement's own words have no counterpart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from validation.migrate.code import CLOSE, OPEN, Code, Refused, Scope, Untranslatable, python_name, quoted
from validation.migrate.rcode import Argument, Node
from validation.migrate.seen import Seen
from validation.migrate.translate import Translator
from validation.migrate.watched import FITS, UNSUPPORTED, VERBS

__all__ = ["Unrolled"]


#: Models of one statement beyond which they are written as a loop over their data.
_MANY = 4


@dataclass(frozen=True)
class _Step:
    """A model, or a value of one: the variable that gets it, its text, the data (or the fit) in it, fit, site."""

    variable: str
    text: str
    of: str
    number: int
    site: int

    @property
    def line(self) -> str:
        return f"{self.variable} = {self.text}" if self.variable else f"print({self.text})"

    def template(self, name: str) -> str:
        """The text with another name for what differs from step to step."""
        return re.sub(rf"(?<![\w.\"]){re.escape(self.of)}(?![\w\"])", name, self.text)


def _as_a_loop(steps: list[_Step], base: str, fits: dict[int, str]) -> list[str] | None:
    """Models that differ in their data alone as a list, each value as a loop over it; None where more differs."""
    models = [one for one in steps if one.variable]
    values = [one for one in steps if not one.variable]
    if len({one.template("read(name)") for one in models}) != 1 or len({one.of for one in models}) != len(models):
        return None
    order = {one.number: k for k, one in enumerate(models)}
    sites = list(dict.fromkeys(one.site for one in values))
    for site in sites:
        asked = [one for one in values if one.site == site]
        if [one.number for one in asked] != list(order) or len({one.template("fit") for one in asked}) != 1:
            return None
    listed = f"{base}_models"
    names = ", ".join(quoted(one.of) for one in models)
    lines = [f"{listed} = [{models[0].template('read(name)')} for name in [{names}]]"]
    if sites:
        lines.append(f"for fit in {listed}:")
        lines += [f"    print({next(one for one in values if one.site == site).template('fit')})" for site in sites]
    for one in models:
        fits[one.number] = f"{listed}[{order[one.number]}]"
    return lines


class Unrolled:
    """Writes models, and what was asked of them, one by one, each with the data it had.

    Parameters
    ----------
    translator : Translator
    seen : Seen
    top : Scope
    fits : dict of int to str
        Fit -> Python's expression for it; those that are written are added.
    """

    def __init__(self, translator: Translator, seen: Seen, top: Scope, fits: dict[int, str]) -> None:
        self.translator, self.seen, self.top, self.fits = translator, seen, top, fits
        self.looped = False  # whether the last statement's models were written as a loop, which reads its data itself
        self.printed: set[int] = set()  # sites whose values are printed

    def lines(self, k: int, node: Node, here: list[dict[str, Any]]) -> tuple[list[str], str]:
        """Python's lines for the events of a statement, and what they leave out."""
        target = node.parts[0].text if node.kind == "assign" and node.parts[0].kind == "name" else ""
        base = python_name(target) if target else "m"
        number = sum(event["event"] == "fit" for event in here)
        made, omitted = self._written(here, base if number == 1 and target else "", base)
        lines = _as_a_loop(made, base, self.fits) if number >= _MANY else None
        self.looped = lines is not None
        lines = [one.line for one in made] if lines is None else lines
        if target:
            lines += self._gather(k, target, base, number)
        return lines, "; ".join(dict.fromkeys(omitted))

    def _written(self, here: list[dict[str, Any]], single: str, base: str) -> tuple[list["_Step"], list[str]]:
        """Each model, and each value that was asked of one, as a line of its own; and what can't be said."""
        steps: list[_Step] = []
        omitted: list[str] = []
        for event in here:
            if event["event"] == "fit":
                variable = single or f"{base}_{len(self.fits) + 1}"
                try:
                    text = self._seen_fit(event)
                except Untranslatable as reason:
                    omitted.append(str(reason))
                    continue
                data = self.translator.frame_variable(int(event["fit"]["frame"]), self.seen.contrasts(event["fit"]))
                steps.append(_Step(variable, text, data, int(event["number"]), int(event["site"])))
                self.fits[int(event["number"])] = variable
            elif event["event"] == "value" and event.get("of") and event["value"]["type"] != "fit":
                fit = self.fits.get(int(event["of"]))
                place = self.seen.places[int(event["site"])]
                if fit is None or place.name not in VERBS or place.node.kind != "call" or place.name == "print":
                    continue
                call = Node(
                    "call",
                    place.name,
                    place.node.parts,
                    [Argument(None, Node("name", "\0fit")), *place.node.args[1:]],
                    place.node.start,
                    place.node.end,
                    place.node.line,
                )
                try:
                    made = self.translator.expression(call, Scope({"\0fit": Code(fit, "fit")}, self.top))
                except Untranslatable as reason:
                    omitted.append(str(reason))
                    continue
                steps.append(_Step("", made.text, fit, int(event["of"]), int(event["site"])))
                self.printed.add(int(event["site"]))
        return steps, omitted

    def _seen_fit(self, event: Mapping[str, Any]) -> str:
        """A model as R was seen to fit it, whatever the script's words for it were."""
        site, fit = int(event["site"]), event["fit"]
        place = self.seen.places[site]
        fun = fit["fun"].split("::")[-1]
        if fun == "stan_glmer" and "stanreg" in fit["classes"] and place.name == "stan_lmer":
            fun = "stan_lmer"
        if fun not in FITS:
            raise Untranslatable(f"{fun}(): {UNSUPPORTED.get(fun, 'no counterpart in mlmparity')}")
        if "frame" not in fit:
            raise Untranslatable(f"{fun}(): the data of this model are not known")
        forced = {
            **self.seen.sites.get(site, {}),
            "forced": fit["formula"],
            "frames": [int(fit["frame"])],
            "columns": self.seen.frame(int(fit["frame"])).get("names", []),
            "contrasts": self.seen.contrasts(fit),
        }
        if place.node.kind == "call" and place.node.text in FITS:
            before = self.seen.sites.get(site)
            self.seen.sites[site] = forced
            try:
                return self.translator.expression(place.node, self.top).text
            except Refused:
                raise
            except Untranslatable:  # an argument that only a function's inside knows: R's own record is left
                pass
            finally:
                if before is not None:
                    self.seen.sites[site] = before
        known = {"formula", "data", "REML", "control", "start", "verbose", "", "na.action"}
        more = [name for name in fit.get("given") or [] if name not in known]
        extra = ""
        for name in ("weights", "offset", "subset"):
            given = fit.get(name)
            kept = f"{name}_{event['number']}"
            if given and name != "subset" and given["code"] not in forced["columns"] and kept in self.seen.vectors:
                extra += f', {name}=read("{kept}")["{name}"].to_numpy()'
                more = [one for one in more if one != name]
            elif given and given["code"] in forced["columns"] and name != "subset":
                extra += f', {name}="{given["code"]}"'
                more = [one for one in more if one != name]
            elif given and name == "subset":
                extra += f", subset={given['code']!r}"
                more = [one for one in more if one != name]
        if more:
            raise Untranslatable(f"{fun}(): the argument {more[0]} of a model that was made by {place.name}()")
        formula = quoted(fit["formula"])
        reml = ", REML=False" if fit.get("REML") is False else ""
        data = self.translator.frame_variable(int(fit["frame"]), self.seen.contrasts(fit))
        if "exclude" in fit.get("na_action", {}).get("values", []):
            extra += ', na_action="na.exclude"'
        return f"{OPEN}{site};{self.translator.imported(FITS[fun].python)}({formula}, {data}{reml}{extra}){CLOSE}"

    def _gather(self, k: int, target: str, base: str, number: int) -> list[str]:
        """The list that R's statement made of its fits."""
        for event in self.seen.events:
            if event["event"] == "variable" and int(event["statement"]) == k and event["name"] == target:
                value = event.get("value", {})
                if value.get("type") == "fit" and int(value["fit"]) in self.fits:
                    held = self.fits[int(value["fit"])]
                    self.top.names[target] = Code(base, "fit")
                    return [f"{base} = {held}"] if held != base else []
                return self.gathered(target, value)
        if number == 1 and base in self.fits.values():
            self.top.names[target] = Code(base, "fit")
        return []

    def gathered(self, name: str, value: Mapping[str, Any]) -> list[str]:
        """A list of fits that R had, made of Python's; a name whose list Python can't make is forgotten.

        Parameters
        ----------
        name : str
            R's variable.
        value : mapping
            Its value.
        """
        items = value.get("items", []) if value.get("type") == "list" else []
        held = [self.fits.get(int(item["fit"])) if item.get("type") == "fit" else None for item in items]
        variable, known = python_name(name), self.top.names.get(name)
        if not items or not all(held):
            self.top.names.pop(name, None)
            return []
        element = "fit<stan_lmer" if any("stanreg" in item.get("class", []) for item in items) else "fit"
        names = value.get("names")
        if names and all(names):
            inside = ", ".join(f"{quoted(n)}: {h}" for n, h in zip(names, held, strict=True))
            made, kind = f"{variable} = {{{inside}}}", "dict"
        elif known is not None and known.kind == "numbered":
            inside = ", ".join(f"{k}: {h}" for k, h in enumerate(held, 1))
            made, kind = f"{variable} = {{{inside}}}", "numbered"
        else:
            made, kind = f"{variable} = [{', '.join(str(h) for h in held)}]", "list"
        self.top.names[name] = Code(variable, kind, True, element)
        return [made]
