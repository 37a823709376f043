"""R, spoken from Python: mlmRev, lme4 and rstanarm, live, in a worker process of their own."""
