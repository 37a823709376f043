"""Designs from arguments as a fitting function takes them: those of the model frame and the others in one dict."""

from typing import Any

import pandas as pd

from pyimpl.design.design import Design, build_design
from pyimpl.frame.model_frame import FrameArguments

__all__ = ["design_from"]


def design_from(formula: str, data: pd.DataFrame, **arguments: Any) -> Design:
    """``build_design`` with ``weights``, ``offset``, ``subset`` and ``na_action`` among its keywords."""
    names = ("weights", "offset", "subset", "na_action")
    frame = FrameArguments(**{name: arguments.pop(name) for name in names if name in arguments})
    return build_design(formula, data, frame, **arguments)
