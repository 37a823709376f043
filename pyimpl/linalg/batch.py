"""Several numbers side by side, for compiled modules: one algorithm, written once, works on several points at a time.

See ``batch.pxd``: GCC's and Clang's vector types, which every processor can run; with another compiler there is one
number in a batch.
"""

import cython  # noqa: F401

__all__ = ["BATCH"]

#: How many.
BATCH = int(MLMPARITY_BATCH)  # type: ignore[name-defined]  # noqa: F821
