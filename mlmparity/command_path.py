"""The command (``python -m mlmparity``, or the script of that name) imports nothing from the current folder.

Whatever lies there would run as a module: ``-m`` puts the folder first on the path, and a relative or an empty place in
``PYTHONPATH`` names it. This is done before anything is imported that Python has not loaded by itself. What
``PYTHONPATH`` names outright stays, and so does the folder of mlmparity's packages.
"""

import os
import sys

__all__: list[str] = []


def _is_command() -> bool:
    return _is_module() or os.path.basename(*sys.argv[:1] or [""]) in ("mlmparity", "mlmparity.exe")


def _is_module() -> bool:
    return sys.argv[:1] == ["-m"] and "mlmparity" in sys.orig_argv


def _unmeant() -> set[str]:
    """Folders that nobody named outright."""
    given = [] if sys.flags.ignore_environment else os.environ.get("PYTHONPATH", "").split(os.pathsep)
    unmeant = {os.path.realpath(place) for place in given if not os.path.isabs(place)}
    if _is_module() and not sys.flags.safe_path:
        unmeant.add(os.path.realpath(sys.path[0]))
    meant = [place for place in given if os.path.isabs(place)]
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return unmeant.difference(map(os.path.realpath, [ours, *meant]))


if _is_command():
    _left_out = _unmeant()
    sys.path[:] = [place for place in sys.path if os.path.realpath(place) not in _left_out]
