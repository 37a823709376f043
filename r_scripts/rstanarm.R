# rstanarm: stan_lmer, and everything that Python asks of its fits.

# Arguments of the call that are no model's: numbers or truth values, each.
stan_options <- c("seed", "chains", "iter", "cores", "warmup", "thin", "prior_PD", "QR", "adapt_delta")

# A prior that Python describes as list(dist, args), as a call.
prior_call <- function(described) {
  one_of(described$dist, grammar$priors, "prior")
  for (name in names(described$args)) {
    plain_symbol(name)
    plain_numbers(described$args[[name]], name)
  }
  if (described$dist %in% c("default_prior_intercept", "default_prior_coef")) {
    return(as.call(list(as.name(described$dist), quote(gaussian()))))
  }
  # as.vector: numbers without attributes, printed in the call as a user would write them
  as.call(c(list(as.name(described$dist)), lapply(described$args, as.vector)))
}

rstanarm_stan_lmer <- function(described, progress_file = NULL) {
  need("rstanarm")
  # rstanarm finds its methods and Rcpp modules only when rstan's namespace is loaded and Rcpp's is attached to it.
  suppressPackageStartupMessages(requireNamespace("rstan"))
  described$package <- "rstanarm"
  described$verbs <- c("stan_lmer", "stan_glmer", grammar$priors)
  extra <- list()
  for (name in names(described$priors)) {
    one_of(name, c("prior", "prior_intercept", "prior_aux", "prior_covariance"), "prior")
    prior <- described$priors[[name]]
    extra[name] <- list(if (length(prior)) prior_call(prior))
  }
  for (name in names(described$options)) {
    extra[[one_of(name, stan_options, "option")]] <- plain_numbers(described$options[[name]], name)
  }
  control <- described$control
  for (name in names(control)) plain_numbers(control[[one_of(name, "max_treedepth", "control")]], name)
  if (length(control)) extra$control <- as.call(c(list(quote(list)), control))
  built <- model_call("stan_lmer", described, extra)
  shown <- built$call

  # What is not the user's own call: the sampler's files.
  diagnostics <- NULL
  if (isTRUE(described$unconstrained)) {
    diagnostics <- tempfile("chain", fileext = ".csv")
    built$call$diagnostic_file <- diagnostics
    on.exit(unlink(diagnostic_files(diagnostics)), add = TRUE)
  }
  built$call$refresh <- as.integer(described$refresh)
  # R's console output of forked chains goes to a file, which Python follows: no chain touches the parent's pipe.
  transcript <- progress_file %||% tempfile("console")
  on.exit(unlink(transcript), add = TRUE)
  console <- file(transcript, open = "at")
  depth <- sink.number()
  sink(console)
  sink(console, type = "message")
  unsink <- function() {
    sink(type = "message")
    while (sink.number() > depth) sink()
    close(console)
  }
  seconds <- tryCatch(
    system.time(fit <- eval(built$call, built$home), gcFirst = FALSE),
    error = function(e) {
      # rstan prints what went wrong and goes on; the error that follows says nothing of it
      said <- utils::tail(grep("\\S", readLines(transcript, warn = FALSE), value = TRUE), 8L)
      if (length(said)) e$message <- paste(c(conditionMessage(e), "R had said:", said), collapse = "\n")
      stop(e)
    },
    finally = unsink()
  )
  # rstan leaves an empty object behind where sampling could not start
  if (!length(fit$stanfit@sim)) bridge_stop("bridge_data_error", "rstan drew no samples")
  fit$call <- shown
  attr(fit, "unconstrained") <- if (!is.null(diagnostics)) read_unconstrained(diagnostics, described$options$chains)
  c(stan_extract(fit), list(handle = keep(fit), seconds = as.double(seconds)))
}

diagnostic_files <- function(path) {
  c(path, list.files(dirname(path), paste0("^", sub("\\.csv$", "", basename(path)), "_[0-9]+\\.csv$"), full.names = TRUE))
}

# Unconstrained draws from Stan's diagnostic files: at most `most` a chain, evenly spaced.
read_unconstrained <- function(path, chains, most = 100L) {
  parts <- lapply(seq_len(chains), function(chain) {
    file <- if (chains == 1L && file.exists(path)) path else sub("\\.csv$", paste0("_", chain, ".csv"), path)
    if (!file.exists(file)) {
      return(NULL)
    }
    lines <- readLines(file)
    lines <- lines[nzchar(lines) & substr(lines, 1L, 1L) != "#"]
    header <- strsplit(lines[1L], ",", fixed = TRUE)[[1L]]
    rows <- lines[-1L]
    rows <- rows[unique(round(seq(1, length(rows), length.out = min(most, length(rows)))))]
    values <- matrix(as.double(unlist(strsplit(rows, ",", fixed = TRUE))), ncol = length(header), byrow = TRUE)
    first <- match("energy__", header) + 1L
    upars <- seq(first, length.out = (length(header) - first + 1L) / 3L)
    list(names = header[upars], values = values[, upars, drop = FALSE], lp = values[, 1L])
  })
  parts <- parts[!vapply(parts, is.null, TRUE)]
  if (!length(parts)) {
    return(NULL)
  }
  list(
    names = parts[[1L]]$names, values = do.call(rbind, lapply(parts, `[[`, "values")),
    lp = unlist(lapply(parts, `[[`, "lp"))
  )
}

stan_extract <- function(fit) {
  stanfit <- fit$stanfit
  draws <- as.array(stanfit)
  sampler <- rstan::get_sampler_params(stanfit, inc_warmup = FALSE)
  sampler_names <- colnames(sampler[[1L]])
  diagnostics <- rstan::summary(stanfit)$summary
  frame <- fit$glmod$fr
  elapsed <- rstan::get_elapsed_time(stanfit)
  fitted <- stats::fitted(fit)
  list(
    formula = scalar(one_line(stats::formula(fit))),
    parameters = dimnames(draws)$parameters, draws = array(as.double(draws), dim(draws)),
    default_columns = colnames(as.matrix(fit)),
    sampler_names = sampler_names,
    sampler = array(
      as.double(unlist(lapply(sampler, function(m) m[, sampler_names, drop = FALSE]))),
      c(nrow(sampler[[1L]]), length(sampler_names), length(sampler))
    ),
    elapsed = matrix(as.double(elapsed), nrow(elapsed)),
    Rhat = as.double(diagnostics[dimnames(draws)$parameters, "Rhat"]),
    n_eff = as.double(diagnostics[dimnames(draws)$parameters, "n_eff"]),
    fixef = vector_out(lme4::fixef(fit)), ranef = group_frames_out(lme4::ranef(fit)),
    coef = group_frames_out(stats::coef(fit)), VarCorr = varcorr_out(fit), sigma = scalar(stats::sigma(fit)),
    se = vector_out(rstanarm::se(fit)), nobs = scalar(as.integer(stats::nobs(fit))),
    ngrps = list(names = names(lme4::ngrps(fit)), values = as.integer(lme4::ngrps(fit))),
    vcov = matrix_out(as.matrix(stats::vcov(fit))),
    positions = positions_of(row.names(frame)), y = as.double(fit$y),
    fitted = as.double(fitted), cnms = cnms_out(fit$glmod$reTrms$cnms),
    num_upars = scalar(as.integer(rstan::get_num_upars(stanfit))),
    seeds = as.character(unlist(lapply(stanfit@stan_args, function(a) a$seed))),
    control = control_out(stanfit), summary = scalar(printed(print(summary(fit)))), print = scalar(printed(print(fit)))
  )
}

control_out <- function(stanfit) {
  args <- stanfit@stan_args[[1L]]
  list(
    iter = scalar(as.integer(args$iter)), warmup = scalar(as.integer(args$warmup)), thin = scalar(as.integer(args$thin)),
    chains = scalar(length(stanfit@stan_args)), adapt_delta = scalar(as.double(args$control$adapt_delta %||% 0.8)),
    max_treedepth = scalar(as.integer(args$control$max_treedepth %||% 10L)),
    versions = package_versions(c("rstanarm", "rstan", "StanHeaders"))
  )
}

# The columns that R's as.matrix() picks, by name.
stan_columns <- function(fit, pars, regex_pars) {
  chosen <- stan_pars(fit, pars, regex_pars)
  colnames(as.matrix(fit, pars = chosen$pars, regex_pars = chosen$regex_pars))
}

# pars and regex_pars for a fit whose parameters have inert names: patterns are for the user's names.
stan_pars <- function(fit, pars, regex_pars) {
  pars <- unlist(pars)
  regex_pars <- unlist(regex_pars)
  known <- rownames(fit$stan_summary)
  if (any(has_symbols(known))) {
    users <- restored(known)
    matching <- unique(unlist(lapply(regex_pars, grep, x = users)))
    pars <- c(if (!is.null(pars)) labels_in(pars, known), known[matching])
    regex_pars <- NULL
  }
  list(pars = pars, regex_pars = regex_pars)
}

stan_summary <- function(fit, pars, regex_pars, probs, digits) {
  chosen <- stan_pars(fit, pars, regex_pars)
  s <- summary(fit, pars = chosen$pars, regex_pars = chosen$regex_pars, probs = as.double(probs), digits = digits)
  list(table = matrix_out(unclass(s)[, , drop = FALSE]), text = scalar(printed(print(s))))
}

stan_print <- function(fit, digits, detail) scalar(printed(print(fit, digits = digits, detail = detail)))

stan_prior_summary <- function(fit, digits, name) {
  s <- rstanarm::prior_summary(fit, digits = digits)
  attr(s, "model_name") <- name
  simple <- function(x) {
    if (is.null(x)) NULL else if (is.list(x)) lapply(x, simple) else if (is.character(x)) as.character(x) else as.double(x)
  }
  list(text = scalar(printed(print(s))), values = simple(unclass(s)[names(s)]))
}

stan_interval <- function(fit, prob, pars, regex_pars) {
  chosen <- stan_pars(fit, pars, regex_pars)
  matrix_out(rstanarm::posterior_interval(fit, prob = prob, pars = chosen$pars, regex_pars = chosen$regex_pars))
}

# rstan::log_prob and its gradient: Jacobian included, constants as rstan keeps them.
stan_log_prob <- function(fit, upars) {
  stanfit <- fit$stanfit
  vapply(seq_len(nrow(upars)), function(i) {
    as.double(rstan::log_prob(stanfit, upars[i, ], adjust_transform = TRUE, gradient = FALSE))
  }, 0)
}

stan_grad_log_prob <- function(fit, upars) {
  stanfit <- fit$stanfit
  t(vapply(seq_len(nrow(upars)), function(i) {
    as.double(rstan::grad_log_prob(stanfit, upars[i, ], adjust_transform = TRUE))
  }, as.double(upars[1L, ])))
}

stan_unconstrained <- function(fit) attr(fit, "unconstrained")

stan_rows <- function(fit, what, newdata, seed, draws, re_form_na) {
  args <- list(object = fit)
  if (!is.null(newdata)) args$newdata <- model_frame_in(newdata)
  if (!is.null(draws)) args$draws <- draws
  if (isTRUE(re_form_na)) args$re.form <- NA
  if (what == "posterior_predict" || !is.null(draws)) args$seed <- seed
  verb <- switch(what,
    posterior_predict = rstanarm::posterior_predict, posterior_epred = rstanarm::posterior_epred,
    posterior_linpred = rstanarm::posterior_linpred
  )
  value <- with_seed(seed, do.call(verb, args))
  list(values = matrix(as.double(value), nrow(value)), rows = positions_of(colnames(value)))
}

stan_log_lik <- function(fit) {
  value <- rstanarm::log_lik(fit)
  matrix(as.double(value), nrow(value))
}

stan_loo <- function(fit) {
  value <- rstanarm::loo(fit)
  list(estimates = matrix_out(value$estimates), pareto_k = as.double(loo::pareto_k_values(value)), text = scalar(printed(print(value))))
}

stan_bayes_R2 <- function(fit) as.double(rstanarm::bayes_R2(fit))
