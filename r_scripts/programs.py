"""Where programs are looked for, and where R may keep its temporary files.

Programs are never looked for in the current folder, whatever ``PATH`` says. It may hold relative places: ``.``, or an
empty one between two colons, both of which mean the current folder. A file that lies there with the name of a program,
``R`` or ``uname``, would run.

R, as it ends, removes its temporary folder by ``rm -Rf`` in a shell, and does not quote the name: of a folder in
``/my tmp`` it removes ``/my``, and what stands in the name as ``$(...)`` runs.
"""

import contextlib
import os
import platform
import shutil
import tempfile

__all__ = ["find_program", "named_places", "new_scratch_folder", "platform_words", "search_path"]

#: Where R's temporary files go where the system's folder for them has a name that no shell may see.
_OTHERS = ("/tmp", "/var/tmp")


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


def named_places() -> list[str]:
    """The places of ``PYTHONPATH`` that are named outright: a relative or an empty one is the current folder's."""
    return [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(place)]


def new_scratch_folder(prefix: str) -> str:
    """Make a folder for R's temporary files, whose path is a plain word in a shell; whoever made it removes it.

    Parameters
    ----------
    prefix : str
        What its name begins with.

    Returns
    -------
    str
        Its real path: in the system's folder for temporary files (``TMPDIR``), or in ``/tmp`` or ``/var/tmp`` where the
        name of that has blanks or signs that a shell takes for its own.

    Raises
    ------
    OSError
        It cannot be made.
    """
    wanted = os.path.realpath(tempfile.gettempdir())
    if os.name != "posix" or _is_plain(wanted):
        return os.path.realpath(tempfile.mkdtemp(prefix=prefix, dir=wanted))
    for place in map(os.path.realpath, _OTHERS):
        if _is_plain(place):
            with contextlib.suppress(OSError):
                return os.path.realpath(tempfile.mkdtemp(prefix=prefix, dir=place))
    raise OSError(f"the name of {wanted!r} has blanks or signs that a shell, to which R hands it, takes for its own")


def _is_plain(path: str) -> bool:
    return all(character.isalnum() or character in "/._-+,:@%" for character in path)
