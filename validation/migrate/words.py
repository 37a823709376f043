"""All of R's words that have Python, other than those of fits: each module makes its own."""

from validation.migrate import applies, dplyr, matrices, summaries, tables, texts  # noqa: F401 - each adds its words to FUNCTIONS
from validation.migrate.functions import FUNCTIONS
from validation.migrate.means import MEANS

__all__ = ["WORDS"]

#: R's function -> what makes its Python.
WORDS = {**FUNCTIONS, **MEANS}
