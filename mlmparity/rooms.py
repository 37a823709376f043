"""Where mlmparity's other packages are: a file of the user's that has the name of one of them is told apart and named.

The packages ``bridge``, ``pyimpl``, ``r_scripts`` and ``validation`` stand beside this one. Python takes the first
module of a name that it finds, and it looks in the folder of the script first: a ``validation.py`` there comes before
ours, and what would follow is an error about an attribute that nobody has heard of.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

__all__ = ["ShadowedPackageError", "check", "load"]

#: What each package imports of the others.
_NEEDS = {
    "mlmparity": ("bridge", "pyimpl", "r_scripts", "validation"),
    "bridge": ("r_scripts",),
    "pyimpl": ("r_scripts",),
    "validation": ("bridge", "pyimpl", "r_scripts"),
}


class ShadowedPackageError(ImportError):
    """Another module has the name of one of mlmparity's packages and is found first; the text names its file."""


def load(module: str) -> ModuleType:
    """Import a module of one of mlmparity's packages.

    Parameters
    ----------
    module : str
        E.g. ``"validation.compare"``.

    Raises
    ------
    ShadowedPackageError
        Another module of the package's name, or of one that it imports, is found first.
    """
    check(module.partition(".")[0])
    return import_module(module)


def check(package: str) -> None:
    """See that a package and those that it imports are mlmparity's.

    Raises
    ------
    ShadowedPackageError
        One of them is not: the sentence names the file in the way.
    """
    for name in (package, *_NEEDS.get(package, ())):
        spec = _spec(name)
        if spec is None:
            raise ShadowedPackageError(
                f"mlmparity's package {name!r} is not installed beside it; run: "
                "python -m pip install --force-reinstall --no-deps mlmparity"
            )
        if not _is_ours(name, spec):
            place = spec.origin or next(iter(spec.submodule_search_locations or ()), "an unknown place")
            raise ShadowedPackageError(
                f"mlmparity has a package named {name!r}, but Python finds {place} first: give that file or folder "
                "another name, or start Python from another folder."
            )


def _spec(name: str) -> ModuleSpec | None:
    if name in sys.modules:
        return sys.modules[name].__spec__ or ModuleSpec(name, None, origin=getattr(sys.modules[name], "__file__", None))
    return find_spec(name)


def _is_ours(name: str, spec: ModuleSpec) -> bool:
    ours = Path(__file__).resolve().parents[1] / name
    return any(Path(place).resolve() == ours for place in spec.submodule_search_locations or ())
