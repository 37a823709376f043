"""The command that installs a package here: pip's, or uv's where it made the environment, without pip."""

import sys
from importlib.util import find_spec

from r_scripts.programs import find_program

__all__ = ["install_command"]


def install_command(*requirements: str, python: str = "python") -> str:
    """The line for a shell.

    Parameters
    ----------
    *requirements : str
        As pip takes them: ``"mlmparity[plots]"``.
    python : str
        How the interpreter is called.
    """
    quoted = " ".join(f"'{requirement}'" for requirement in requirements)
    if find_spec("pip") is None and find_program("uv"):
        return f"uv pip install --python {sys.executable} {quoted}"
    return f"{python} -m pip install {quoted}"
