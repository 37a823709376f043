"""The pages' generated parts are what the code gives today."""

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from r_scripts.dialect import PACKAGES, STACKS

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


def test_what_is_said_to_be_tested_was_run_and_the_other_way_round() -> None:
    """`doctor` names the stacks of the dialect table, docs/compatibility.md the runs: they are the same."""
    kept = [json.loads(path.read_text("utf-8")) for path in (DOCS / "compatibility").glob("*.json")]
    # The oldest records were made before lmerTest was asked for its version.
    ran = [{name: one["R"].get(name) for name in PACKAGES} for one in kept]
    for stack in STACKS.values():
        assert any(all(found in (None, stack[name]) for name, found in one.items()) for one in ran), stack
    for one in ran:
        assert any(all(found in (None, stack[name]) for name, found in one.items()) for stack in STACKS.values()), one


def test_a_record_of_a_run_names_what_failed(generate: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "test-debian.xml").write_text(
        '<testsuites><testsuite tests="4" failures="1" errors="1" skipped="1">'
        '<testcase classname="tests.bridge.test_a" name="right"/>'
        '<testcase classname="tests.bridge.test_a" name="wrong[1]"><failure/></testcase>'
        '<testcase classname="tests.bridge.test_b.TestClass" name="broken"><error/></testcase>'
        '<testcase classname="tests.bridge.test_b" name="left"><skipped/></testcase></testsuite></testsuites>'
    )
    script = DOCS.parent / "tests" / "run_record.py"
    command = [sys.executable, str(script), "here", "test=2:60", "validate=0:50"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    runs = json.loads(done.stdout)["runs"]
    assert generate.outcome(runs, "test") == (
        "exit 2, 60 s with set-up; 1 passed, 2 failed, 1 skipped; `tests/bridge/test_a.py::wrong[1]`; "
        "`tests/bridge/test_b.py::broken`"
    )
    assert generate.outcome(runs, "validate") == "exit 0, 50 s"
    assert generate.outcome(runs, "lint") == "not run"
    apart = {"setup-dev": {"exit": 0, "seconds": 90}, **runs}
    assert generate.outcome(apart, "validate") == "exit 0, 50 s after 90 s of set-up"


def test_what_is_no_record_is_not_taken(generate: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"name": "other"}')
    with pytest.raises(SystemExit, match=r"no record of tests/debian\.sh: it lacks R, commit"):
        generate.keep_records([tmp_path / "other.json"])
