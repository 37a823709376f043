"""``mlmparity migrate``: an R script in, a Python script and the proof out.

In the order of the work: ``sources`` (an R, Rmd or qmd file as code with line numbers), ``rcode`` (R's grammar),
``watched`` (which calls are watched, and what stands for them in Python), ``watch`` (the script run in R), ``translate``
and ``script`` (the Python script), ``replay`` (that script run, its values kept), ``judged`` (R's values beside
Python's), ``report`` and ``command``.
"""
