"""Conditional variances of random effects as both sides hand them back: labelled arrays, made when one is asked for.

xarray takes longer to import than a small model takes to fit; who wants the numbers alone reads :attr:`blocks`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Block", "ConditionalVariances"]


@dataclass(frozen=True)
class Block:
    """The conditional variances of one grouping factor.

    Attributes
    ----------
    variances : ndarray, shape (levels, effects, effects)
        NaN between terms of the same factor, of which R gives none.
    levels, effects : sequence of str
    """

    variances: np.ndarray
    levels: Sequence[str]
    effects: Sequence[str]


class ConditionalVariances(Mapping[str, "xr.DataArray"]):
    """``attr(ranef(m, condVar = TRUE)[[g]], "postVar")``: grouping factor -> DataArray (level, effect, effect2).

    Parameters
    ----------
    blocks : mapping of str to Block

    Attributes
    ----------
    blocks : mapping of str to Block
        The same without xarray.
    """

    def __init__(self, blocks: Mapping[str, Block]) -> None:
        self.blocks = dict(blocks)

    def __getitem__(self, group: str) -> "xr.DataArray":
        import xarray as xr

        block = self.blocks[group]
        effects = list(block.effects)
        coords = {"level": list(block.levels), "effect": effects, "effect2": effects}
        return xr.DataArray(np.array(block.variances), dims=("level", "effect", "effect2"), coords=coords)

    def __iter__(self) -> Iterator[str]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)

    def __repr__(self) -> str:
        return f"ConditionalVariances({dict(self)!r})"
