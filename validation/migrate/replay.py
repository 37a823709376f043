"""The written script, run with its watched calls' values kept; used for the report and by ``test_migration.py``.

The script is an ordinary one. To keep values without changing it, its tree is marked where ``migration.json`` says that
counterparts of R's calls stand.
"""

import ast
import contextlib
import io
import json
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from validation.migrate.repeats import Limits, shifted, sliced, times_within
from validation.migrate.values import MANY, Labelled, from_python, summed_up

__all__ = ["AT_R", "Replayed", "describe_fit", "repeat", "replay"]

#: Quantiles of a posterior that R's side writes down too.
PROBABILITIES = (0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975)


@dataclass
class Replayed:
    """What the script did.

    Attributes
    ----------
    seen : dict of int to list of Labelled
        Site -> its values in order; a fit's are its estimates (:func:`describe_fit`).
    error : str or None
        What ended the script.
    line : int
        The script's line where it ended.
    printed : str
    again : list of dict of int to list of Labelled
        ``seen`` of the random values, with other seeds (:func:`repeat`).
    """

    seen: dict[int, list[Labelled]] = field(default_factory=dict)
    error: str | None = None
    line: int = 0
    printed: str = ""
    again: list[dict[int, list[Labelled]]] = field(default_factory=list)


def describe_fit(fit: Any) -> dict[str, Any]:
    """A fit's estimates, named as ``r_scripts/watch.R`` names R's.

    Parameters
    ----------
    fit : LmerFit or StanLmerFit or a fit of ``lm``
    """
    if hasattr(fit, "ndraws"):
        table = fit.summary(probs=list(PROBABILITIES), pars=list(fit.as_matrix().columns)).table
        return {"draws": table}
    if not hasattr(fit, "fixef") and isinstance(fit.coef(), pd.DataFrame):  # lmList
        return {"coef": fit.coef()}
    out: dict[str, Any] = {"nobs": float(fit.nobs()), "sigma": float(fit.sigma()), "logLik": float(fit.logLik())}
    if hasattr(fit, "fixef"):
        out["fixef"], out["coefficients"] = fit.fixef(), fit.coef_table()
        out["theta"], out["components"] = fit.getME("theta"), pd.DataFrame(fit.VarCorr())
        out["ngrps"], out["ranef"] = fit.ngrps(), fit.ranef()
    else:
        out["fixef"] = fit.coef()
        table = getattr(fit, "coef_table", None)
        if table is not None:
            out["coefficients"] = table()
    return out


class _Marks(ast.NodeTransformer):
    """``call`` as ``__seen(site, call)``; one that draws is ``__only(its own sites, ...)``."""

    def __init__(self, spans: dict[tuple[int, int, int, int], list[int]], drawing: Mapping[str, list[int]]) -> None:
        self.spans, self.drawing = spans, drawing

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node, ast.expr):
            return node
        place = (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
        for site in self.spans.pop(place, []):
            inner: ast.expr = node
            if str(site) in self.drawing:
                nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
                own = ast.Tuple([ast.Constant(one) for one in self.drawing[str(site)]], ast.Load())
                inner = ast.Call(ast.Name("__only", ast.Load()), [own, ast.Lambda(nothing, node)], [])
            call = ast.Call(ast.Name("__seen", ast.Load()), [ast.Constant(site), inner], [])
            node = ast.copy_location(call, node)
        return node


def _with_kept(tree: ast.Module, kept: list[dict[str, Any]]) -> None:
    """After the statement that ends at its line, each variable is kept."""
    for one in sorted(kept, key=lambda one: -one["line"]):
        before = [k for k, node in enumerate(tree.body) if (node.end_lineno or 0) <= one["line"]]
        if not before:
            continue
        node = tree.body[before[-1]]
        made = ast.Expr(
            ast.Call(
                ast.Name("__seen", ast.Load()), [ast.Constant(one["site"]), ast.Name(one["variable"], ast.Load())], []
            )
        )
        tree.body.insert(before[-1] + 1, ast.copy_location(made, node))


def replay(script: Path, migration: Mapping[str, Any]) -> Replayed:
    """Run a script that ``mlmparity migrate`` wrote.

    Parameters
    ----------
    script : Path
    migration : mapping
        ``spans``: ``site line column end_line end_column`` of the calls whose values are kept; ``kept``: ``site
        variable line`` of variables; ``drawing``: site of a call that draws random numbers -> the sites in its
        arguments, which are kept; what a function does that is given to it is not; ``thetas``: site -> R's θ of the
        fits there, in order.
    """
    found = Replayed()
    try:
        tree = _marked(script, migration)
    except SyntaxError as error:
        found.error, found.line = f"SyntaxError: {error.msg}", error.lineno or 0
        return found
    _run(tree, script, found, thetas=migration.get("thetas"))
    return found


def repeat(script: Path, migration: Mapping[str, Any], limits: Limits) -> list[dict[int, list[Labelled]]]:
    """Run the random part of a script again and again, with other seeds.

    Parameters
    ----------
    script : Path
    migration : mapping
        As for :func:`replay`; ``drawn``: sites of the values that are computed from random numbers.
    limits : Limits

    Returns
    -------
    list of dict of int to list of Labelled
        For each time, site -> its values in order.
    """
    drawn = set(migration["drawn"])
    lines = {(one["line"], one["end_line"]) for one in migration["spans"] if one["site"] in drawn}
    ends = {one["line"] for one in migration.get("kept", []) if one["site"] in drawn}

    def wanted(node: ast.stmt) -> bool:
        first, last = node.lineno, node.end_lineno or 0
        return any(first <= a and b <= last for a, b in lines) or any(first <= end <= last for end in ends)

    whole = ast.parse(script.read_text(encoding="utf-8"), str(script))
    only = {key: [one for one in migration.get(key, []) if one["site"] in drawn] for key in ("spans", "kept")}
    tree = shifted(_with_marks(sliced(whole, wanted), {**migration, **only}))
    found: list[dict[int, list[Labelled]]] = []

    def of_draws(value: Labelled) -> Labelled:
        return summed_up(value) if len(value.numbers) >= MANY else value

    def once(k: int) -> bool:
        one = Replayed()
        _run(tree, script, one, shift=k)
        if one.error is None:
            found.append({site: [of_draws(v) for v in values] for site, values in one.seen.items() if site in drawn})
        return one.error is None

    times_within(once, limits)
    return found


def _marked(script: Path, migration: Mapping[str, Any]) -> ast.Module:
    text = script.read_text(encoding="utf-8")
    tree = ast.parse(text, str(script))
    compile(text, str(script), "exec")  # finds what the grammar allows and the compiler does not
    return _with_marks(tree, migration)


def _with_marks(tree: ast.Module, migration: Mapping[str, Any]) -> ast.Module:
    places: dict[tuple[int, int, int, int], list[int]] = {}
    for span in migration["spans"]:
        place = (span["line"], span["column"], span["end_line"], span["end_column"])
        places.setdefault(place, []).append(span["site"])
    kept = migration.get("kept", [])
    _Marks(places, migration.get("drawing", {})).visit(tree)
    _with_kept(tree, kept)
    return ast.fix_missing_locations(tree)


#: The criterion at R's θ above its least value, by Python's own function.
AT_R = "criterion at R's theta, above the optimum"


def _at(fit: Any, theta: list[float]) -> list[tuple[str, float]]:
    """How far R's θ lies above Python's optimum, in −2 log L; of a fit that has a criterion in as many θ."""
    if not hasattr(fit, "devfun") or not all(isinstance(one, int | float) for one in theta):
        return []
    own = fit.getME("theta")
    return [(AT_R, float(fit.devfun(theta) - fit.devfun(own)))] if len(own) == len(theta) else []


def _run(
    tree: ast.Module,
    script: Path,
    found: Replayed,
    shift: int = 0,
    thetas: Mapping[str, list[list[float] | None]] | None = None,
) -> None:
    """Run the marked script; what it computes is kept in ``found``."""
    among: list[tuple[int, ...]] = []

    def seen(site: int, value: Any) -> Any:
        if among and site not in among[-1]:
            return value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            is_fit = all(callable(getattr(value, verb, None)) for verb in ("nobs", "sigma", "coef"))
            labelled = from_python(describe_fit(value) if is_fit else value)
            several = found.seen.setdefault(site, [])
            theirs = dict(enumerate((thetas or {}).get(str(site), []))).get(len(several))
            if is_fit and theirs:
                labelled.numbers += _at(value, theirs)
            several.append(labelled)
        return value

    def only(sites: tuple[int, ...], call: Callable[[], Any]) -> Any:
        among.append(sites)
        try:
            return call()
        finally:
            among.pop()

    def other_seed(seed: Any) -> Any:
        return seed + 7919 * shift if isinstance(seed, int) else seed

    names = {
        "__name__": "__main__",
        "__file__": str(script),
        "__seen": seen,
        "__only": only,
        "__shifted": other_seed,
    }
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(tree, str(script), "exec"), names)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        found.error = f"{type(error).__name__}: {error}"
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(script)]
        found.line = frames[0].lineno or 0 if frames else 0
    found.printed = output.getvalue()


def _stored(seen: Mapping[int, list[Labelled]]) -> dict[str, Any]:
    return {
        str(site): [
            {"numbers": one.numbers, "texts": one.texts, "other": one.other, "summed": one.summed} for one in many
        ]
        for site, many in seen.items()
    }


def _restored(stored: Mapping[str, Any]) -> dict[int, list[Labelled]]:
    return {
        int(site): [
            Labelled(
                [(a, float(b)) for a, b in one["numbers"]],
                [(a, b) for a, b in one["texts"]],
                one["other"],
                summed=one["summed"],
            )
            for one in many
        ]
        for site, many in stored.items()
    }


def _plain(found: Replayed) -> dict[str, Any]:
    return {"values": _stored(found.seen), "error": found.error, "line": found.line, "printed": found.printed}


def read_replayed(path: Path) -> Replayed:
    """What :func:`main` wrote."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Replayed(_restored(stored["values"]), stored["error"], stored["line"], stored["printed"])


def read_repeated(path: Path) -> list[dict[int, list[Labelled]]]:
    """What :func:`main` wrote of the random part."""
    return [_restored(one) for one in json.loads(path.read_text(encoding="utf-8"))]


def main() -> None:
    """``python -m validation.migrate.replay SCRIPT MIGRATION.json OUT [again]``: in a process of its own."""
    script, place, out = (Path(argument) for argument in sys.argv[1:4])
    migration = json.loads(place.read_text(encoding="utf-8"))
    if sys.argv[4:] == ["again"]:
        out.write_text(json.dumps([_stored(one) for one in repeat(script, migration, Limits())]), encoding="utf-8")
    else:
        out.write_text(json.dumps(_plain(replay(script, migration))), encoding="utf-8")


if __name__ == "__main__":
    main()
