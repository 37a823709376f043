"""The pictures of plots.md: ``python docs/generate.py --images`` draws them anew into docs/images."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.tutorial.sections_1_2 import load_gcsemv, prepare
from pyimpl import lmer, stan_lmer

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


def draw(folder: Path) -> list[Path]:
    """Write every picture into a folder, and return their paths."""
    from PIL import Image

    data = prepare(load_gcsemv("recorded"))[1]
    formula = "course ~ 1 + female + (1 + female | school)"
    m, b = lmer(formula, data, REML=False), stan_lmer(formula, data, seed=349)
    profile = m.profile()
    written = []
    for name, picture in PICTURES.items():
        path = folder / f"plot-{name}.png"
        picture(m, b, profile).savefig(path, dpi=64)
        # few colours are in them: a palette makes the files a third of the size
        Image.open(path).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
        written.append(path)
    return written
