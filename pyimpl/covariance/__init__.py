"""Covariance structures of random-effects terms: what ``us()``, ``diag()``, ``cs()`` and ``ar1()`` around one mean.

A class for each; another is one more file and a line in :mod:`pyimpl.covariance.structures`.
"""
