"""Every page's code runs alone and prints what the page shows; the site is built without a warning.

``pytest tests/whole/test_docs_code.py --force-regen`` rewrites outputs, and fails, so that the changes are looked at.
The two tutorial pages have tests of their own.
"""

import ast
import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    page
    for page in DOCS.rglob("*.md")
    if "```python\n" in page.read_text("utf-8") and not page.name.startswith("tutorial")
)
#: A block of code, and the output that is shown right below it.
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$(?:\n\n```text\n(?P<shown>.*?)^```$)?", re.MULTILINE | re.DOTALL)


def run(code: str, names: dict[str, object], page: str) -> str:
    """What a block prints, without blanks at the ends of lines."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(ast.parse(code), page, "exec"), names)
    return "".join(f"{line.rstrip()}\n" for line in output.getvalue().splitlines())


def replay(text: str, page: str) -> str:
    """The page with the outputs that its code prints now, where it shows any."""
    names: dict[str, object] = {"__name__": "__page__"}

    def block(match: re.Match[str]) -> str:
        printed = run(match["code"], names, page)
        if match["shown"] is None:
            return match[0]
        return f"```python\n{match['code']}```\n\n```text\n{printed}```"

    return BLOCK.sub(block, text)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_alone(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = page.read_text("utf-8")
    made = replay(text, str(page))
    if made != text and request.config.getoption("force_regen"):
        page.write_text(made, encoding="utf-8")
    assert made == text


def test_an_output_that_is_another_is_caught() -> None:
    page = "```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n\n```python\nx = 3\n```\n"
    assert replay(page, "page") == page
    assert replay(page.replace("\n2\n", "\n3\n"), "page") == page
    with pytest.raises(NameError):
        replay("```python\nprint(data)\n```\n", "page")


def test_pages_import_mlmparity_alone() -> None:
    found = {}
    for page in [*DOCS.rglob("*.md"), ROOT / "README.md"]:
        code = "".join(match["code"] for match in BLOCK.finditer(page.read_text("utf-8")))
        inside = re.findall(r"^\s*(?:from|import) (?:pyimpl|validation|bridge|r_scripts)\b.*", code, re.MULTILINE)
        if inside:
            found[page.name] = inside
    assert found == {}


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING -" not in done.stderr
    for page in ("index", "first-model", "faq", "r-packages", "conformance", "reference/models"):
        assert (tmp_path / f"{page}.html").exists()
    # nothing is loaded from elsewhere when a page is opened
    start = (tmp_path / "index.html").read_text("utf-8")
    assert not re.findall(r'<(?:script|img|link)[^>]+(?:src|href)="https?://', start)
