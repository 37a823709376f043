"""Every line of R that mlmparity runs, as ``.R`` files, found with ``importlib.resources.files("r_scripts")``."""

import sys

# Every package of mlmparity imports this one first: an older Python meets this sentence before a line that it can't
# read.
if sys.version_info < (3, 11):  # noqa: UP036
    found = "{}.{} ({})".format(*sys.version_info[:2], sys.executable)
    raise ImportError("mlmparity needs Python 3.11 to 3.14; this is " + found)
