# rstan::log_prob of rstanarm's stan_lmer at unconstrained points, with the design that goes with it.
#
# Rscript make_log_prob.R OUT.json [CASE...]    (all cases without names; under a minute; then gzip -9n)
#
# The fits are only there to get at the compiled density, so one short chain is enough. Points: near (standard normal
# z's, the intercept at the mean of the response, everything else spread by 0.3) and far (everything spread by 2).
suppressMessages({library(rstanarm); library(jsonlite)})
options(warn = -1)
args <- commandArgs(trailingOnly = TRUE)
out <- args[1]
wanted <- args[-1]

gcse <- function() {
  data(Gcsemv, package = "mlmRev", envir = environment())
  Gcsemv$female <- relevel(Gcsemv$gender, "M")
  Gcsemv
}
penicillin <- function() { data(Penicillin, package = "lme4", envir = environment()); Penicillin }
simulated <- function() {
  set.seed(20261)
  n <- 240
  d <- data.frame(g = factor(sample(14, n, TRUE)), h = factor(sample(9, n, TRUE)), f = factor(sample(letters[1:3], n, TRUE)),
                  x1 = rnorm(n), x2 = rnorm(n, 2, 3), x3 = rexp(n), w = round(rexp(n) + 0.2, 3), o = round(rnorm(n), 3))
  u <- matrix(rnorm(14 * 4), 14) %*% diag(c(1.5, 0.7, 0.3, 0.5)); v <- matrix(rnorm(9 * 3), 9) %*% diag(c(1, 0.5, 0.4))
  d$y <- with(d, 3 + x1 - 0.5 * x2 + u[g, 1] + u[g, 2] * x1 + u[g, 3] * x2 + u[g, 4] * x3 + v[h, 1] + v[h, 2] * x1 + rnorm(n, 0, 1.3))
  d
}

cases <- list(
  M1 = list(gcse, course ~ 1 + (1 | school)),
  M2 = list(gcse, course ~ 1 + female + (1 | school)),
  M3 = list(gcse, course ~ 1 + female + (1 + female | school)),
  crossed = list(penicillin, diameter ~ 1 + (1 | plate) + (1 | sample)),
  two_one = list(simulated, y ~ x1 + x2 + (1 + x1 | g) + (1 | h)),
  three_one = list(simulated, y ~ x1 + x2 + (1 + x1 + x2 | g) + (1 | h)),
  four_two = list(simulated, y ~ x1 + x2 + (1 + x1 + x2 + x3 | g) + (1 + x1 | h)),
  four_three = list(simulated, y ~ x1 + (1 + x1 + x2 + x3 | g) + (1 + x1 + x2 | h)),
  no_intercept = list(simulated, y ~ 0 + f + x1 + (1 | g)),
  random_slope_only = list(simulated, y ~ x1 + (0 + x1 | g)),
  same_group = list(simulated, y ~ x1 + (1 | g) + (0 + x1 | g)),
  weights = list(simulated, y ~ x1 + (1 + x1 | g), weights = quote(w)),
  offset = list(simulated, y ~ x1 + (1 | g), offset = quote(o)),
  prior_PD = list(simulated, y ~ x1 + (1 + x1 | g), prior_PD = TRUE),
  student = list(simulated, y ~ x1 + x2 + (1 | g), prior = quote(student_t(4, c(0.5, -1), c(1, 2), autoscale = TRUE)),
                 prior_intercept = quote(student_t(3, 2, 1.5)), prior_aux = quote(student_t(5, 0.5, 2))),
  cauchy = list(simulated, y ~ x1 + x2 + (1 | g), prior = quote(cauchy(0, 2.5)), prior_intercept = quote(cauchy(autoscale = TRUE)),
                prior_aux = quote(cauchy(0, 3, autoscale = TRUE))),
  flat = list(simulated, y ~ x1 + (1 | g), prior = NULL, prior_intercept = NULL, prior_aux = NULL),
  given = list(simulated, y ~ x1 + x2 + (1 | g), prior = quote(normal(c(1, 0), c(0.5, 3))), prior_intercept = quote(normal(1, 4)),
               prior_aux = quote(normal(0.3, 2))),
  decov = list(simulated, y ~ x1 + (1 + x1 + x2 | g) + (1 + x1 | h),
               prior_covariance = quote(decov(regularization = c(2, 0.7), concentration = c(1.5, 0.8, 2, 3, 0.6), shape = c(2, 0.9), scale = c(0.5, 1.7)))),
  laplace = list(simulated, y ~ x1 + x2 + (1 | g), prior = quote(laplace(c(0.5, -1), c(1, 2), autoscale = TRUE))),
  laplace_weights = list(simulated, y ~ x1 + x3 + (1 + x1 | g), weights = quote(w), offset = quote(o), prior = quote(laplace())),
  lasso = list(simulated, y ~ x1 + x2 + x3 + (1 + x1 + x2 | g) + (1 | h), prior = quote(lasso(c(3, 2, 1), 0.2, 1.5))),
  lasso_default = list(simulated, y ~ 0 + f + x1 + (1 | g), prior = quote(lasso(autoscale = TRUE))),
  hs = list(simulated, y ~ x1 + x2 + x3 + (1 + x1 + x2 + x3 | g) + (1 + x1 | h), prior = quote(hs(c(1, 2, 3), 2, 0.1, 5, 1.5))),
  hs_default = list(simulated, y ~ f + x1 + (1 | g), prior = quote(hs())),
  hs_none = list(simulated, y ~ 1 + (1 | g), prior = quote(hs())),
  hs_prior_PD = list(simulated, y ~ x1 + x2 + (1 + x1 | g), prior = quote(hs(global_scale = 0.5)), prior_PD = TRUE),
  hs_plus = list(simulated, y ~ 0 + f + x1 + (1 | g), prior = quote(hs_plus(c(1, 2, 3, 4), c(4, 3, 2, 1), 2, 0.1, 5, 1.5))),
  hs_plus_weights = list(simulated, y ~ x1 + x2 + (1 | g) + (1 | h), weights = quote(w), prior = quote(hs_plus())),
  product = list(simulated, y ~ x1 + x2 + x3 + (1 | g), prior = quote(product_normal(c(2, 3, 4), c(1, 0, -1), c(1, 0.5, 2)))),
  product_prior_PD = list(simulated, y ~ 0 + f + (1 + x1 | g), prior = quote(product_normal()), prior_PD = TRUE),
  qr = list(simulated, y ~ x1 + x2 + x3 + (1 + x1 | g), QR = TRUE),
  qr_given = list(simulated, y ~ 0 + f + x1 + (1 | g), QR = TRUE, prior = quote(normal(c(1, 0, 2, 0.5), c(0.5, 3, 1, 2)))),
  qr_flat = list(simulated, y ~ x1 + x2 + (1 | g), QR = TRUE, prior = NULL),
  qr_student = list(simulated, y ~ f + x1 + (1 | g), QR = TRUE, prior = quote(student_t(5, autoscale = TRUE)), weights = quote(w)),
  qr_hs = list(simulated, y ~ x1 + x2 + x3 + (1 + x1 + x2 | g) + (1 | h), QR = TRUE, prior = quote(hs()), offset = quote(o)),
  qr_product = list(simulated, y ~ x1 + x2 + (1 | g), QR = TRUE, prior = quote(product_normal(3, scale = 2)), prior_PD = TRUE)
)
if (length(wanted)) cases <- cases[wanted]

one <- function(name) {
  message(name)
  case <- cases[[name]]
  d <- case[[1]]()
  call <- as.call(c(list(quote(stan_lmer), case[[2]], data = quote(d)), case[-(1:2)],
                    list(chains = 1, iter = 60, seed = 1, refresh = 0)))
  fit <- suppressMessages(eval(call))
  sf <- fit$stanfit
  n <- rstan::get_num_upars(sf)
  set.seed(7)
  near <- matrix(rnorm(30 * n), 30)
  terms <- fit$glmod$reTrms
  p <- lengths(terms$cnms)
  J <- sapply(attr(terms$flist, "assign"), function(i) nlevels(terms$flist[[i]]))
  k <- ncol(fit$glmod$X)
  has <- colnames(fit$glmod$X)[1] == "(Intercept)"
  y <- as.vector(model.response(fit$glmod$fr))
  fixed <- sum(p * (J + 1)) + k
  if (has) near[, 1] <- mean(y) + 0.1 * sd(y) * near[, 1]
  rest <- (fixed + 1):n
  near[, rest] <- 0.3 * near[, rest]
  far <- matrix(2 * rnorm(30 * n), 30)
  points <- round(rbind(near, far), 4)
  value <- apply(points, 1, function(u) tryCatch(rstan::log_prob(sf, u, adjust_transform = TRUE), error = function(e) NaN))
  nm <- names(terms$cnms)
  list(
    formula = deparse1(case[[2]]), args = lapply(case[-(1:2)], deparse1), coef_names = colnames(fit$glmod$X),
    X = unname(fit$glmod$X), y = y, weights = if (length(fit$weights)) fit$weights, offset = fit$offset,
    terms = lapply(seq_along(p), function(i) {
      f <- terms$flist[[attr(terms$flist, "assign")[i]]]
      Z <- as.matrix(terms$Ztlist[[i]])
      code <- as.integer(f) - 1L
      cols <- sapply(seq_len(p[i]), function(e) Z[cbind(code * p[i] + e, seq_along(code))])
      list(group = nm[i], effects = I(terms$cnms[[i]]), levels = levels(f), codes = code, columns = matrix(cols, ncol = p[i]))
    }),
    prior_summary = paste(capture.output(print(prior_summary(fit))), collapse = "\n"),
    names = names(sf), points = points, log_prob = value
  )
}
result <- list(versions = list(R = R.version.string, rstanarm = as.character(packageVersion("rstanarm")),
                               rstan = as.character(packageVersion("rstan")), lme4 = as.character(packageVersion("lme4"))),
               cases = sapply(names(cases), one, simplify = FALSE))
writeLines(toJSON(result, digits = NA, auto_unbox = TRUE, null = "null", na = "string"), out)
