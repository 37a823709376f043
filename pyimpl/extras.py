"""What the base install leaves out: a missing package is named with the extra of mlmparity that brings it."""

from importlib import import_module
from importlib.util import find_spec

from r_scripts.installing import install_command

__all__ = ["MissingExtraError", "has", "need"]


class MissingExtraError(ImportError):
    """A package of an extra is not installed; the text has the command that installs it."""


def need(extra: str, what: str, *packages: str) -> None:
    """See that packages are there before they are imported.

    Parameters
    ----------
    extra : str
        The extra of mlmparity that brings them: ``"plots"``.
    what : str
        Who needs them, for the sentence: ``"a plot"``.
    *packages : str
        Names of modules.

    Raises
    ------
    MissingExtraError
        One is not installed, or cannot be imported: the sentence says so, with the command.
    """
    for package in packages:
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{what} needs {error.name or package}, which is not installed. "
                f"Run: {install_command(f'mlmparity[{extra}]')}"
            ) from None


def has(*packages: str) -> bool:
    """Whether packages are installed, without importing them."""
    return all(find_spec(package) is not None for package in packages)
