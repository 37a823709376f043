"""Where mlmparity's other packages are: a file of the user's that has the name of one of them is told apart and named.

The packages ``bridge``, ``pyimpl``, ``r_scripts`` and ``validation`` stand beside this one. Python takes the first
module of a name that it finds, and it looks in the folder of the script first: a ``validation.py`` there comes before
ours, and what would follow is an error about an attribute that nobody has heard of. The same is so of a ``pandas.py``
or a ``json.py``: where an import of ours fails and such a file is there, the error names it.
"""

import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

__all__ = ["ShadowedPackageError", "check", "load", "take"]

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
    ImportError
        It cannot be imported.
    """
    check(module.partition(".")[0])
    with _explained(module):
        return import_module(module)


def take(module: str, name: str) -> object:
    """A name of a module, which may be imported only now.

    Parameters
    ----------
    module, name : str

    Raises
    ------
    ShadowedPackageError, ImportError
        As :func:`load`.
    """
    found = load(module)
    with _explained(module):
        return getattr(found, name)


@contextmanager
def _explained(module: str) -> Iterator[None]:
    """Name the file that is in an import's way, and let no AttributeError pass for a missing name of ours."""
    try:
        yield
    except (ImportError, AttributeError) as error:
        for name, file in _in_the_way():
            raise ShadowedPackageError(
                f"mlmparity's module {module!r} cannot be imported ({error}), and Python finds {file} where a module "
                f"{name!r} of another's is needed: give that file another name, or start Python from another folder."
            ) from error
        if isinstance(error, AttributeError):  # `from mlmparity import lmer` would take it for "there is no lmer"
            raise ImportError(f"mlmparity's module {module!r} cannot be imported: {error}") from error
        raise


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


def _in_the_way() -> Iterator[tuple[str, str]]:
    """Modules loaded from the user's own folders though Python or an installed package has one of that name."""
    folders = [Path(entry or ".").resolve() for entry in sys.path]
    installed = {Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    installed |= {Path(folder).resolve() for folder in (*site.getsitepackages(), site.getusersitepackages())}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or "." in name or name in ("__main__", "mlmparity", *_NEEDS["mlmparity"]):
            continue
        place = Path(file).resolve()
        folder = place.parents[1] if place.name == "__init__.py" else place.parent
        if folder not in folders or not installed.isdisjoint((folder, *folder.parents)):
            continue
        others = [entry for entry, other in zip(sys.path, folders, strict=True) if other != folder]
        if name in sys.stdlib_module_names or PathFinder.find_spec(name, others) is not None:
            yield name, file


def _spec(name: str) -> ModuleSpec | None:
    if name in sys.modules:
        return sys.modules[name].__spec__ or ModuleSpec(name, None, origin=getattr(sys.modules[name], "__file__", None))
    return find_spec(name)


def _is_ours(name: str, spec: ModuleSpec) -> bool:
    ours = Path(__file__).resolve().parents[1] / name
    return any(Path(place).resolve() == ours for place in spec.submodule_search_locations or ())
