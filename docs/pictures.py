"""The pictures of index.md and first-model.md: ``python docs/generate.py --images`` draws them into docs/images."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from mlmparity import lmer, load_dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _PAPER, _R, _PYTHON = "#1b1e24", "#f6f7f9", "#2b6cb0", "#b4530d"


def recorded_summary() -> str:
    """What R printed of Model 3, as it is recorded."""
    from validation.references.store import DIRECTORY

    kept = json.loads((DIRECTORY / "cases" / "M3-ml.json").read_text("utf-8"))
    return str(kept["default"]["printed"])


def summary() -> "Figure":
    """R's printed summary of Model 3 beside Python's."""
    from matplotlib.figure import Figure

    data = load_dataset("Gcsemv")
    data["female"] = data["gender"].cat.reorder_categories(["M", "F"])
    data.attrs["name"] = "GCSE"
    formula = "course ~ 1 + female + (1 + female | school)"
    ours = str(lmer(formula, data, REML=False, dialect="debian-12").summary())
    theirs = recorded_summary()
    figure = Figure(figsize=(10.6, 4.6), facecolor="white")
    for number, (name, call, text, colour) in enumerate(
        (
            ("R", "summary(lmer(..., GCSE, REML = FALSE))", theirs, _R),
            ("Python", "print(lmer(..., GCSE, REML=False).summary())", ours, _PYTHON),
        )
    ):
        ax = figure.add_axes((0.01 + 0.5 * number, 0.02, 0.48, 0.96), facecolor=_PAPER)
        ax.set_xticks([])
        ax.set_yticks([])
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.text(0.03, 0.955, name, fontsize=11, weight="bold", color=colour, va="top")
        ax.text(0.03, 0.885, call, fontsize=8, color=colour, va="top", family="monospace")
        ax.text(0.03, 0.82, text, fontsize=7.2, color=_INK, va="top", family="monospace", linespacing=1.25)
    if theirs.strip("\n") != ours.strip("\n"):
        raise AssertionError("the two summaries are not the same: the picture would not be true")
    return figure


def first_model() -> "Figure":
    """The schools of the first model."""
    data = load_dataset("Gcsemv")
    data["sex"] = data["gender"].cat.reorder_categories(["M", "F"])
    return lmer("course ~ sex + (1 | school)", data).plot_ranef()


def draw(folder: Path) -> list[Path]:
    """Write the pictures into a folder, and return their paths."""
    from PIL import Image

    written = []
    for name, made, dpi in (("summary", summary(), 110), ("first-model", first_model(), 70)):
        path = folder / f"{name}.png"
        made.savefig(path, dpi=dpi)
        Image.open(path).convert("RGB").quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)
        written.append(path)
    return written
