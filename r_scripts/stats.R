# Plain R: linear models and model matrices.

stats_model_matrix <- function(described) {
  data <- model_frame_in(described$frame)
  home <- call_home("stats", "model.matrix", described$data_name, data)
  formula <- as_checked_formula(described$formula, as.character(unlist(described$frame$names)), home)
  action <- get(one_of(described$na_action, grammar$na_actions, "na.action"), envir = asNamespace("stats"))
  frame <- stats::model.frame(formula, data, na.action = action)
  contrasts <- if (!is.null(described$contrasts)) contrasts_in(described$contrasts)
  X <- stats::model.matrix(formula, frame, contrasts.arg = contrasts)
  list(
    X = matrix_out(X), positions = positions_of(row.names(frame)), assign = as.integer(attr(X, "assign")),
    contrasts = contrasts_out(attr(X, "contrasts"))
  )
}

stats_lm <- function(described) {
  described$package <- "stats"
  described$verbs <- "lm"
  built <- model_call("lm", described)
  fit <- eval(built$call, built$home)
  s <- summary(fit)
  list(
    coef = vector_out(stats::coef(fit)), table = matrix_out(stats::coef(s)), sigma = scalar(stats::sigma(fit)),
    df_residual = scalar(as.integer(stats::df.residual(fit))), vcov = matrix_out(stats::vcov(fit)),
    fitted = list(values = as.double(stats::fitted(fit)), positions = positions_of(names(stats::fitted(fit)))),
    residuals = list(values = as.double(stats::residuals(fit)), positions = positions_of(names(stats::residuals(fit)))),
    r_squared = scalar(s$r.squared), logLik = scalar(as.double(stats::logLik(fit))), nobs = scalar(as.integer(stats::nobs(fit))),
    summary = scalar(printed_restored(s))
  )
}

# What R prints for summary(data) and str(data).
stats_summary_frame <- function(frame) {
  data <- frame_in(frame)
  scalar(printed(print(summary(data))))
}
stats_str_frame <- function(frame) scalar(printed(utils::str(frame_in(frame))))
