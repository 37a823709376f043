"""What R was seen to do, asked by the statement, the site, the fit or the name."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from validation.migrate.instrument import Site
from validation.migrate.watch import Watched

__all__ = ["Seen", "holds_fits"]

_DEFAULT_CONTRASTS = ["contr.treatment", "contr.poly"]


def holds_fits(value: Mapping[str, Any]) -> bool:
    """Whether a value of R is a fit, or a list that holds one."""
    return value.get("type") == "fit" or any(holds_fits(item) for item in value.get("items") or [])


class Seen:
    """The events of a watched run, in the order of what is asked of them.

    Parameters
    ----------
    watched : Watched or None
        None where nothing was run.
    places : list of Site

    Attributes
    ----------
    events : list of dict
    sites : dict
        Site -> its frames, formulas and columns, as :class:`validation.migrate.translate.Translator` wants them.
    vectors : dict of str to DataFrame
        Weights and offsets that are no columns, as R had them.
    """

    def __init__(self, watched: Watched | None, places: list[Site]) -> None:
        self.watched, self.places = watched, places
        self.events: list[dict[str, Any]] = watched.events if watched else []
        self.vectors: dict[str, pd.DataFrame] = {}
        self._coded: dict[int, dict[str, Any]] = {}
        self._by_statement: dict[int, list[dict[str, Any]]] = {}
        for event in self.events:
            self._by_statement.setdefault(int(event.get("statement", -1)), []).append(event)
        self.sites = self._sites()

    def at(self, statement: int, *kinds: str) -> list[dict[str, Any]]:
        """The events of a statement, in order; of these kinds."""
        return [e for e in self._by_statement.get(statement, []) if not kinds or e["event"] in kinds]

    def frame(self, number: int) -> dict[str, Any]:
        """A data frame as R wrote it; empty where it was too large."""
        return self.watched.frames.get(number, {}) if self.watched else {}

    def _sites(self) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        for event in self.events:
            if event["event"] not in ("fit", "value"):
                continue
            one = found.setdefault(int(event["site"]), {"frames": [], "formulas": [], "columns": [], "of_fit": True})
            if event["event"] == "fit":
                self._note_fit(one, event)
            elif event.get("of") is None:
                one["of_fit"] = False
        return found

    def _note_fit(self, one: dict[str, Any], event: Mapping[str, Any]) -> None:
        fit = event["fit"]
        one["algorithm"] = fit.get("algorithm")
        one["tests"] = "lmerModLmerTest" in fit["classes"]
        if "frame" in fit:
            one["frames"].append(int(fit["frame"]))
            one["columns"] = self.frame(int(fit["frame"])).get("names", [])
            one["contrasts"] = self.contrasts(fit)
            self._coded.setdefault(int(fit["frame"]), one["contrasts"])
        one["formulas"].append(fit.get("formula", ""))
        one["vectors"] = {}
        for argument in ("weights", "offset"):
            values = fit.get(argument, {}).get("value", {})
            if values.get("type") in ("double", "integer"):
                key = f"{argument}_{event['number']}"
                self.vectors[key] = pd.DataFrame({argument: [float(v) for v in values["values"]]})
                one["vectors"][argument] = key

    def contrasts(self, fit: Mapping[str, Any]) -> dict[str, Any]:
        """The contrasts of a model's factors where they are not R's defaults: their own, or those of R's options."""
        option = fit.get("contrasts_option") or _DEFAULT_CONTRASTS
        frame, out = self.frame(int(fit["frame"])), {}
        effects = re.sub(r"\|\|?[^|()]*\)", ")", fit.get("formula", ""))  # a grouping factor has none
        for name, column in zip(frame.get("names", []), frame.get("columns", []), strict=True):
            if not re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", effects):
                continue
            own = column.get("contrasts")
            if own is not None:
                out[name] = _contrasts_of(own)
            elif column["type"] in ("factor", "ordered", "character") and option != _DEFAULT_CONTRASTS:
                out[name] = option[1 if column["type"] == "ordered" else 0]
        return out

    def usual_contrasts(self, frame: int) -> dict[str, Any]:
        """The contrasts of the first model that had a frame."""
        return self._coded.get(frame, {})


def _contrasts_of(value: Mapping[str, Any]) -> Any:
    """A function's name, or a matrix: by the columns' names where it has some, else row by row."""
    if value["type"] == "character":
        return value["values"][0]
    rows, numbers = value["dim"][0], value["values"]
    names = (value.get("dimnames") or [None, None])[1]
    if names:
        return {name: numbers[k * rows : (k + 1) * rows] for k, name in enumerate(names)}
    return [numbers[i::rows] for i in range(rows)]
