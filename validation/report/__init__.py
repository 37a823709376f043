"""The report: a comparison as page, JSON, notebook fragment and text, each imported when it is wanted."""

from typing import TYPE_CHECKING

from validation.presentation import present_by

if TYPE_CHECKING:
    from validation.comparison import Comparison


class _Report:
    """The presenter of this package (``validation.presentation.Presenter``)."""

    def page(self, comparison: "Comparison") -> str:
        from validation.report.html import render_page

        return render_page([comparison])

    def data(self, comparison: "Comparison") -> str:
        from validation.report.json import dumps

        return dumps([comparison])

    def fragment(self, comparison: "Comparison") -> str:
        from validation.report.notebook import render_fragment

        return render_fragment(comparison)

    def text(self, comparison: "Comparison") -> str:
        from validation.report.text import render_text

        return render_text(comparison)


present_by(_Report())
