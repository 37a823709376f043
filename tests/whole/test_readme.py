"""What the README shows runs, and stays short enough to be read."""

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) < 150


def test_links_and_pictures_are_there() -> None:
    text = README.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert len(targets) > 4
    assert [target for target in targets if not (README.parent / target).exists()] == []


@pytest.mark.r
def test_the_examples_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # the examples write a picture
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    printed = capsys.readouterr().out
    assert "Linear mixed model fit by maximum likelihood" in printed
    assert "True" in printed
    assert str(names["html"]).lstrip().lower().startswith("<!doctype html>")
    assert (tmp_path / "caterpillar.png").stat().st_size > 1000
