"""``mlmparity migrate``: an R script in, a Python script and the proof out.

In the order of the work: ``sources`` (an R, Rmd or qmd file as code with line numbers), ``rcode`` (R's grammar),
``watched`` (which calls are watched, and what stands for them in Python), ``instrument`` and ``watch`` (the script run
in R), ``values`` (R's and Python's values as labelled numbers), ``translate`` and ``script`` (the Python script),
``replay`` (that script run, its values kept), ``judged`` (R's values beside Python's), ``tests_file``, ``report``,
``run`` (all of it) and ``command``.
"""
