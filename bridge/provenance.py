"""Which R gave the numbers: versions, platform, BLAS, locale."""

from typing import Any

from bridge.session import default

__all__ = ["r_versions"]


def r_versions(
    packages: tuple[str, ...] = (
        "lme4",
        "rstanarm",
        "rstan",
        "StanHeaders",
        "loo",
        "lmerTest",
        "reformulas",
        "Matrix",
        "mlmRev",
    ),
) -> dict[str, Any]:
    """Return R's provenance, ready for JSON.

    Parameters
    ----------
    packages : tuple of str

    Returns
    -------
    dict
        ``R``, ``platform``, ``os``, ``BLAS``, ``LAPACK``, ``locale``, and ``packages`` (name → version, None where a
        package is not installed).
    """
    session = default()
    information = session.information
    kept = {key: information[key] for key in ("R", "version", "platform", "os", "BLAS", "LAPACK", "locale")}
    versions = session.call("package_versions", packages=list(packages)).value
    return {**kept, "packages": versions}
