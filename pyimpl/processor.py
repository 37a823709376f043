"""What this processor can do. Compiled (see ``setup.py``): the C compiler's built-in functions ask it."""

# ruff: noqa: F821
__all__ = ["variant"]


def variant() -> str | None:
    """Name of the variant of the compiled modules that is the fastest here; None for the one of every processor."""
    return "avx2" if mlmparity_has_avx2() else None  # type: ignore[name-defined]
