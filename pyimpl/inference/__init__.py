"""What comes after the fit: tidy frames, estimated marginal means, R² and ICC, with the numbers of R's packages.

These functions stand on the public verbs of the fits alone, and so take either of them (:mod:`.contract`).
"""
