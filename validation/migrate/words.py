"""All of R's words that have Python, other than those of fits: each module makes its own."""

from validation.migrate import (  # noqa: F401 - each adds its words to FUNCTIONS
    applies,
    data_tables,
    dplyr,
    functions,
    matrices,
    numeric,
    reshaped,
    summaries,
    tables,
    texts,
    vectors,
    writing,
)
from validation.migrate.makers import FUNCTIONS
from validation.migrate.means import MEANS

__all__ = ["WORDS"]

#: R's function -> what makes its Python.
WORDS = {**FUNCTIONS, **MEANS}
