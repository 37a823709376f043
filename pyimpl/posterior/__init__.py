"""rstanarm's Gaussian ``stan_lmer`` posterior: priors, collapsed density, full model, samplers, quadrature."""
