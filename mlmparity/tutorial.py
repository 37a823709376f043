"""The tutorial *Multilevel Models with rstanarm* in Python: its data, tables and pictures, and its comparison with R.

What R prints of data frames is here too (``r_str``, ``r_summary``, ``r_print``). The pages "The tutorial beside R" use
all of it.
"""

from pyimpl.text.numbers import print_data_frame as r_print
from validation.rframes import r_str, r_summary
from validation.tutorial import (
    compare_tutorial,
    complete_pooling,
    load_gcsemv,
    no_pooling,
    own_regressions,
    partial_pooling,
    plot_schools,
    prepare,
    shrinkage,
)
from validation.tutorial_bayes import (
    alpha,
    alpha_table,
    compare_printed,
    difference,
    difference_table,
    plot_caterpillar,
    plot_difference,
)
from validation.tutorial_bayes import fit_models as fit_stan_models
from validation.tutorial_sections import compare_sections, recorded_reference

__all__ = [
    "alpha",
    "alpha_table",
    "compare_printed",
    "compare_sections",
    "compare_tutorial",
    "complete_pooling",
    "difference",
    "difference_table",
    "fit_stan_models",
    "load_gcsemv",
    "no_pooling",
    "own_regressions",
    "partial_pooling",
    "plot_caterpillar",
    "plot_difference",
    "plot_schools",
    "prepare",
    "r_print",
    "r_str",
    "r_summary",
    "recorded_reference",
    "shrinkage",
]
