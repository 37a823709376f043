"""lme4's ``lmer`` and rstanarm's ``stan_lmer`` in Python alone (no R, no rpy2).

Importing this package loads neither PyMC, nor ArviZ, nor matplotlib: they come in where they are used.
"""
