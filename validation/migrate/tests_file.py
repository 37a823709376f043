"""``test_migration.py``: holds R's values without R, by pytest and pytest-regressions."""

import contextlib
import json
import math
import tempfile
from pathlib import Path

import pandas as pd

from validation.files import write_atomically
from validation.migrate.code import python_name
from validation.migrate.compared import Compared
from validation.migrate.replay import replay
from validation.migrate.script import Script

__all__ = ["Held", "write_tests"]

_TEST = '''"""{script} gives the values that {source} gave in R; written by `mlmparity migrate`.

R's values lie in test_migration/*.csv, how far a value may be from R's in migration.json. No R is needed.
"""

from pathlib import Path

import pytest

from validation.migrate.tests_file import Held

HELD = Held(Path(__file__).parent)


@pytest.fixture(scope="module")
def values():
    return HELD.values()


@pytest.mark.parametrize("name", HELD.names)
def test_value_is_that_of_r(name, values, num_regression):
    num_regression.check(values[name], basename=name, tolerances=HELD.tolerances(name))
'''


class Held:
    """R's values that a migrated script is held to.

    Parameters
    ----------
    folder : Path
        Where ``migration.json`` and the script lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.migration = json.loads((folder / "migration.json").read_text(encoding="utf-8"))

    @property
    def names(self) -> list[str]:
        """The values' names: line, function, and which time in a loop."""
        return list(self.migration.get("held", {}))

    def values(self) -> dict[str, dict[str, list[float]]]:
        """Run the script; its values in the form that ``num_regression`` checks.

        Raises
        ------
        RuntimeError
            The script failed.
        """
        script = self.folder.resolve() / self.migration["script"]
        with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):  # what it writes is not kept
            found = replay(script, self.migration)
        if found.error is not None:
            raise RuntimeError(f"{self.migration['script']}, line {found.line}: {found.error}")
        out: dict[str, dict[str, list[float]]] = {}
        for name, held in self.migration["held"].items():
            several = found.seen.get(held["site"], [])
            numbers = several[held["occurrence"]].numbers if held["occurrence"] < len(several) else []
            by_label = dict(numbers)
            labels = held["labels"]
            if set(labels) <= set(by_label):
                out[name] = {label: [by_label[label]] for label in labels}
            elif {f"draws · {label}" for label in labels} <= set(by_label):
                out[name] = {label: [by_label[f"draws · {label}"]] for label in labels}
            else:
                out[name] = {label: [value] for label, (_, value) in zip(labels, numbers, strict=False)}
        return out

    def tolerances(self, name: str) -> dict[str, dict[str, float]]:
        """How far each number may be from R's."""
        held = self.migration["held"][name]
        return {
            label: {"atol": limit, "rtol": 0.0} for label, limit in zip(held["labels"], held["limits"], strict=True)
        }


def write_tests(folder: Path, source: Path, compared: list[Compared], script: Script) -> None:
    """Write ``test_migration.py`` and R's values beside it.

    Parameters
    ----------
    folder : Path
    source : Path
        The script of R.
    compared : list of Compared
    script : Script
    """
    place = folder / "migration.json"
    migration = json.loads(place.read_text(encoding="utf-8"))
    migration["held"] = {}
    values = folder / "test_migration"
    for old in values.glob("*.csv"):
        old.unlink()
    for one in compared:
        rows = [row for row in one.rows if not math.isinf(row.r)]
        if one.verdict != "agrees" or one.summed or not rows or len({row.label for row in rows}) != len(rows):
            continue
        name = f"line_{one.line}_{python_name(one.name)}"
        name += f"_{one.occurrence + 1}" if one.occurrence or name in migration["held"] else ""
        if name in migration["held"]:
            name += f"_site_{one.site}"
        migration["held"][name] = {
            "site": one.site,
            "occurrence": one.occurrence,
            "labels": [row.label for row in rows],
            "limits": [row.limit for row in rows],
        }
        table = pd.DataFrame({row.label: [row.r] for row in rows})
        write_atomically(values / f"{name}.csv", table.to_csv(float_format="%.17g"))
    write_atomically(place, json.dumps(migration, indent=1) + "\n")
    test = _TEST.format(script=migration["script"], source=source.name.replace("\\", "").replace('"', ""))
    write_atomically(folder / "test_migration.py", test)
