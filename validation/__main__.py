"""``python -m validation``: the same as the command ``mlmparity``."""

from validation.cli import main

if __name__ == "__main__":
    main()
