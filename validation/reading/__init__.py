"""Data files as people have them, read as R would read them; and one line on what was understood."""

from validation.reading.files import Reading, read_data, read_file

__all__ = ["Reading", "read_data", "read_file"]
