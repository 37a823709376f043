# Sections 3 to 5 of "Multilevel Models with rstanarm" (Lee, Sim, Ji & Rabe-Hesketh, 2018), step by step as printed there,
# with the priors that rstanarm had by default in 2018. Returns every number of the posteriors, labelled, with the
# effective sample size it comes from, and every text that is printed. The Python side is examples/tutorial;
# the same labels on both sides.

tutorial_sections_3_5 <- function(chains = 4L, iter = 2000L, seed = 349L, cores = 1L) {
  found <- tutorial_draws_collector()
  Gcsemv <- tutorial_data()
  Gcsemv$female <- relevel(Gcsemv$gender, "M")
  GCSE <- subset(x = Gcsemv, select = c(school, student, female, course))
  stan_glmer <- rstanarm::stan_glmer # stan_lmer evaluates a call of it where it is called from
  fit <- function(...) {
    rstanarm::stan_lmer(..., data = GCSE, chains = chains, iter = iter, seed = seed, cores = cores, refresh = 0)
  }

  # 3.2 sd(y), on which the priors are scaled
  s_y <- sd(GCSE$course, na.rm = TRUE)

  # 3.1 and 3.3 Model 1, printed and summarised
  M1 <- fit(formula = course ~ 1 + (1 | school), prior_intercept = rstanarm::normal(0, 10 * s_y, autoscale = FALSE))
  found$text("print(M1, digits = 2)", utils::capture.output(print(M1, digits = 2)))
  found$text("prior_summary(M1)", utils::capture.output(print(rstanarm::prior_summary(M1))))
  tutorial_posterior(found, "M1", M1)

  # 3.4 The draws: alpha_j = mu + u_j, their table, and the difference of the 21st and the 51st school
  sims <- as.matrix(M1)
  u_sims <- as.matrix(M1, regex_pars = "b\\[\\(Intercept\\) school\\:")
  a_sims <- as.numeric(sims[, "(Intercept)"]) + u_sims
  schools <- levels(model.frame(M1)$school)
  a_quant <- t(apply(X = a_sims, MARGIN = 2, FUN = quantile, probs = c(0.025, 0.50, 0.975)))
  for (j in seq_along(schools)) {
    a <- a_sims[, j]
    values <- c(mean(a), sd(a), a_quant[j, ])
    found$keep("M1", paste0("alpha[", schools[j], "]"), c("mean", "sd", "2.5%", "50%", "97.5%"), values, a, chains)
  }
  difference <- a_sims[, 21] - a_sims[, 51]
  values <- c(mean(difference), sd(difference), quantile(difference, c(0.025, 0.50, 0.975)), mean(difference > 0))
  name <- paste0("alpha[", schools[21], "] - alpha[", schools[51], "]")
  found$keep("M1", name, c("mean", "sd", "2.5%", "50%", "97.5%", "P(> 0)"), values, difference, chains)

  # 4.1 and 4.2 Models 2 and 3
  M2 <- fit(
    formula = course ~ 1 + female + (1 | school), prior = rstanarm::normal(0, 100, autoscale = FALSE),
    prior_intercept = rstanarm::normal(0, 100, autoscale = FALSE)
  )
  M3 <- fit(
    formula = course ~ 1 + female + (1 + female | school), prior = rstanarm::normal(0, 2.5 * s_y, autoscale = FALSE),
    prior_intercept = rstanarm::normal(0, 10 * s_y, autoscale = FALSE)
  )
  tutorial_posterior(found, "M2", M2)
  tutorial_posterior(found, "M3", M3)
  found$text("print(M2)", utils::capture.output(print(M2)))
  found$text("print(M3)", utils::capture.output(print(M3)))
  found$result()
}

# Sections 3.3 and 5: what print() and summary() show of each parameter but the random effects, and its convergence.
tutorial_posterior <- function(found, name, model) {
  draws <- as.matrix(model$stanfit)
  chains <- model$stanfit@sim$chains
  shown <- model$stan_summary
  for (parameter in grep("^b\\[|log-posterior", colnames(draws), invert = TRUE, value = TRUE)) {
    x <- draws[, parameter]
    values <- c(mean(x), sd(x), quantile(x, c(0.025, 0.50, 0.975)), median(x), mad(x))
    found$keep(name, parameter, c("mean", "sd", "2.5%", "50%", "97.5%", "Median", "MAD_SD"), values, x, chains)
  }
  every <- setdiff(rownames(shown), "log-posterior")
  every <- every[!grepl("_NEW_", every)]
  found$convergence(name, shown[every, "Rhat"], shown[every, "n_eff"] / nrow(draws))
}

tutorial_draws_collector <- function() {
  rows <- list()
  texts <- list()
  checks <- list()
  list(
    keep = function(model, parameter, statistic, value, draws, chains) {
      n_eff <- rstan::ess_bulk(matrix(draws, ncol = chains))
      rows[[length(rows) + 1L]] <<- list(
        model = rep(model, length(value)), parameter = rep(parameter, length(value)), statistic = statistic,
        value = as.numeric(value), n_eff = rep(n_eff, length(value))
      )
    },
    convergence = function(model, rhat, ratio) {
      checks[[length(checks) + 1L]] <<- list(model = model, rhat = max(rhat, na.rm = TRUE), ratio = min(ratio, na.rm = TRUE))
    },
    text = function(name, lines) texts[[name]] <<- scalar(paste0(lines, "\n", collapse = "")),
    result = function() {
      column <- function(from, name) unlist(lapply(from, `[[`, name), use.names = FALSE)
      c(
        sapply(c("model", "parameter", "statistic", "value", "n_eff"), function(name) column(rows, name), simplify = FALSE),
        list(
          texts = texts, fits = column(checks, "model"), rhat = column(checks, "rhat"), ratio = column(checks, "ratio")
        )
      )
    }
  )
}
