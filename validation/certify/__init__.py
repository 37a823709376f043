"""Certified values: likelihood fits enclosed in ball arithmetic, posteriors integrated; and what they are judged by."""
