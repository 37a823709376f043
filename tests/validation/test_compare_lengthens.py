"""A reference run of rstanarm that has not converged is lengthened, unless the user set its length."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from validation.quantities import DrawsAlone
from validation.references import choose


@pytest.fixture
def calls(monkeypatch):
    """rstanarm's calls; its chains are apart until they are long enough."""
    from bridge import rstanarm

    made: list[dict] = []

    def stan_lmer(formula, data, progress=None, **options):
        made.append(options)
        length = options.get("iter", 2000)
        rng = np.random.default_rng(7)
        chains = rng.standard_normal((4, length // 2, 1))
        if length < 8000:
            chains += np.arange(4)[:, None, None]
        return DrawsAlone({"alpha": chains[:, :, 0]})

    monkeypatch.setattr(rstanarm, "stan_lmer", stan_lmer)
    monkeypatch.setattr(choose, "r_versions", dict)
    return made


MODEL = choose.Model("y ~ 1", pd.DataFrame({"y": [1.0, 2.0]}), "bayes", seed=1)


def test_it_goes_on_until_its_draws_are_valid(calls):
    side = choose.live(MODEL).side
    assert [call.get("iter", 2000) for call in calls] == [2000, 4000, 8000]
    assert side.provenance["iter"] == 8000


def test_a_length_that_the_user_set_is_kept(calls):
    choose.live(replace(MODEL, options={"iter": 2000}))
    assert len(calls) == 1


def test_a_valid_default_run_is_not_repeated(calls, monkeypatch):
    monkeypatch.setattr(choose, "converged", lambda summary: True)
    side = choose.live(MODEL).side
    assert len(calls) == 1
    assert "iter" not in side.provenance
