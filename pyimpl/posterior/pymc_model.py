"""The full posterior as a PyMC model, to read, to change and to sample with NUTS.

Its free variables are Stan's parameters one for one, with the same transforms, so its log density at a point equals
:meth:`pyimpl.posterior.full.FullDensity.log_prob` there. PyMC is imported when a function of this module is called.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from pyimpl.errors import ModelError
from pyimpl.extras import need
from pyimpl.posterior.covariance import row_slices
from pyimpl.posterior.full import FullDensity, cornish_fisher_t
from pyimpl.posterior.labels import level_label, term_labels
from pyimpl.posterior.mixtures import BLOCKS, NormalMixture
from pyimpl.posterior.specification import (
    EXPONENTIAL,
    FLAT,
    HS,
    HS_PLUS,
    LAPLACE,
    LASSO,
    NORMAL,
    PRODUCT_NORMAL,
    Specification,
)

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

__all__ = ["build_pymc_model", "pymc_point", "sample_full", "unconstrained_of"]


def build_pymc_model(spec: Specification) -> "pm.Model":
    """Write the full posterior as a PyMC model.

    Variables
    ---------
    ``gamma`` (intercept at centred predictors), ``z_beta``, the scales of the coefficients' prior where it has any
    (``mix``, ``one_over_lambda``, ``global_1``, ``global_2``, ``local_1``, ..., ``caux``) and ``beta``, ``aux``
    (sigma's unscaled parameter) and ``sigma``; for each term g: ``tau_g``, ``zeta_g``, ``rho_g``, ``z_T_g``, ``z_g``
    (all as in Stan), ``Sigma_g`` and ``b_g``; ``(Intercept)`` as R reports it, and with ``QR`` the reported slopes
    ``beta_R``.

    Of ``hs_plus`` two scales are left out that rstanarm declares without prior or use: their density is improper, and
    the logarithm of each is what Stan's log density has more.

    Coordinates
    -----------
    ``coefficient`` (slopes), for each term g its levels (the padded ``_NEW_g`` last) and ``g_effect``, and ``obs``
    (the data's index).

    Parameters
    ----------
    spec : Specification

    Returns
    -------
    pymc.Model

    Raises
    ------
    MissingExtraError
        PyMC is not installed.
    """
    need("bayes", "the PyMC model", "pymc")
    import pymc as pm
    import pytensor.tensor as pt

    names = term_labels(spec.terms)
    coords: dict[str, Any] = {"obs": [str(label) for label in spec.design.index]}
    slopes = spec.design.coef_names[int(spec.has_intercept) :]
    if slopes:
        coords["coefficient"] = list(slopes)
    for term, name in zip(spec.terms, names, strict=True):
        coords[name] = [*map(level_label, (*term.levels, f"_NEW_{term.group}"))]
        coords[f"{name}_effect"] = list(term.effects)
        coords[f"{name}_effect2"] = list(term.effects)

    with pm.Model(coords=coords) as model:
        eta: Any = 0.0
        beta: Any = None
        sigma = _sigma(spec)
        if slopes:
            beta = _coefficients(spec, sigma)
            if spec.R_inv is not None:
                pm.Deterministic("beta_R", pt.dot(spec.R_inv, beta), dims="coefficient")
            eta = pt.dot(pm.Data("x", spec.x, dims=("obs", "coefficient")), beta)
        elif spec.coef.dist in (HS, HS_PLUS):
            _horseshoe(spec, sigma)  # Stan has the common scales even with no coefficient
        if spec.has_intercept:
            gamma = _intercept(spec)
            eta = eta + gamma
            shift = 0.0 if beta is None else pt.dot(beta, spec.xbar)
            pm.Deterministic("(Intercept)", gamma - shift)

        for i, (term, name) in enumerate(zip(spec.terms, names, strict=True)):
            T = _cholesky_factor(spec, i, name, sigma)
            z = pm.Normal(f"z_{name}", 0.0, 1.0, dims=(name, f"{name}_effect"))
            b = pm.Deterministic(f"b_{name}", pt.dot(z, T.T), dims=(name, f"{name}_effect"))
            pm.Deterministic(f"Sigma_{name}", pt.dot(T, T.T), dims=(f"{name}_effect", f"{name}_effect2"))
            columns = pm.Data(f"Z_{name}", term.columns, dims=("obs", f"{name}_effect"))
            eta = eta + (b[term.codes] * columns).sum(axis=1)

        if not spec.prior_PD:
            y = pm.Data("y_less_offset", spec.y, dims="obs")
            if spec.weights is None:
                pm.Normal(spec.design.response, eta, sigma, observed=spec.y, dims="obs")
            else:
                # rstanarm normalises weighted likelihoods with log(2π sigma), not log(2π sigma²)
                constant, power = spec.likelihood_constant
                rss = pt.sum(spec.weights * (y - eta) ** 2)
                pm.Potential(spec.design.response, constant - power * pt.log(sigma) - 0.5 * rss / sigma**2)
    return model


def _intercept(spec: Specification) -> Any:
    import pymc as pm

    prior = spec.intercept
    if prior.dist == FLAT:
        return pm.Flat("gamma")
    if prior.dist == NORMAL:
        return pm.Normal("gamma", prior.mean[0], prior.scale[0])
    return pm.StudentT("gamma", nu=prior.df[0], mu=prior.mean[0], sigma=prior.scale[0])


def _coefficients(spec: Specification, sigma: Any) -> Any:
    import pymc as pm

    prior = spec.coef
    if NormalMixture.of(prior, spec.K) is not None:
        return pm.Deterministic("beta", _mixture(spec, sigma), dims="coefficient")
    if prior.dist == FLAT:
        z = pm.Flat("z_beta", dims="coefficient")
        return pm.Deterministic("beta", z, dims="coefficient")
    z = pm.Normal("z_beta", 0.0, 1.0, dims="coefficient")
    shape = z if prior.dist == NORMAL else cornish_fisher_t(z, prior.df)
    return pm.Deterministic("beta", prior.mean + prior.scale * shape, dims="coefficient")


def _mixture(spec: Specification, sigma: Any) -> Any:
    """Coefficients of a prior with scales: the formulas of :mod:`pyimpl.posterior.mixtures`."""
    import pymc as pm
    import pytensor.tensor as pt

    prior, dist = spec.coef, spec.coef.dist
    if dist == PRODUCT_NORMAL:
        mixture = NormalMixture(prior, spec.K)
        z = pm.Normal("z_beta", 0.0, 1.0, shape=mixture.num_z)
        stops = np.cumsum(mixture.factors)
        product = pt.stack([pt.prod(z[b - m : b]) for b, m in zip(stops, mixture.factors, strict=True)])
        return prior.mean + prior.scale**mixture.factors * product
    z = pm.Normal("z_beta", 0.0, 1.0, dims="coefficient")
    if dist in (LAPLACE, LASSO):
        s = prior.scale * pt.sqrt(2 * pm.Exponential("mix", 1.0, dims="coefficient"))
        if dist == LASSO:
            s = s * pm.ChiSquared("one_over_lambda", nu=prior.df[0])
        return prior.mean + s * z

    tau, c2 = _horseshoe(spec, sigma)
    scale = _half_t("local_1", "local_2", prior.df, "coefficient")
    if dist == HS_PLUS:
        scale = scale * _half_t("local_3", "local_4", prior.scale, "coefficient")
    s = tau * scale
    return z * s / pt.sqrt(1 + s**2 / c2)


def _half_t(first: str, second: str, df: Any, dims: str | None = None) -> Any:
    """Stan's half-t: a half-normal times the root of an inverse gamma."""
    import pymc as pm
    import pytensor.tensor as pt

    x = pm.HalfNormal(first, 1.0, dims=dims)
    return x * pt.sqrt(pm.InverseGamma(second, alpha=0.5 * df, beta=0.5 * df, dims=dims))


def _horseshoe(spec: Specification, sigma: Any) -> tuple[Any, Any]:
    """Common scale τ and squared width c² of the slab."""
    import pymc as pm
    import pytensor.tensor as pt

    prior = spec.coef
    # as numpy numbers: PyTensor takes Python's floats for single precision where they fit, and their logarithms too
    slab, half = np.float64(prior.slab_scale), np.float64(0.5 * prior.slab_df)
    tau = _half_t("global_1", "global_2", np.float64(prior.global_df)) * np.float64(prior.global_scale) * sigma
    c2 = slab**2 * pm.InverseGamma("caux", alpha=half, beta=half)
    # rstanarm normalises each block of K half-normals with log 2 once
    blocks = {HS: 1, HS_PLUS: 2}[prior.dist]
    pm.Potential("half_normal_constant", pt.as_tensor_variable(-blocks * (spec.K - 1) * np.log(2.0)))
    return tau, c2


def _sigma(spec: Specification) -> Any:
    import pymc as pm

    prior = spec.aux
    if prior.dist == FLAT:
        return pm.Deterministic("sigma", pm.HalfFlat("aux"))
    if prior.dist == EXPONENTIAL:
        return pm.Deterministic("sigma", prior.scale[0] * pm.Exponential("aux", 1.0))
    aux = pm.HalfNormal("aux", 1.0) if prior.dist == NORMAL else pm.HalfStudentT("aux", nu=prior.df[0], sigma=1.0)
    return pm.Deterministic("sigma", prior.mean[0] + prior.scale[0] * aux)


def _cholesky_factor(spec: Specification, i: int, name: str, sigma: Any) -> Any:
    """T of a term, as :func:`pyimpl.posterior.covariance.build_T`."""
    import pymc as pm
    import pytensor.tensor as pt

    p = spec.terms[i].p
    tau = pm.Gamma(f"tau_{name}", alpha=spec.shape[i], beta=1.0)
    size = spec.scale[i] * tau * sigma
    if p == 1:
        return pt.reshape(size, (1, 1))
    zeta = pm.Gamma(f"zeta_{name}", alpha=spec.concentration[i], beta=1.0, dims=f"{name}_effect")
    s = size * pt.sqrt(p * zeta / zeta.sum())
    eta = spec.regularization[i]
    j = np.arange(1, p)
    first = np.where(j == 1, eta + 0.5 * (p - 2), 0.5 * j)
    rho = pm.Beta(f"rho_{name}", alpha=first, beta=eta + 0.5 * (p - 1 - j), shape=p - 1)
    z_T: Any = pm.Normal(f"z_T_{name}", 0.0, 1.0, shape=(p - 1) * (p - 2)) if p > 2 else None
    T = pt.zeros((p, p))
    T = pt.set_subtensor(T[0, 0], s[0])
    at = 0
    for k, rows in enumerate(row_slices(p), start=1):
        if k == 1:
            x = pt.stack([2 * rho[0] - 1])
            off = s[1]
        else:
            u = z_T[at : at + k]
            at += rows.stop - rows.start
            x = pt.sqrt(rho[k - 1]) * u / pt.sqrt(pt.sum(u**2))
            off = s[k - 1]  # sic: the previous row's, see pyimpl.posterior.covariance
        T = pt.set_subtensor(T[k, :k], off * x)
        T = pt.set_subtensor(T[k, k], s[k] * pt.sqrt(1 - pt.sum(x**2)))
    return T


# ---------------------------------------------------------------------- between Stan's vector and PyMC's points
def _pieces(spec: Specification) -> list[tuple[str, str, tuple[int, ...], str]]:
    """Stan's blocks in order: (block, PyMC's name, shape, transform).

    Stan packs the z_T that rows use at the front of the block, over all terms, and leaves the unused at its end.
    """
    names = term_labels(spec.terms)
    out: list[tuple[str, str, tuple[int, ...], str]] = []
    if spec.has_intercept:
        out.append(("gamma", "gamma", (), ""))
    out += _coefficient_pieces(spec)
    out += [("z_b", f"z_{n}", (t.J + 1, t.p), "") for t, n in zip(spec.terms, names, strict=True)]
    for suffix, transform in (("rho", "logodds"), ("zeta", "log")):
        for t, n in zip(spec.terms, names, strict=True):
            if t.p > 1:
                out.append((suffix, f"{suffix}_{n}", (t.p - (suffix == "rho"),), transform))
    out += [("tau", f"tau_{n}", (), "log") for n in names]
    return [*out, ("aux", "aux", (), "log")]


def _coefficient_pieces(spec: Specification) -> list[tuple[str, str, tuple[int, ...], str]]:
    mixture = NormalMixture.of(spec.coef, spec.K)
    count = mixture.num_z if mixture else spec.K
    out: list[tuple[str, str, tuple[int, ...], str]] = [("z_beta", "z_beta", (count,), "")] if spec.K else []
    for block in BLOCKS:
        length = mixture.block_lengths[block] if mixture else 0
        if block == "global":
            # of the four of hs_plus two are not in the model
            out += [("global", f"global_{j + 1}", (), "log") for j in range(min(length, 2))]
        elif block == "local":
            out += [("local", f"local_{j + 1}", (spec.K,), "log") for j in range(length // max(spec.K, 1))]
        elif length:
            out.append((block, block, (spec.K,) if block == "mix" else (), "log"))
    return out


def _z_T_positions(spec: Specification) -> list[tuple[str, np.ndarray]]:
    """For each term with p > 2, where its z_T (used ones first) stand within Stan's block."""
    sizes = [((t.p - 1) * t.p // 2 - 1, (t.p - 1) * (t.p - 2)) for t in spec.terms]
    names = term_labels(spec.terms)
    used = unused = 0
    total_used = sum(n for n, m in sizes if m)
    out = []
    for name, (n, m) in zip(names, sizes, strict=True):
        if not m:
            continue
        spare = m - n
        where = np.concatenate([used + np.arange(n), total_used + unused + np.arange(spare)])
        out.append((f"z_T_{name}", where))
        used, unused = used + n, unused + spare
    return out


def pymc_point(spec: Specification, upars: np.ndarray) -> dict[str, np.ndarray]:
    """Translate an unconstrained vector of Stan's order to a point of the PyMC model (its value variables).

    Parameters
    ----------
    spec : Specification
    upars : ndarray, shape (num_upars,)

    Returns
    -------
    dict
        Value variable's name -> value.
    """
    full = FullDensity(spec)
    upars = np.asarray(upars, dtype=np.float64)
    if upars.shape != (full.num_upars,):
        raise ModelError(f"upars should have shape ({full.num_upars},), but has {upars.shape}.")
    at = {block: where.start for block, where in full.slices.items()}
    point = {}
    for block, name, shape, transform in _pieces(spec):
        n = int(np.prod(shape))
        value = upars[at[block] : at[block] + n].reshape(shape)
        at[block] += n
        point[f"{name}_{transform}__" if transform else name] = value
    z_T = upars[full.slices["z_T"]]
    return point | {name: z_T[where] for name, where in _z_T_positions(spec)}


def unconstrained_of(spec: Specification, posterior: "xr.Dataset") -> np.ndarray:
    """Translate draws of the PyMC model's free variables to Stan's unconstrained vectors.

    Parameters
    ----------
    spec : Specification
    posterior : xarray.Dataset
        Variables with dimensions ``chain`` and ``draw`` first.

    Returns
    -------
    ndarray, shape (chains · draws, num_upars)
        Chain after chain.
    """
    full = FullDensity(spec)
    n = posterior.sizes["chain"] * posterior.sizes["draw"]
    out = np.zeros((n, full.num_upars))
    at = {block: where.start for block, where in full.slices.items()}
    inverse: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "": lambda v: v,
        "log": np.log,
        "logodds": lambda v: np.log(v) - np.log1p(-v),
    }
    for block, name, _, transform in _pieces(spec):
        value = inverse[transform](np.asarray(posterior[name].values).reshape(n, -1))
        out[:, at[block] : at[block] + value.shape[1]] = value
        at[block] += value.shape[1]
    for name, where in _z_T_positions(spec):
        out[:, full.slices["z_T"].start + where] = np.asarray(posterior[name].values).reshape(n, -1)
    return out


def sample_full(
    spec: Specification, *, chains: int, draws: int, tune: int, seed: np.random.SeedSequence, progress: bool
) -> tuple[np.ndarray, int]:
    """Sample the PyMC model with nutpie's NUTS, tree depth and target acceptance as rstanarm's.

    The target is 0.95, and 0.99 under hs, hs_plus, lasso and product_normal (``rstanarm:::default_stan_control``).

    Parameters
    ----------
    spec : Specification
    chains, draws, tune : int
    seed : SeedSequence
    progress : bool

    Returns
    -------
    points : ndarray, shape (chains · draws, num_upars)
        On Stan's unconstrained scale.
    divergences : int
    """
    need("bayes", 'sampler="nuts"', "pymc", "nutpie")
    import nutpie

    model = nutpie.compile_pymc_model(build_pymc_model(spec))
    trace = nutpie.sample(
        model,
        draws=draws,
        tune=tune,
        chains=chains,
        seed=int(seed.generate_state(1)[0]),
        progress_bar=progress,
        save_warmup=False,
        target_accept=0.99 if spec.coef.dist in (HS, HS_PLUS, LASSO, PRODUCT_NORMAL) else 0.95,
        maxdepth=15,
    )
    divergences = int(trace["sample_stats"]["diverging"].values.sum())
    return unconstrained_of(spec, trace["posterior"].to_dataset()), divergences
