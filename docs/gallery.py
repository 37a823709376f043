"""The pictures of plots.md: ``python docs/generate.py --images`` draws them anew into docs/images."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.tutorial.sections_1_2 import load_gcsemv, prepare
from pyimpl import lmer, stan_lmer
from pyimpl.plots import plot_coefficients
from validation.references.store import load_dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Picture -> how it is drawn from the fits of Model 3, by likelihood (m) and by Bayes (b), and m's profile (p).
PICTURES: dict[str, Callable[[Any, Any, Any], "Figure"]] = {
    "caterpillar": lambda m, b, p: m.plot_ranef(),
    "shrinkage": lambda m, b, p: m.plot_shrinkage(),
    "residuals": lambda m, b, p: m.plot(),
    "scale-location": lambda m, b, p: m.plot_scale_location(),
    "qq": lambda m, b, p: m.plot_qq(),
    "profile-zeta": lambda m, b, p: m.plot_profile(profile=p),
    "profile-density": lambda m, b, p: m.plot_profile(profile=p, kind="density"),
    "intervals": lambda m, b, p: b.plot("intervals"),
    "areas": lambda m, b, p: b.plot("areas"),
    "trace": lambda m, b, p: b.plot("trace", ["(Intercept)", "femaleF", "sigma"]),
    "ranks": lambda m, b, p: b.plot("rank", ["(Intercept)", "femaleF", "sigma"]),
    "pairs": lambda m, b, p: b.pairs(["(Intercept)", "femaleF", "sigma"]),
    "rhat": lambda m, b, p: b.plot("rhat"),
    "ess": lambda m, b, p: b.plot("ess"),
    "schools": lambda m, b, p: b.plot_ranef(total=True),
    "difference": lambda m, b, p: b.plot_difference("60501", "68271"),
    "prior-posterior": lambda m, b, p: b.plot_posterior_vs_prior(group_by_parameter=True),
    "pp-ecdf": lambda m, b, p: b.pp_check("ecdf_overlay", seed=1),
    "pp-stat": lambda m, b, p: b.pp_check("stat", stat="max", seed=1),
    "pp-intervals": lambda m, b, p: b.pp_check("intervals", seed=1),
}


#: Picture -> how it is drawn from fits of other data: of scores (e), reaction times (s) and cakes (c).
RESULTS: dict[str, Callable[[Any, Any, Any], "Figure"]] = {
    "predictions": lambda e, s, c: e.plot_predictions(["standLRT", "sex"], ddf="Satterthwaite"),
    "emmeans": lambda e, s, c: c.plot_emmeans("~ temperature", comparisons=True),
    "trajectories": lambda e, s, c: s.plot_trajectories("Days"),
    "coefficients": lambda e, s, c: plot_coefficients(
        {
            "both": e,
            "no interaction": e.update(". ~ . - standLRT:sex"),
            "no slopes": e.update(". ~ standLRT * sex + (1 | school)"),
        }
    ),
}


def _fits() -> tuple[Any, Any, Any]:
    return (
        lmer("normexam ~ standLRT * sex + (standLRT | school)", load_dataset("Exam")),
        lmer("Reaction ~ Days + (Days | Subject)", load_dataset("sleepstudy")),
        lmer("angle ~ recipe + temperature + (1 | recipe:replicate)", load_dataset("cake")),
    )


def _write(figure: "Figure", path: Path) -> Path:
    """Write a picture with a palette: few colours are in them, and the files a third of the size."""
    from PIL import Image

    figure.savefig(path, dpi=64)
    Image.open(path).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


def draw(folder: Path) -> list[Path]:
    """Write every picture into a folder, and return their paths."""
    fits = _fits()
    written = [_write(picture(*fits), folder / f"plot-{name}.png") for name, picture in RESULTS.items()]
    data = prepare(load_gcsemv("recorded"))[1]
    formula = "course ~ 1 + female + (1 + female | school)"
    m, b = lmer(formula, data, REML=False), stan_lmer(formula, data, seed=349)
    profile = m.profile()
    written += [_write(picture(m, b, profile), folder / f"plot-{name}.png") for name, picture in PICTURES.items()]
    return written
