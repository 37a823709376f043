"""Multilevel models that agree with R's lme4 and rstanarm, and the proof of it.

>>> from mlmparity import lmer, load_dataset
>>> fit = lmer("course ~ 1 + gender + (1 | school)", load_dataset("Gcsemv"))
>>> print(round(fit.fixef()["genderM"], 3))
-6.739

Everything is loaded when it is first used. The models in Python (``lmer``, ``stan_lmer`` and what goes with them) are
``pyimpl``'s, R itself (``lme4``, ``rstanarm``, ``mlmRev``) is ``bridge``'s, and the judge (``compare``) is
``validation``'s: what is public there is public here, under the same name.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036
    import r_scripts  # noqa: F401 - which says that this Python is too old

from mlmparity import command_path  # noqa: F401 - first of all: the command imports nothing from the current folder

# isort: split
from typing import TYPE_CHECKING

from mlmparity.rooms import ShadowedPackageError, load, take

if TYPE_CHECKING:
    import pyimpl
    import validation
    from bridge import lme4, mlmRev, rstanarm
    from pyimpl import *  # noqa: F403
    from pyimpl.plots import plot_coefficients
    from validation import *  # noqa: F403
    from validation.calibration import sbc
    from validation.cases import certified_fit
    from validation.migrate.run import Migration, migrate, translate
    from validation.reading.files import read_data
    from validation.references import certified
    from validation.references.store import dataset_names, load_dataset

    __version__: str
    __all__ = ["Migration", "__version__", "dataset_names", "lme4", "load_dataset", "migrate", "mlmRev", "read_data"]
    __all__ += ["certified", "certified_fit", "plot_coefficients", "rstanarm", "sbc", "translate"]
    __all__ += pyimpl.__all__
    __all__ += validation.__all__

_HOMES = {
    "dataset_names": "validation.references.store",
    "load_dataset": "validation.references.store",
    **dict.fromkeys(("Migration", "migrate", "translate"), "validation.migrate.run"),
    "read_data": "validation.reading.files",
    "certified_fit": "validation.cases",
    "plot_coefficients": "pyimpl.plots",
    "sbc": "validation.calibration",
}
#: Modules that are names of their own: R's packages, the certified values.
_MODULES = {
    **{name: f"bridge.{name}" for name in ("lme4", "mlmRev", "rstanarm")},
    "certified": "validation.references.certified",
}


def _names() -> list[str]:
    """Every public name: this package's own, pyimpl's and validation's."""
    return sorted(
        {"__version__", *_HOMES, *_MODULES, *load("pyimpl").__all__, *load("validation").__all__},
    )


def __getattr__(name: str) -> object:
    """Load what is asked for, and only that."""
    value: object
    if name == "__all__":
        return _names()
    if name == "__version__":
        from importlib.metadata import version

        value = version("mlmparity")
    elif name in _MODULES:
        value = load(_MODULES[name])
    elif name in _HOMES:
        value = take(_HOMES[name], name)
    elif name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        home = next((package for package in ("pyimpl", "validation") if name in load(package).__all__), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = take(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    try:
        return sorted({*globals(), *_names()})
    except ShadowedPackageError:
        return sorted(globals())
