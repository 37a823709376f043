"""Adapters of other implementations, one a file; the package that each needs may be absent (extra ``peers``).

Each module has ``fit`` (likelihood fits) or ``sample`` (posteriors), ``CAN`` (what the package's documentation claims),
``MISSING`` (what it does not give) and ``DISTRIBUTIONS`` (whose versions are reported).
"""
