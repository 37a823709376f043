"""Profiled deviance, its optimum, and what is inferred there (Bates et al. 2015)."""
