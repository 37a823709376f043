"""``python -m mlmparity``: the same as the command ``mlmparity``."""

from mlmparity.command import main

if __name__ == "__main__":
    main()
