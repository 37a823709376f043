"""Every line of R that mlmparity runs, as ``.R`` files, found with ``importlib.resources.files("r_scripts")``."""
