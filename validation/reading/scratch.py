"""Bytes as a file, for readers that take nothing else."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def as_file(content: bytes, ending: str) -> Iterator[str]:
    """Write bytes to a temporary file, hand out its name, and remove it."""
    handle, name = tempfile.mkstemp(suffix=ending, prefix="mlmparity-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        yield name
    finally:
        Path(name).unlink(missing_ok=True)
