"""Where numbers come from: versions, platform, BLAS, date, hashes; and which R a side speaks for."""

import datetime as dt
import hashlib
import platform
import re
from collections.abc import Mapping
from importlib import resources

import numpy as np
import pandas as pd

from r_scripts.dialect import PACKAGES, STACKS, Dialect, at_least
from r_scripts.programs import platform_words

#: What of R the numbers depend on, besides its packages.
_OF_R = ("R", "platform", "os", "BLAS", "LAPACK")


def r_versions() -> dict[str, str]:
    """Versions of R, its packages and its BLAS, as far as the bridge can tell."""
    try:
        from bridge import provenance

        told = provenance.r_versions()
    except Exception:  # a label without a version is better than no comparison
        return {}
    found = {name: told[name] for name in _OF_R} | told["packages"]
    return {name: str(value) for name, value in found.items() if value is not None}


def dialect_of(provenance: Mapping[str, object] | None) -> Dialect | None:
    """The dialect of what was made with these versions; None where no R is named (certified values, another library).

    Of what a :class:`~validation.comparison.Side` or a stored reference says of its making ``R`` is read, and packages
    under their names or under ``packages``. One that is not named has the version of the newest tested stack that the
    named ones reach.
    """
    stated = dict(provenance or {})
    packages = stated.get("packages")
    if isinstance(packages, Mapping):
        stated |= packages
    versions = {name: re.search(r"\d+(?:[.-]\d+)+", str(stated.get(name) or "")) for name in PACKAGES}
    found = {name: version.group() for name, version in versions.items() if version}
    if not found:
        return None
    stacks = list(STACKS.values())
    reached = [stack for stack in stacks if all(at_least(version, stack[name]) for name, version in found.items())]
    return Dialect.of({**[stacks[0], *reached][-1], **found})


def provenance() -> dict[str, object]:
    """All there is to know about the making of a reference: versions, platform, date, R scripts."""
    scripts = {item.name: item for item in resources.files("r_scripts").iterdir() if item.name.endswith(".R")}
    content = (name.encode() + b"\0" + scripts[name].read_bytes() + b"\0" for name in sorted(scripts))
    return {
        **r_versions(),
        "python": platform.python_version(),
        "python_platform": platform_words(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "scripts": hashlib.sha256(b"".join(content)).hexdigest(),
    }


def data_hash(data: pd.DataFrame) -> str:
    """SHA-256 of a data frame's columns, values, levels and order (not of its index): the same data, the same hash."""
    digest = hashlib.sha256()
    for name in data.columns:
        column = data[name]
        digest.update(f"\x1dcolumn {name}\x1f".encode())
        if isinstance(column.dtype, pd.CategoricalDtype):
            levels = [str(level) for level in column.cat.categories]
            digest.update(f"factor ordered={column.cat.ordered}\x1f".encode())
            digest.update("\x1f".join(levels).encode())
            digest.update(column.cat.codes.to_numpy(dtype="<i8").tobytes())
        elif pd.api.types.is_numeric_dtype(column.dtype):
            digest.update(b"number\x1f")
            numbers = column.to_numpy(dtype="<f8", na_value=np.nan)
            # R's NA is a NaN with a payload, and -0 is 0: neither is another value.
            with np.errstate(invalid="ignore"):
                digest.update(np.where(np.isnan(numbers), np.nan, numbers + 0.0).tobytes())
        else:
            digest.update(b"text\x1f")
            digest.update("\x1f".join("\x00" if pd.isna(value) else str(value) for value in column).encode())
    return digest.hexdigest()
