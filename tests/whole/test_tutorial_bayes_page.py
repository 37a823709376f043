"""docs/tutorial-bayes.md cannot drift: its code is run, and its outputs are what the code prints.

Draws are the same again only on the same kind of machine; so labels must be the page's to the word, and numbers may
differ as two runs of 4000 draws do. How right they are is judged in tests/examples/test_sections_3_5.py.

``pytest tests/whole/test_tutorial_bayes_page.py --force-regen`` rewrites outputs and pictures, and fails, so that the
changes are looked at.
"""

import re
import shutil
from pathlib import Path

import pytest

from tests.whole.test_tutorial_page import replay

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-bayes.md"
PICTURES = [
    "tutorial-caterpillar.png",
    "tutorial-difference.png",
    "tutorial-rhat.png",
    "tutorial-ess.png",
    "tutorial-trace.png",
    "tutorial-pp-check.png",
]

#: Four Monte Carlo standard errors of the difference of two runs' tail quantiles (2.7 sd / sqrt(4000) each) for the
#: widest posterior shown in points of the exam, sd 5.
POINTS = 4 * 2**0.5 * 2.7 * 5 / 4000**0.5


def differences(shown: str, made: str) -> list[str]:
    """What differs between the page and what its code prints now."""
    old, new = shown.split(), made.split()
    if len(old) != len(new):
        return [f"{len(old)} words became {len(new)}"]
    found = []
    for a, b in zip(old, new, strict=True):
        if a == b:
            continue
        try:
            x, y = float(a), float(b)
        except ValueError:
            found.append(f"{a} became {b}")
            continue
        if abs(x - y) > POINTS:
            found.append(f"{a} became {b}")
    return found


@pytest.mark.slow
def test_outputs_are_what_the_code_prints(tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    made = replay(text)
    assert re.findall(r"!\[[^]]{40,}\]\((\S+)\)", text) == PICTURES
    assert sorted(path.name for path in tmp_path.glob("*.png")) == sorted(PICTURES)
    if request.config.getoption("force_regen"):
        PAGE.write_text(made, encoding="utf-8")
        for name in PICTURES:
            shutil.copyfile(tmp_path / name, PAGE.parent / name)
        assert made == text, "outputs were rewritten; look at the changes"
    assert differences(text, made) == []
    assert "82 of 82 printed numbers agree" in made
    assert "483 of 483 numbers agree with rstanarm's" in made
    for name in PICTURES:
        assert (PAGE.parent / name).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("shown", "made", "caught"),
    [
        ("mean 63.62 4.54", "mean 63.70 4.50", False),
        ("mean 63.62 4.54", "mean 65.00 4.50", True),
        ("mean 63.62", "sd 63.62", True),
        ("mean 63.62", "mean 63.62 1", True),
    ],
)
def test_a_changed_output_is_caught(shown, made, caught):
    assert bool(differences(shown, made)) is caught
