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
    """Write ``report.html`` and ``report.json``; each is whole or not there.

    Parameters
    ----------
    directory : path
        Made where it does not exist.
    comparisons : sequence of Comparison
    reason, generated, extra_plots, command
        As in :func:`validation.report.html.render_page`.

    Returns
    -------
    tuple of Path
        The page and the JSON file.
    """
    page = render_page(comparisons, reason=reason, generated=generated, extra_plots=extra_plots, command=command)
    data = dumps(comparisons, reason=reason)
    folder = Path(directory)
    make_folder(folder)
    html, json = folder / "report.html", folder / "report.json"
    write_atomically(html, page)
    write_atomically(json, data + "\n")
    return html, json
