# Rscript record.R data.json out.json: what this R's rstanarm and loo make of small models and of given log likelihoods.
# Run once for each stack (README.md); ordinary tests read what it wrote.
suppressMessages({library(rstanarm); library(jsonlite)})
args <- commandArgs(TRUE)
given <- read_json(args[1], simplifyVector = TRUE)
quiet <- function(x) suppressWarnings(suppressMessages(x))
text <- function(x) paste(capture.output(quiet(print(x))), collapse = "\n")
frame <- function(columns) {
  out <- as.data.frame(lapply(columns, unlist), stringsAsFactors = FALSE, optional = TRUE)
  names(out) <- names(columns)
  out
}
fitted_to <- function(formula, data, iter = 100) {
  # the call holds values, not names: kfold evaluates it again
  call <- bquote(stan_lmer(.(as.formula(formula, env = globalenv())), data = .(data), chains = 2, iter = .(iter), seed = 7, refresh = 0, cores = 1))
  quiet(eval(call))
}

# what loo makes of log likelihoods that Python generates again
ll <- matrix(unlist(given$log_lik), ncol = given$observations)
of_loo <- function(ll, r_eff) {
  l <- quiet(loo::loo(ll, r_eff = r_eff))
  p <- quiet(loo::psis(-ll, r_eff = r_eff))
  e <- function(...) quiet(loo::E_loo(ll, p, log_ratios = -ll, ...))$value
  list(text = text(l), estimates = unname(l$estimates), pointwise = unname(l$pointwise), n_eff = l$diagnostics$n_eff,
       mcse = quiet(loo::mcse_loo(l)), table = unname(unclass(loo::pareto_k_table(l))),
       mean = e(type = "mean"), var = e(type = "variance"), quantile = unname(e(type = "quantile", probs = c(0.1, 0.7))),
       waic = text(quiet(loo::waic(ll))))
}
chain_id <- rep(1:2, each = nrow(ll) / 2)
logs <- list()
for (name in names(given$columns)) {
  part <- ll[, unlist(given$columns[[name]]) + 1]
  logs[[name]] <- list(one = of_loo(part, rep(1, ncol(part))), estimated = of_loo(part, loo::relative_eff(exp(part), chain_id = chain_id)))
}
loos <- lapply(given$compare, function(columns) quiet(loo::loo(ll[, unlist(columns) + 1], r_eff = rep(1, length(columns)))))
comparison <- quiet(loo::loo_compare(loos))
logs$compare <- list(text = text(comparison), message = paste(capture.output(suppressWarnings(print(comparison)), type = "message"), collapse = "\n"),
                     columns = colnames(comparison))

# what rstanarm prints of a fit whose draws Python takes over
data <- frame(given$data)
data$g <- factor(data$g)
m <- fitted_to(given$formula, data)
other <- fitted_to("y ~ 1 + (1 | g)", data)
p <- function(x) list(text = text(x))
draws <- as.matrix(m$stanfit)
l <- quiet(loo(m))
fit <- list(
  names = colnames(draws), draws = unname(draws), print = text(m), print_3 = paste(capture.output(print(m, digits = 3)), collapse = "\n"),
  summary = text(summary(m)), summary_3 = text(summary(m, probs = c(0.025, 0.975), digits = 3)),
  prior_summary = text(prior_summary(m)), interval = unname(posterior_interval(m)), interval_names = colnames(posterior_interval(m)),
  bayes_R2 = bayes_R2(m), loo = text(l), loo_estimates = unname(l$estimates), loo_pointwise = unname(l$pointwise), waic = text(quiet(waic(m))),
  linpred = lapply(c(mean = "mean", var = "var"), function(type) unname(quiet(loo_linpred(m, type = type))$value)),
  compare_columns = colnames(quiet(loo_compare(l, quiet(loo(other))))), kfold = text(quiet(kfold(m, K = 2, folds = rep(1:2, 12)))),
  ranef = unname(ranef(m)$g), varcorr = as.data.frame(VarCorr(m))$vcov, vcov = unname(vcov(m)), se = unname(se(m)),
  nobs = nobs(m), fitted = unname(fitted(m)))

# names: of everything drawn, and of what is made of the names
cases <- given$names
named <- list()
for (name in names(cases)) {
  one <- cases[[name]]
  d <- frame(one$data)
  for (f in unlist(one$factors)) d[[f]] <- factor(d[[f]])
  named[[name]] <- tryCatch({
    m <- fitted_to(one$formula, d, iter = 12)
    s <- summary(m)
    list(labels = colnames(as.matrix(m$stanfit)), matrix = colnames(as.matrix(m)), summary = rownames(s), groups = names(ngrps(m)),
         ranef = lapply(ranef(m), function(x) list(rows = rownames(x), columns = colnames(x), missing = sum(is.na(x)))),
         varcorr = as.character(as.data.frame(VarCorr(m))$grp), formula = paste(deparse(formula(m)), collapse = " "))
  }, error = function(e) list(error = conditionMessage(e)))
}
versions <- c(list(R = as.character(getRversion())), sapply(c("lme4", "rstanarm", "rstan", "loo"), function(p) as.character(packageVersion(p)), simplify = FALSE))
write_json(list(versions = versions, logs = logs, fit = fit, names = named), args[2], digits = NA, auto_unbox = TRUE, na = "string", null = "null")
