"""Where programs are looked for: never in the current folder, whatever ``PATH`` says.

``PATH`` may hold relative places: ``.``, or an empty one between two colons, both of which mean the current folder. A
file that lies there with the name of a program, ``R`` or ``uname``, would run.
"""

import os
import platform
import shutil

__all__ = ["find_program", "platform_words", "search_path"]


def search_path() -> str:
    """``PATH`` without its relative places; the system's own where nothing is left."""
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    absolute = [place for place in places if os.path.isabs(place)]
    return os.pathsep.join(absolute) or os.defpath


def find_program(name: str) -> str | None:
    """Path of a program, None where there is none.

    Parameters
    ----------
    name : str
    """
    return shutil.which(name, path=search_path())


def platform_words() -> str:
    """System, kernel, processor and C library, as ``platform.platform()`` says it without starting ``uname``."""
    words = [platform.system(), platform.release(), platform.machine()]
    library = "".join(platform.libc_ver())
    return "-".join([*filter(None, words), *(["with", library] if library else [])])
