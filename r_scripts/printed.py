"""R's printed text in a notebook: the same letters, in a box that fits a page, with its headings told apart."""

import html
import re

__all__ = ["printed_html"]

_HEADING = re.compile(r"^(?! )[^:]{3,60}:\s*$")  # "Random effects:"
_LABELLED = re.compile(r"^( {0,3}[A-Z][\w. ]{2,40}:)( .*)$")  # "Formula: y ~ x", " Family: gaussian"
_STARS = re.compile(r"(?<= )(\*{1,3}|\.)(?= *$)")
_STYLE = (
    "max-width:800px;overflow-x:auto;margin:0.2em 0;padding:0.6em 0.8em;border-left:3px solid #2b6cb0;"
    "background:rgba(127,127,127,0.07);color:inherit;text-align:left"
)
_TEXT = (
    "margin:0;padding:0;border:0;background:none;color:inherit;white-space:pre;"
    "font:12.5px/1.4 ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"
)


def printed_html(text: str) -> str:
    """Return R's printed text as HTML for a notebook's cell.

    Nothing is left out and nothing is aligned anew: the formulas, stars and legends stand where R puts them. What is
    wider than 800 pixels can be scrolled within its box.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        One ``<div>`` with its styles; without script.
    """
    lines = text.rstrip("\n").split("\n")
    legend = any(line.startswith("Signif. codes:") for line in lines)
    shown = "\n".join(_line(line, first=i == 0, stars=legend) for i, line in enumerate(lines))
    return f'<div class="mlmparity-printed" style="{_STYLE}"><pre style="{_TEXT}">{shown}</pre></div>'


def _line(line: str, *, first: bool, stars: bool) -> str:
    if (first and line.strip() and not line.startswith(" ")) or _HEADING.match(line):
        return f"<b>{html.escape(line)}</b>"
    if found := _LABELLED.match(line):
        return f"<b>{html.escape(found[1])}</b>{html.escape(found[2])}"
    if stars and (found := _STARS.search(line)):
        start = found.start()
        return f'{html.escape(line[:start])}<b style="color:#b4520f">{found[0]}</b>{line[found.end() :]}'
    return html.escape(line)
