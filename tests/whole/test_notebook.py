"""The notebook of the examples runs from top to bottom, and its cells show what they should."""

from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook: Any = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()  # an error in a cell is an error here
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs, cell.source
            assert not [out for out in cell.outputs if out.get("name") == "stderr"], cell.source
    shown = [data for cell in notebook.cells for data in _shown(cell)]
    assert sum("image/png" in data for data in shown) >= 2
    assert sum("mlmparity-printed" in str(data.get("text/html", "")) for data in shown) >= 5


def _shown(cell: Any) -> list[Any]:
    return [out["data"] for out in cell.get("outputs", ()) if "data" in out]
