"""Worked examples; the repository has them, the package does not need them."""
