"""The report: a comparison as page, JSON, notebook fragment and text, each imported when it is wanted."""
