"""Fixtures of the whole suite; what needs live R is marked ``r``."""
