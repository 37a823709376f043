"""The files of a report: the page and the data, each whole or not there."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from validation.comparison import Comparison
from validation.files import make_folder, write_atomically
from validation.report.html import render_page
from validation.report.json import dumps
from validation.report.plots import Plot


def write_report(
    directory: str | os.PathLike[str],
    comparisons: Sequence[Comparison],
    *,
    reason: str | None = None,
    generated: str | None = None,
    extra_plots: Mapping[str, Sequence[Plot]] | None = None,
    command: str | None = None,
) -> tuple[Path, Path]:
    """Write ``report.html`` and ``report.json``, each whole or not there, to a directory that is made where it is not.

    The other arguments are those of :func:`validation.report.html.render_page`; both files' paths are returned.
    """
    page = render_page(comparisons, reason=reason, generated=generated, extra_plots=extra_plots, command=command)
    data = dumps(comparisons, reason=reason)
    folder = Path(directory)
    make_folder(folder)
    html, json = folder / "report.html", folder / "report.json"
    write_atomically(html, page)
    write_atomically(json, data + "\n")
    return html, json
