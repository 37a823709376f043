"""The report: one self-contained HTML page, a JSON file, and tables for the terminal and the notebook."""
