"""``LmerControl``: the options of a fit (``lme4::lmerControl``)."""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from functools import cached_property

import numpy as np

from pyimpl.arguments import SIGNATURES, Count
from pyimpl.design.checks import ACTIONS, Action, CheckControl
from pyimpl.errors import DataError
from r_scripts.arguments import check_r_arguments

__all__ = ["LmerControl"]


@SIGNATURES.fields("LmerControl")
@dataclass(frozen=True)
class LmerControl:
    """How to optimise, and what to refuse (``lmerControl``).

    Attributes
    ----------
    max_evaluations : int
        Evaluations of the criterion after which the search stops, with a warning.
    starts : tuple of array-like
        θ to start from instead of lme4's and the scaled identity; the best minimum counts.
    singular_tol : float
        ``check.conv.singular``'s tolerance.
    hessian_tol : float
        ``check.conv.hess``'s tolerance.
    grad_tol : float
        ``check.conv.grad``'s tolerance, on the scaled gradient.
    check_conv_nobsmax, check_conv_nparmax : int
        Convergence is checked for fewer rows than the first and fewer parameters in θ than the second; since lme4
        1.1-38 (the defaults are those of 2.1-0), in older dialects always.
    check_nlev_gtr_1, check_nobs_vs_nlev, check_nobs_vs_nRE, check_scaleX : {"stop", "warning", "message", "ignore"}
        What to do about a grouping factor with one level, one with as many levels as rows, a term with as many random
        effects as rows, and predictors on very different scales; a message is a warning here.
    autoscale
        R's (since lme4 1.1-38), which fits with predictors in units of their standard deviations: here the search does
        not depend on their scales; True leaves out the warning about them (``check_scaleX="ignore"``).
    optimizer, optCtrl, calc_derivs
        R's, accepted without effect: there is one optimizer here, with exact derivatives, and every fit is as good as
        the best of R's. ``optCtrl`` may be any mapping, ``calc_derivs`` true or false.

    Raises
    ------
    DataError
        An action that there is not; a value that R does not take either.
    """

    max_evaluations: Count = 5000
    starts: tuple[Sequence[float] | np.ndarray, ...] = ()
    singular_tol: float = 1e-4
    hessian_tol: float = 1e-6
    grad_tol: float = 2e-3
    check_conv_nobsmax: float = 10_000
    check_conv_nparmax: float = 10
    check_nlev_gtr_1: Action = "stop"
    check_nobs_vs_nlev: Action = "stop"
    check_nobs_vs_nRE: Action = "stop"
    check_scaleX: Action = "warning"
    optimizer: InitVar[str | Sequence[str] | None] = None
    optCtrl: InitVar[Mapping[str, object] | None] = None
    calc_derivs: InitVar[bool | None] = None
    autoscale: InitVar[bool | None] = None

    def __post_init__(self, optimizer: object, optCtrl: object, calc_derivs: object, autoscale: object) -> None:
        """Refuse unknown actions."""
        given = {"optimizer": optimizer, "optCtrl": optCtrl, "calc_derivs": calc_derivs, "autoscale": autoscale}
        check_r_arguments("LmerControl", given, (), DataError)
        if autoscale:
            object.__setattr__(self, "check_scaleX", "ignore")
        for name in ("check_nlev_gtr_1", "check_nobs_vs_nlev", "check_nobs_vs_nRE", "check_scaleX"):
            if getattr(self, name) not in ACTIONS:
                raise DataError(f"LmerControl: {name} is one of {', '.join(ACTIONS)}, not {getattr(self, name)!r}")

    @cached_property
    def checks(self) -> CheckControl:
        """What is refused or warned about before the fit."""
        return CheckControl(
            nlev_gtr_1=self.check_nlev_gtr_1,
            nobs_vs_nlev=self.check_nobs_vs_nlev,
            nobs_vs_nre=self.check_nobs_vs_nRE,
            scale_x=self.check_scaleX,
        )
