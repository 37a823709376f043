"""Recorded and certified values, with their provenance (data in ``data/``; nothing that executes when loaded)."""
