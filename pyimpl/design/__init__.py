"""The design of a model: y, X, Z and their labels, as R's ``model.matrix`` and lme4's ``lFormula`` have them."""
