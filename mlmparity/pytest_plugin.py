"""The pytest plugin's entry point: the judge's plugin, or, where a module of the user's is in its way, why it is off.

pytest loads the plugins of every package that is installed. A project that has a ``validation`` package of its own must
still be able to run its tests.
"""

from mlmparity.rooms import ShadowedPackageError, check

pytest_plugins: list[str] = []
_off = ""
try:
    check("validation")
except ShadowedPackageError as error:
    _off = str(error)
else:
    pytest_plugins.append("validation.pytest_plugin")


def pytest_report_header() -> list[str]:
    """Say why the plugin is off, where it is."""
    return [f"mlmparity's plugin is off: {_off}"] if _off else []
