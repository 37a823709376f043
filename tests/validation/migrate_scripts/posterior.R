# A Bayesian model with priors of one's own
library(rstanarm)
data(sleepstudy, package = "lme4")
set.seed(7)
post <- stan_lmer(Reaction ~ Days + (1 | Subject), data = sleepstudy,
                  prior = normal(0, 20, autoscale = FALSE), prior_intercept = normal(250, 100, autoscale = FALSE),
                  prior_covariance = decov(regularization = 1), chains = 2, iter = 1000, seed = 11, cores = 1, refresh = 0)
print(post, digits = 2)
fixef(post)
posterior_interval(post, prob = 0.95, pars = c("(Intercept)", "Days", "sigma"))
sims <- as.matrix(post)
dim(sims)
mean(sims[, "Days"] > 8)
