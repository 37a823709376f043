"""Where numbers come from: versions, platform, BLAS, date, hashes."""

import datetime as dt
import hashlib
import platform
from typing import Any

import numpy as np
import pandas as pd

from r_scripts.programs import platform_words

#: What of R, and which of its packages, the numbers depend on.
_OF_R = ("R", "platform", "os", "BLAS", "LAPACK")
_PACKAGES = ("lme4", "rstanarm", "rstan", "StanHeaders", "loo", "lmerTest", "reformulas", "mlmRev", "Matrix")


def r_versions() -> dict[str, str]:
    """Versions of R, its packages and its BLAS, as far as the bridge can tell."""
    try:
        from bridge import session

        default = session.default()
        found: dict[str, Any] = {name: default.information.get(name) for name in _OF_R}
        found |= default.call("package_versions", packages=list(_PACKAGES)).value
    except Exception:  # a label without a version is better than no comparison
        return {}
    return {name: str(value) for name, value in found.items() if value is not None}


def scripts_hash() -> str:
    """SHA-256 of all R scripts that the bridge runs, in order of their names."""
    from importlib import resources

    files = {item.name: item for item in resources.files("r_scripts").iterdir() if item.name.endswith(".R")}
    content = (name.encode() + b"\0" + files[name].read_bytes() + b"\0" for name in sorted(files))
    return hashlib.sha256(b"".join(content)).hexdigest()


def provenance(**more: object) -> dict[str, object]:
    """All there is to know about the making of a reference: versions, platform, date, scripts, and what is given."""
    return {
        **r_versions(),
        "python": platform.python_version(),
        "python_platform": platform_words(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "scripts": scripts_hash(),
        **more,
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
