"""Where numbers come from: versions, platform, BLAS, date, hashes."""

import datetime as dt
import hashlib
import platform
from typing import Any

__all__ = ["provenance", "r_versions", "scripts_hash"]


#: R packages that the numbers depend on.
_PACKAGES = ("lme4", "rstanarm", "rstan", "StanHeaders", "loo", "lmerTest", "reformulas", "mlmRev", "Matrix")


def r_versions() -> dict[str, str]:
    """Versions of R, its packages and its BLAS, as far as the bridge can tell."""
    try:
        from bridge import session

        default = session.default()
        information: dict[str, Any] = default.information
        packages: dict[str, Any] = dict(default.call("package_versions", packages=list(_PACKAGES)).value)
    except Exception:  # a label without a version is better than no comparison
        return {}
    found: dict[str, Any] = {
        name: information[name] for name in ("R", "platform", "os", "BLAS", "LAPACK") if name in information
    }
    found.update(packages)
    return {name: str(value) for name, value in found.items() if value is not None}


def scripts_hash() -> str:
    """SHA-256 of all R scripts that the bridge runs, in order of their names."""
    from importlib import resources

    digest = hashlib.sha256()
    files = [item for item in resources.files("r_scripts").iterdir() if item.name.endswith(".R")]
    for item in sorted(files, key=lambda item: item.name):
        digest.update(item.name.encode() + b"\0" + item.read_bytes() + b"\0")
    return digest.hexdigest()


def provenance(**more: Any) -> dict[str, Any]:
    """All there is to know about the making of a reference: versions, platform, date, scripts, and what is given."""
    return {
        **r_versions(),
        "python": platform.python_version(),
        "python_platform": platform.platform(),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "scripts": scripts_hash(),
        **more,
    }
