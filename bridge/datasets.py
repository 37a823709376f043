"""Data sets of R packages, as data frames."""

import pandas as pd

from bridge.call import SIGNATURES
from bridge.frames import r_to_frame
from bridge.session import default

__all__ = ["load", "names", "read_rds"]


def names(package: str) -> list[str]:
    """Return the names of the data sets of an R package.

    Parameters
    ----------
    package : str

    Raises
    ------
    RPackageError
        The package is not installed.
    """
    return list(default().call("dataset_names", package=package).value)


@SIGNATURES.checked
def load(name: str, package: str = "mlmRev") -> pd.DataFrame:
    """Return a data set of an R package; factors keep their levels in R's order.

    Parameters
    ----------
    name : str
        E.g. ``"sleepstudy"``.
    package : str
        E.g. ``"lme4"``.

    Returns
    -------
    pandas.DataFrame
        ``attrs["name"]`` is the data set's name: what R's printouts show as ``Data:``.

    Raises
    ------
    DataError
        No such data set (the message lists those that are there), or it is not a data frame.
    RPackageError
        The package is not installed.
    """
    frame = r_to_frame(default().call("dataset_load", name=name, package=package).value)
    frame.attrs["name"] = name
    return frame


@SIGNATURES.checked
def read_rds(path: str) -> pd.DataFrame:
    """Return the data frame in a file of R's ``saveRDS``.

    R reads it, in the worker, which can neither start programs nor write where the system allows to hold it so. Columns
    labelled by haven become factors where each value has a label; what haven has as missing (Stata's ``.a`` to ``.z``,
    SPSS's user-missing values) is missing.

    Parameters
    ----------
    path : str

    Returns
    -------
    pandas.DataFrame
        ``attrs["partly_labelled"]`` has the labelled columns that stayed as they were, some of their values having no
        label.

    Raises
    ------
    DataError
        The file is none of ``saveRDS``, or holds something else than a data frame.
    """
    value = default().call("dataset_rds", path=str(path)).value
    frame = r_to_frame(value)
    frame.attrs["partly_labelled"] = list(value["partly_labelled"])
    return frame
