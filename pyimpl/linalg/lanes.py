"""Several numbers side by side, for compiled modules: one algorithm, written once, works on several points at a time.

See ``lanes.pxd``: GCC's and Clang's vector types, which every processor can run; with another compiler there is one
number to a lane.
"""

import cython  # noqa: F401

__all__ = ["LANES"]

#: How many.
LANES = int(MLMPARITY_LANES)  # type: ignore[name-defined]  # noqa: F821
