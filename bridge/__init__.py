"""R, spoken from Python: mlmRev, lme4 and rstanarm, live, in a worker process of their own.

>>> from bridge import lme4, mlmRev
>>> fit = lme4.lmer("course ~ 1 + (1 | school)", mlmRev.Gcsemv(), REML=False)
>>> print(fit.summary())

Importing it starts nothing: R starts with the first call, in a process of its own (:mod:`bridge.session`), with a
fixed locale (UTF-8, strings sorted by code point, English messages), and ends with Python. :mod:`bridge.doctor` says
what of R is missing. Linux and macOS; on Windows use WSL.
"""

import r_scripts  # noqa: F401 - which says where Python is too old
