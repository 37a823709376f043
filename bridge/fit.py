"""What the fits of ``lmer`` and ``stan_lmer`` share: main results read at once, the rest asked of R when wanted."""

from typing import Any

import numpy as np
import pandas as pd

from bridge.call import SIGNATURES, emit
from bridge.frames import labels_to_index
from bridge.replies import frame, series
from bridge.session import Handle, Reply
from r_scripts.printed import printed_html

__all__ = ["RFit"]


@SIGNATURES.verbs
class RFit:
    """A fit that lives in R.

    The main results were read when the model was fitted and outlive the R process; the rest is asked of R when
    wanted, and raises :class:`~bridge.errors.HandleError` where that R has ended.

    Parameters
    ----------
    reply : Reply
        Of the fitting call; its value holds the main results.
    handle : Handle
        The fit in R.
    index : pandas.Index
        The data's labels, of all rows.
    """

    def __init__(self, reply: Reply, handle: Handle, index: pd.Index) -> None:
        self._x: dict[str, Any] = reply.value
        self._handle = handle
        self._index = index
        self._warnings, self._messages, self._output = reply.warnings, reply.messages, reply.output
        self._cache: dict[str, Any] = {}

    def __repr__(self) -> str:
        return str(self._x["print"])

    def _repr_html_(self) -> str:
        return printed_html(repr(self))

    # -- conditions --------------------------------------------------------------------------------------------

    @property
    def formula(self) -> str:
        """The formula as R deparses it."""
        return str(self._x["formula"])

    @property
    def warnings(self) -> tuple[str, ...]:
        """R's warnings while fitting."""
        return self._warnings

    @property
    def messages(self) -> tuple[str, ...]:
        """R's messages while fitting."""
        return self._messages

    @property
    def output(self) -> str:
        """What R printed while fitting, Stan's progress apart."""
        return self._output

    @property
    def seconds(self) -> dict[str, float]:
        """Time of the whole call, measured in R: ``user``, ``system``, ``elapsed``; of forked chains besides."""
        names = ("user", "system", "elapsed", "user_children", "system_children")
        return dict(zip(names, map(float, self._x["seconds"]), strict=False))

    @property
    def data_index(self) -> pd.Index:
        """The data's labels of the rows used."""
        return labels_to_index(self._x["positions"], self._index)

    # -- estimates ---------------------------------------------------------------------------------------------

    def fixef(self) -> pd.Series:
        """``fixef(m)``; of a posterior, medians."""
        return series(self._x["fixef"])

    def vcov(self) -> pd.DataFrame:
        """``vcov(m)``."""
        return frame(self._x["vcov"])

    def ranef(self) -> dict[str, pd.DataFrame]:
        """``ranef(m)``: grouping factor → level × effect; of a posterior, medians."""
        return {group: frame(matrix) for group, matrix in self._x["ranef"].items()}

    def sigma(self) -> float:
        """``sigma(m)``; of a posterior, the median."""
        return float(self._x["sigma"])

    def nobs(self) -> int:
        """``nobs(m)``: rows used."""
        return int(self._x["nobs"])

    def ngrps(self) -> pd.Series:
        """``ngrps(m)``: levels of each grouping factor."""
        return series(self._x["ngrps"], dtype=np.int64)

    # -- R -----------------------------------------------------------------------------------------------------

    def _call(self, function: str, args: dict[str, Any]) -> Any:
        reply = self._handle.session.call(function, fit=self._handle, **args)
        emit(reply)
        return reply.value

    def _ask_once(self, function: str, **args: Any) -> Any:
        """Ask R for more about the fit."""
        return self._call(function, args)

    def _ask(self, function: str, **args: Any) -> Any:
        """Ask R for more about the fit; answers are kept."""
        key = repr((function, sorted(args.items())))
        if key not in self._cache:
            self._cache[key] = self._call(function, args)
        return self._cache[key]
