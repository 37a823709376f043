"""The command ``mlmparity``, with the tutorial among its cases: ``python -m examples.tutorial validate``."""

from examples.tutorial.sections_1_2 import FORMULA, NAME, TITLE, compare_tutorial, pictures, record
from validation.campaign import Work, add
from validation.cli import main

if __name__ == "__main__":
    add(Work(NAME, TITLE, FORMULA, "likelihood", compare_tutorial, record, pictures))
    main()
