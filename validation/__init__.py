"""The judge: do two implementations of a multilevel model agree, and if not, why?"""
