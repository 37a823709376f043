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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from validation.migrate.values import Labelled, from_python

__all__ = ["Replayed", "describe_fit", "replay"]

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
    """

    seen: dict[int, list[Labelled]] = field(default_factory=dict)
    error: str | None = None
    line: int = 0
    printed: str = ""


def describe_fit(fit: Any) -> dict[str, Any]:
    """A fit's estimates, named as ``r_scripts/watch.R`` names R's.

    Parameters
    ----------
    fit : LmerFit or StanLmerFit or a fit of ``lm``
    """
    if hasattr(fit, "ndraws"):
        table = fit.summary(probs=list(PROBABILITIES), pars=list(fit.as_matrix().columns)).table
        return {"draws": table}
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
    def __init__(self, spans: dict[tuple[int, int, int, int], list[int]]) -> None:
        self.spans = spans

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node, ast.expr):
            return node
        place = (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
        for site in self.spans.pop(place, []):
            call = ast.Call(ast.Name("__seen", ast.Load()), [ast.Constant(site), node], [])
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
        variable line`` of variables.

    Returns
    -------
    Replayed
    """
    found = Replayed()
    text = script.read_text(encoding="utf-8")
    places: dict[tuple[int, int, int, int], list[int]] = {}
    for span in migration["spans"]:
        place = (span["line"], span["column"], span["end_line"], span["end_column"])
        places.setdefault(place, []).append(span["site"])
    try:
        tree = ast.parse(text, str(script))
        compile(text, str(script), "exec")  # finds what the grammar allows and the compiler does not
    except SyntaxError as error:
        found.error, found.line = f"SyntaxError: {error.msg}", error.lineno or 0
        return found
    _Marks(places).visit(tree)
    _with_kept(tree, migration.get("kept", []))
    ast.fix_missing_locations(tree)

    def seen(site: int, value: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            is_fit = all(callable(getattr(value, verb, None)) for verb in ("nobs", "sigma", "summary"))
            found.seen.setdefault(site, []).append(from_python(describe_fit(value) if is_fit else value))
        return value

    names = {"__name__": "__main__", "__file__": str(script), "__seen": seen}
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
    return found


def _plain(found: Replayed) -> dict[str, Any]:
    values = {
        str(site): [{"numbers": one.numbers, "texts": one.texts, "other": one.other} for one in many]
        for site, many in found.seen.items()
    }
    return {"values": values, "error": found.error, "line": found.line, "printed": found.printed}


def read_replayed(path: Path) -> Replayed:
    """What :func:`main` wrote."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    values = {
        int(site): [
            Labelled([(a, float(b)) for a, b in one["numbers"]], [(a, b) for a, b in one["texts"]], one["other"])
            for one in many
        ]
        for site, many in stored["values"].items()
    }
    return Replayed(values, stored["error"], stored["line"], stored["printed"])


def main() -> None:
    """``python -m validation.migrate.replay SCRIPT MIGRATION.json OUT``: in a process of its own."""
    script, migration, out = (Path(argument) for argument in sys.argv[1:4])
    found = replay(script, json.loads(migration.read_text(encoding="utf-8")))
    out.write_text(json.dumps(_plain(found)), encoding="utf-8")


if __name__ == "__main__":
    main()
