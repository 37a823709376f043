"""The report: a comparison as page, JSON, notebook fragment and text, each imported when it is wanted."""

from validation.presentation import present_by

present_by(
    {
        "page": ("validation.report.html", "render_page"),
        "data": ("validation.report.json", "dumps"),
        "fragment": ("validation.report.html", "render_fragment"),
        "text": ("validation.report.text", "render_text"),
    }
)
