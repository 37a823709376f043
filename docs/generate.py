"""Write the generated parts of the pages in this folder anew: ``python docs/generate.py`` (``--check`` only compares).

``--record FILE ...`` first takes what ``make test-debian`` wrote down into the table of compatibility.md.
``--images`` also draws the pictures of plots.md, index.md and first-model.md anew (they differ between machines in
their fonts: look at them).

A generated part stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from r_scripts.arguments import R_ARGUMENTS
from validation import tolerances
from validation.certify import scores
from validation.conformance.output import ResultData, RunData, by_case, markdown, read_runs, version_of
from validation.references import certified
from validation.report.wording import table

HERE = Path(__file__).resolve().parent


def tolerance_table() -> str:
    """Every tolerance of the judge, with its unit and its reason, as a Markdown table."""
    rows = ["| check | what | limit | reason |", "|---|---|---|---|"]
    for value in vars(tolerances).values():
        if isinstance(value, tolerances.Tolerance):
            limit = "by the number of tests" if math.isnan(value.limit) else f"{value.limit:.3g}"
            unit = "" if value.unit == "exact" else " " + value.unit.replace("|", "&#124;")
            title = tolerances.TITLES[value.check]
            rows.append(f"| {value.check} | {title} | {limit}{unit} | {value.reason.replace('|', '&#124;')} |")
    return "\n".join(rows)


def proof_table() -> str:
    """What is proved of each certified case, as a Markdown table."""
    lines = [
        "| case | free elements of θ | only stationary point within | lowest | values | recomputed to |",
        "|---|---|---|---|---|---|",
    ]
    for name in certified.available():
        certificate = certified.load_certificate(name)
        proof = certificate.proof
        lowest = proof["lowest"]
        how = (
            "proved: the only minimum"
            if lowest["proved"]
            else f"evidence: {lowest['starts that end here']} of {lowest['starts']} starts end here, none lower"
        )
        box = f"{proof['unique within']:.2g}" if proof["free"] else "(θ = 0: the criterion rises)"
        worst = max(check["greatest relative difference"] for check in certificate.checks)
        lines.append(f"| {name} | {proof['free']} | {box} | {how} | {len(certificate.rows)} | {worst:.0e} |")
    return "\n".join(lines)


MOMENTS, QUANTILES = ("mean", "sd"), ("q2.5", "q50", "q97.5")


def enclosed_digits(posterior: certified.CertifiedPosterior, statistics: tuple[str, ...]) -> str:
    """Fewest digits of the enclosed statistics: −log10 of the radius in posterior sds."""
    sds = {row[0]: float(row[2]) for row in posterior.rows if row[1] == "sd"}
    shares = [
        float(radius) / sds[parameter]
        for parameter, statistic, _, radius, kind in posterior.rows
        if kind == certified.ENCLOSED and statistic in statistics and parameter in sds
    ]
    return f"{-math.log10(max(shares)):.0f}" if shares else "–"


def posterior_table() -> str:
    """The certified posteriors, as a Markdown table."""
    head = [
        "posterior",
        "dimensions",
        "enclosed",
        "estimated",
        "digits: mean, sd",
        "quantiles",
        "log evidence",
        "its error",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in certified.available_posteriors():
        found = certified.load_posterior(name)
        counts = [found.proof["dimensions"], found.count(certified.ENCLOSED), found.count(certified.ESTIMATED)]
        digits = [enclosed_digits(found, statistics) for statistics in (MOMENTS, QUANTILES)]
        evidence = [f"{found.log_evidence:.12f}", f"{float(found.row(certified.LOG_EVIDENCE, 'value')[3]):.0e}"]
        lines.append(f"| {' | '.join(map(str, [name, *counts, *digits, *evidence]))} |")
    return "\n".join(lines)


def conformance_table() -> str:
    """Who agrees with R on what, from the runs kept in ``docs/conformance``."""
    return markdown(read_runs(sorted((HERE / "conformance").glob("*.json"))))


def peer_digits() -> str:
    """Digits of every package against certified values, from the runs kept in ``docs/conformance``."""
    return digits_markdown(read_runs(sorted((HERE / "conformance").glob("*.json"))))


def digits_markdown(runs: Sequence[RunData]) -> str:
    """Digits of each candidate against certified values: by kind of number, and case by case.

    Log relative errors of the worst element, as NIST's StRD gives them (``validation.certify.scores.score_table``). A
    case that a candidate claims and could not fit is counted, and has no digits.
    """
    known = [run for run in runs if any(result.get("digits") for result in run["results"])]
    if not known:
        return "*No digits yet.*"
    quantities = list(
        dict.fromkeys(q for run in known for result in run["results"] for q in result.get("digits") or ())
    )
    certified = {result["case"] for run in known for result in run["results"] if result.get("digits")}
    rows = []
    for run in known:
        own = [result for result in run["results"] if result["case"] in certified and result["status"] != "not claimed"]
        fitted = [result["digits"] for result in own if result.get("digits")]
        cells = []
        for quantity in quantities:
            values = [value for found in fitted if (value := found.get(quantity)) is not None]
            cells.append(f"{median(values):.1f} ({min(values):.1f})" if values else "–")
        rows.append([f"{run['candidate']['name']} {version_of(run)}", f"{len(fitted)} of {len(own)}", *cells])
    shown = [quantity for quantity in ("SDs", "β", "SE", "logLik", "BLUPs") if quantity in quantities]

    def cell(result: ResultData) -> str:
        digits = result.get("digits")
        if not digits:
            return "raises" if result.get("status") == "raised" else ""
        return " · ".join("–" if (value := digits.get(name)) is None else f"{value:.1f}" for name in shown)

    by_run = [by_case(run) for run in known]
    order = dict.fromkeys(result["case"] for run in known for result in run["results"])
    cells_of_cases = [
        [name, *(cell(own.get(name, ResultData())) for own in by_run)] for name in order if name in certified
    ]
    return "\n".join(
        [
            *table(["package", "cases fitted", *quantities], rows),
            "",
            f"Case by case, {' · '.join(shown)}:",
            "",
            *table(["case", *(run["candidate"]["name"] for run in known)], cells_of_cases),
        ]
    )


def _rounded(digits: float | None) -> float | None:
    return None if digits is None else round(digits, 1)


def compatibility_table() -> str:
    """What ran on what, from the records kept in ``docs/compatibility`` (``make test-debian`` writes them)."""
    lines = [
        "| system, processor | Python, with | R, with | `make validate` | `make test` | when |",
        "|---|---|---|---|---|---|",
    ]
    for path in sorted((HERE / "compatibility").glob("*.json")):
        kept = json.loads(path.read_text("utf-8"))
        python = ", ".join(f"{name} {version}" for name, version in kept["python packages"].items())
        r = dict(kept["R"])
        r_here = f"{r.pop('R')}: " + ", ".join(f"{name} {version}" for name, version in r.items()) if r else "none"
        cells = [
            f"{kept['system']}, {kept['machine']}; {kept['processor']}",
            f"{kept['python']}: {python}",
            r_here,
            outcome(kept["runs"], "validate"),
            outcome(kept["runs"], "test"),
            f"{kept['date']}, {kept['commit']}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def outcome(runs: dict[str, dict[str, Any]], command: str) -> str:
    """What came of a command, in words; the first of a run sets up what is missing."""
    if command not in runs:
        return "not run"
    run, first = runs[command], next(iter(runs))
    words = [f"exit {run['exit']}, {run['seconds']} s"]
    if first == command:
        words[0] += " with set-up"
    elif first.startswith("setup"):
        words[0] += f" after {runs[first]['seconds']} s of set-up"
    if "passed" in run:
        words.append(f"{run['passed']} passed, {run['failed']} failed, {run['skipped']} skipped")
    words += [f"`{name}`" for name in run.get("failures", ())]
    return "; ".join(words)


def keep_records(files: list[Path]) -> None:
    """Take records of runs into ``docs/compatibility``, each in the place of an earlier one of its name."""
    for file in files:
        kept = json.loads(file.read_text("utf-8"))
        missing = {"name", "commit", "date", "system", "python packages", "R", "runs"} - kept.keys()
        if missing:
            raise SystemExit(f"{file} is no record of tests/debian.sh: it lacks {', '.join(sorted(missing))}")
        (HERE / "compatibility" / f"{kept['name']}.json").write_text(json.dumps(kept, indent=1) + "\n", "utf-8")


def r_arguments_table() -> str:
    """R's arguments that have no meaning here, as a Markdown table."""
    lines = ["| function | argument | accepted | why |", "|---|---|---|---|"]
    for function, arguments in R_ARGUMENTS.items():
        lines += [f"| `{function}` | `{name}` | {one.expected} | {one.why} |" for name, one in arguments.items()]
    return "\n".join(lines)


def commands_table() -> str:
    """Every command with its arguments and options."""
    from typer.main import get_command

    from validation.cli import app

    group = get_command(app)
    parts = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        parts += [f"## mlmparity {name}", "", (command.help or "").strip(), "", "| | |", "|---|---|"]
        for one in command.params:
            if one.name == "help":
                continue
            names = "/".join([*sorted(one.opts, key=len), *one.secondary_opts])
            value = "" if getattr(one, "is_flag", False) else f" `{one.metavar or 'VALUE'}`"
            shown = f"`{names}`{value}" if names.startswith("-") else f"`{one.metavar or names.upper()}`"
            parts.append(f"| {shown} | {(getattr(one, 'help', None) or '').replace('|', '&#124;')} |")
        parts.append("")
    return "\n".join(parts).rstrip()


PARTS: dict[str, Callable[[], str]] = {
    "tolerances": tolerance_table,
    "proofs": proof_table,
    "posteriors": posterior_table,
    "samplers": lambda: scores.posterior_markdown(scores.load_posterior_scores()),
    "digits": lambda: scores.markdown(scores.load_scores()),
    "conformance": conformance_table,
    "peer-digits": peer_digits,
    "compatibility": compatibility_table,
    "r-arguments": r_arguments_table,
    "commands": commands_table,
}


def renewed(text: str) -> str:
    """The page with its generated parts made anew."""
    for name, make in PARTS.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        text = re.sub(pattern, lambda match, make=make: f"{match[1]}{make()}\n{match[2]}", text, flags=re.DOTALL)
    return text


def stale(pages: list[Path] | None = None) -> list[Path]:
    """Pages whose generated parts are not what the code gives today."""
    pages = sorted(HERE.rglob("*.md")) if pages is None else pages
    return [page for page in pages if renewed(page.read_text("utf-8")) != page.read_text("utf-8")]


def abridged(run: RunData) -> RunData:
    """A run with only what the table needs, small enough to be kept: the first cause, and the figures that fail.

    It is still of the schema of ``mlmparity conformance --json``; abridging it again changes nothing.
    """
    kept = run.copy()
    kept["results"] = [
        {
            "case": result["case"],
            "needs": result["needs"],
            "status": result["status"],
            "error": result["error"],
            "judged_by": result.get("judged_by", ""),
            "digits": result.get("digits", {}),
            "checks": [{"id": check["id"], "verdict": check["verdict"]} for check in result["checks"]],
            "causes": [{"name": cause["name"], "title": cause["title"]} for cause in result["causes"][:1]],
            "figures": [
                {"quantity": row["quantity"], "failed": row["failed"], "digits": _rounded(row["digits"])}
                for row in result["figures"]
                if row["failed"]
            ],
        }
        for result in run["results"]
    ]
    return kept


def abridge_runs() -> None:
    """Leave of the runs in ``docs/conformance`` only what the table needs."""
    for path in sorted((HERE / "conformance").glob("*.json")):
        (run,) = read_runs([path])
        path.write_text(json.dumps(abridged(run), ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if "--abridge" in sys.argv:
        abridge_runs()
    if "--images" in sys.argv:
        sys.path.insert(0, str(HERE))
        import gallery
        import pictures

        for image in [*gallery.draw(HERE / "images"), *pictures.draw(HERE / "images")]:
            print(f"wrote images/{image.name}")
    if "--record" in sys.argv:
        keep_records([Path(name) for name in sys.argv[sys.argv.index("--record") + 1 :]])
    outdated = stale()
    if "--check" in sys.argv:
        sys.exit("\n".join(f"{page.name} is stale: run python docs/generate.py" for page in outdated) or 0)
    for page in outdated:
        page.write_text(renewed(page.read_text("utf-8")), encoding="utf-8")
        print(f"wrote {page.name}")
