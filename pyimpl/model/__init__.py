"""From formula and data frame to design: what R's ``model.frame``, ``model.matrix`` and lme4's ``lFormula`` do.

``formula`` (text to tree, ``deparse``) -> ``terms`` (``terms.formula``) and ``bars`` (random-effects terms) ->
``columns`` (R's kinds of columns), ``functions`` (what a formula may call) and ``frame`` (``model.frame``) ->
``coding`` (contrasts, ``model.matrix``), ``qr`` (R's pivoted QR) and ``checks`` (lme4's refusals) -> ``design``.
Imports go in this direction only.
"""
