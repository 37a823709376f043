"""How a comparison is shown: the place where :mod:`validation.report` says it, and where a comparison asks.

A comparison knows nothing of pages; the report knows comparisons. So the report registers its functions here when the
package is imported, and no module below it imports it.
"""

from collections.abc import Callable, Mapping
from importlib import import_module

_functions: dict[str, tuple[str, str]] = {}


def present_by(functions: Mapping[str, tuple[str, str]]) -> None:
    """Show comparisons by these from now on: form -> module and function, which is imported when it is wanted."""
    _functions.update(functions)


def show(form: str, shown: object) -> str:
    """A comparison (``text``, ``fragment``), or a list of them (``page``, ``data``), in one of the report's forms."""
    module, name = _functions[form]
    function: Callable[[object], str] = getattr(import_module(module), name)
    return function(shown)
