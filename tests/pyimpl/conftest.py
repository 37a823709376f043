"""Live R for the tests of pyimpl: one Rscript process for a whole batch (pyimpl itself knows no R)."""

import subprocess
from collections.abc import Callable

import pandas as pd
import pytest


def _run(script: str, timeout: float = 240.0) -> str:
    done = subprocess.run(
        ["Rscript", "--vanilla", "-"], input=script, capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise RuntimeError(f"Rscript failed:\n{done.stderr[-4000:]}")
    return done.stdout


@pytest.fixture(scope="session")
def rscript() -> Callable[..., str]:
    """Run an R script in a fresh process and return what it printed; an R error is an error here."""
    return _run


_DUMP = r"""
suppressMessages({library(lme4); library(mlmRev)})
data(Gcsemv, package = "mlmRev"); data(Exam, package = "mlmRev"); data(Chem97, package = "mlmRev")
GCSE <- Gcsemv; GCSE$female <- relevel(GCSE$gender, "M")
data(Oxboys, package = "nlme"); Oxboys <- as.data.frame(Oxboys)
Oxboys$Subject <- factor(as.character(Oxboys$Subject)); Oxboys$Occasion <- as.integer(Oxboys$Occasion)
Inst <- droplevels(subset(InstEval, as.integer(s) %% 20 == 0)); Inst$n <- as.integer(Inst$studage)
Inst$studage <- factor(as.character(Inst$studage)); Inst$lectage <- factor(as.character(Inst$lectage))
Chem <- droplevels(subset(Chem97, as.integer(lea) <= 20))
set.seed(7); sleepw <- sleepstudy; sleepw$w <- round(runif(180, 0.5, 3), 2); sleepw$o <- round(rnorm(180, 0, 20), 1)
sleepw$Days2 <- sleepw$Days * 2; sleepw$a.rather.long.name.of.a.predictor <- round(rnorm(180), 2)
sleepw$another.long.predictor <- round(rnorm(180), 2); sleepw$Third_predictor <- round(rnorm(180), 2)
frames <- list(GCSE = GCSE, Exam = Exam, Chem = Chem, Oxboys = Oxboys, Inst = Inst, sleepw = sleepw,
  sleepstudy = sleepstudy, Dyestuff = Dyestuff, Dyestuff2 = Dyestuff2, Penicillin = Penicillin, Pastes = Pastes,
  cake = as.data.frame(cake))
for (name in names(frames)) {
  d <- frames[[name]]
  write.csv(d, file.path(folder, paste0(name, ".csv")), row.names = FALSE)
  for (v in names(d)) if (is.factor(d[[v]]))
    cat(name, v, is.ordered(d[[v]]), levels(d[[v]]), sep = "\t", file = file.path(folder, "levels"), append = TRUE,
        fill = 1e6)
}
"""


@pytest.fixture(scope="session")
def r_setup() -> str:
    """R code that defines the test data sets (a list ``frames``, written as CSV to ``folder`` if that is there)."""
    return _DUMP


@pytest.fixture(scope="session")
def r_frames(rscript, tmp_path_factory) -> dict[str, pd.DataFrame]:
    """The test data sets as R has them: factors as categoricals with R's levels."""
    folder = tmp_path_factory.mktemp("frames")
    rscript(f'folder <- "{folder}"\n{_DUMP}')
    frames = {path.stem: pd.read_csv(path, na_values=["NA"]) for path in sorted(folder.glob("*.csv"))}
    for line in (folder / "levels").read_text().splitlines():
        name, variable, ordered, *levels = line.strip().split("\t")
        levels = [level.strip() for level in levels]
        ordered_ = ordered.strip() == "TRUE"
        texts = pd.read_csv(folder / f"{name.strip()}.csv", dtype=str)[variable.strip()]
        frames[name.strip()][variable.strip()] = pd.Categorical(texts, categories=levels, ordered=ordered_)
    for name, frame in frames.items():
        frame.attrs["name"] = name
    return frames
