"""The data sets that come with mlmparity: recorded from R, so that no R is needed to have them."""

import difflib

import pandas as pd

from validation.references.store import DATASETS, load_data


def dataset_names() -> list[str]:
    """Return the names of the data sets that come with mlmparity.

    Examples
    --------
    >>> from mlmparity import dataset_names
    >>> "Gcsemv" in dataset_names()
    True
    """
    return DATASETS.names()


def load_dataset(name: str) -> pd.DataFrame:
    """Return a data set that comes with mlmparity, exactly as R has it: factor levels in R's order. No R is needed.

    Parameters
    ----------
    name : str
        R's name of it: ``"Gcsemv"`` and ``"Exam"`` of mlmRev; ``"sleepstudy"``, ``"Dyestuff"``, ``"Penicillin"`` and
        others of lme4. :func:`dataset_names` lists them.

    Returns
    -------
    pandas.DataFrame
        ``attrs["name"]`` is the data set's name: what a fit's summary shows as ``Data:``.

    Raises
    ------
    LookupError
        No such data set comes with mlmparity: the message lists those that do.

    Examples
    --------
    >>> from mlmparity import load_dataset
    >>> load_dataset("Gcsemv").shape
    (1905, 5)
    """
    known = dataset_names()
    if name in known:
        return load_data(name)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise LookupError(
        f"no data set {name!r} comes with mlmparity{hint} There are {', '.join(known)}. Any other data set of an R "
        "package comes from R itself, as in mlmparity.mlmRev.Chem97(); a file of your own from mlmparity.read_data"
    )
