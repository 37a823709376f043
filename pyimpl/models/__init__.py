"""The two entry points, ``lmer`` and ``stan_lmer``, and the fits that they return."""
