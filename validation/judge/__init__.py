"""The judgement itself: estimates, posteriors, tolerances and diagnosis."""
