"""docs/tutorial.md cannot drift: its code is run, and its outputs are what the code prints.

``pytest tests/whole/test_tutorial_page.py --force-regen`` rewrites outputs and pictures, and fails, so that the changes
are looked at.
"""

import ast
import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run(code, names):
    """What a block prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(ast.parse(code), str(PAGE), "exec"), names)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines())


def replay(text):
    """The page with its outputs as the code prints them now."""
    names = {"__name__": "__tutorial__"}
    printed = None

    def block(match):
        nonlocal printed
        kind, content = match.groups()
        if kind == "python":
            assert not printed, f"nothing on the page shows what was printed before:\n{content}"
            printed = run(content, names)
            return match.group(0)
        shown, printed = printed, None
        return f"```text\n{shown}\n```"

    made = BLOCK.sub(block, text)
    assert not printed
    return made


@pytest.mark.r
def test_outputs_are_what_the_code_prints(tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    made = replay(text)
    pictures = re.findall(r"!\[[^]]{40,}\]\((\S+)\)", text)
    made_pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert sorted(pictures) == made_pictures == ["tutorial-M2.png", "tutorial-M3.png"]
    if request.config.getoption("force_regen"):
        PAGE.write_text(made, encoding="utf-8")
        for name in pictures:
            shutil.copyfile(tmp_path / name, PAGE.parent / name)
        assert made == text, "outputs were rewritten; look at the changes"
    assert made == text
    for name in pictures:
        assert (PAGE.parent / name).stat().st_size > 10_000


def test_a_changed_output_is_caught():
    text = "```python\nprint(1 + 1)\n```\n\n```text\n2\n```\n"
    assert replay(text) == text
    assert replay(text.replace("\n2\n", "\n3\n")) == text


def test_an_output_that_is_not_shown_is_caught():
    with pytest.raises(AssertionError):
        replay("```python\nprint(1)\n```\n")
    with pytest.raises(AssertionError, match="nothing on the page"):
        replay("```python\nprint(1)\n```\n```python\nx = 2\n```\n")
