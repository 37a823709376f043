"""The tutorial *Multilevel Models with rstanarm* (Lee, Sim, Ji & Rabe-Hesketh 2018) in Python, beside R.

Its data, tables and pictures, and its comparison with R. What R prints of data frames is here too (``r_str``,
``r_summary``, ``r_print``). The pages "The tutorial beside R" use all of it.
"""

from importlib import import_module

#: Name -> module and the name there; imported when first asked for.
_PLACES = {
    "alpha": "examples.tutorial.sections_3_5:alpha",
    "alpha_table": "examples.tutorial.sections_3_5:alpha_table",
    "compare_printed": "examples.tutorial.sections_3_5:compare_printed",
    "compare_sections": "examples.tutorial.sections_3_5_in_r:compare_sections",
    "compare_tutorial": "examples.tutorial.sections_1_2:compare_tutorial",
    "complete_pooling": "examples.tutorial.sections_1_2:complete_pooling",
    "difference": "examples.tutorial.sections_3_5:difference",
    "difference_table": "examples.tutorial.sections_3_5:difference_table",
    "fit_stan_models": "examples.tutorial.sections_3_5:fit_models",
    "load_gcsemv": "examples.tutorial.sections_1_2:load_gcsemv",
    "no_pooling": "examples.tutorial.sections_1_2:no_pooling",
    "own_regressions": "examples.tutorial.sections_1_2:own_regressions",
    "partial_pooling": "examples.tutorial.sections_1_2:partial_pooling",
    "plot_caterpillar": "examples.tutorial.sections_3_5:plot_caterpillar",
    "plot_difference": "examples.tutorial.sections_3_5:plot_difference",
    "plot_schools": "examples.tutorial.sections_1_2:plot_schools",
    "prepare": "examples.tutorial.sections_1_2:prepare",
    "r_print": "pyimpl.text.numbers:print_data_frame",
    "r_str": "examples.tutorial.rframes:r_str",
    "r_summary": "examples.tutorial.rframes:r_summary",
    "recorded_reference": "examples.tutorial.sections_3_5_in_r:recorded_reference",
    "shrinkage": "examples.tutorial.sections_1_2:shrinkage",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, there = _PLACES[name].partition(":")
    return getattr(import_module(module), there)


def __dir__() -> list[str]:
    return [*globals(), *_PLACES]
