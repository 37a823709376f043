"""The pages' generated parts are what the code gives today."""

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_page_is_stale(generate: ModuleType) -> None:
    assert generate.stale() == []


def test_every_tolerance_is_on_the_page(generate: ModuleType) -> None:
    table = generate.tolerance_table()
    assert len(table.splitlines()) > 10
    assert table in (DOCS / "agreement.md").read_text(encoding="utf-8")


def test_a_changed_page_is_noticed(generate: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "agreement.md"
    text = (DOCS / "agreement.md").read_text(encoding="utf-8")
    page.write_text(text.replace("| tier-2 |", "| tier-3 |", 1), encoding="utf-8")
    assert generate.stale([page]) == [page]


def test_gallery_shows_every_picture_once(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    gallery = importlib.import_module("gallery")
    page = (DOCS / "plots.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^]]{40,}\]\(images/plot-([\w-]+)\.png\)", page)
    assert shown == [*gallery.RESULTS, *gallery.PICTURES]
    for name in shown:
        assert 2_000 < (DOCS / "images" / f"plot-{name}.png").stat().st_size < 60_000
