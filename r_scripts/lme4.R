# lme4: fits, and everything that Python asks of them.

# Arguments of a call that Python gave; absent ones stay absent, so that R's printouts show the user's call.
model_call <- function(verb, described, extra = list()) {
  columns <- as.character(unlist(described$frame$names))
  home <- call_home(described$package, described$verbs, described$data_name, model_frame_in(described$frame))
  formula <- as_checked_formula(described$formula, columns, home)
  args <- list(formula = formula_language(formula), data = as.name(described$data_name))
  if (is.list(described$subset)) {
    args$subset <- chosen_rows(described$subset, columns)
    described$subset <- NULL
  }
  for (name in c("weights", "offset", "subset")) {
    if (!is.null(described[[name]])) args[[name]] <- as.name(inert(one_of(described[[name]], columns, name)))
  }
  if (!is.null(described$na_action) && described$na_action != "na.omit") {
    args$na.action <- as.name(one_of(described$na_action, grammar$na_actions, "na.action"))
  }
  if (!is.null(described$contrasts)) args$contrasts <- contrasts_in(described$contrasts)
  list(call = as.call(c(list(as.name(verb)), args, extra)), home = home)
}

# A condition on the rows, checked as a formula is, or numbers of rows.
chosen_rows <- function(described, columns) {
  if (!is.null(described$rows)) {
    return(as.integer(plain_numbers(unlist(described$rows), "subset")))
  }
  tree <- as_checked_formula(paste0("~ I(", described$condition, ")"), columns, new.env(parent = formula_home))[[2L]]
  if (!is.call(tree) || !identical(tree[[1L]], quote(I))) {
    bridge_stop("bridge_formula_error", "subset is not one condition: '", described$condition, "'")
  }
  tree[[2L]]
}

# The call holds the formula as plain language, as it does when a user types it.
formula_language <- function(formula) {
  attributes(formula) <- NULL
  formula
}

contrasts_in <- function(described) {
  coded <- lapply(described, function(x) {
    if (is.list(x)) {
      return(matrix(as.double(x$values), nrow(x$values), ncol(x$values), dimnames = list(NULL, unlist(x$columns))))
    }
    one_of(x, grammar$contrasts, "contrasts")
  })
  stats::setNames(coded, inert(names(coded)))
}

# lmerControl(...) as a call, from plain data.
control_call <- function(verb, described) {
  for (name in names(described)) check_control(name, described[[name]])
  as_argument <- function(x) {
    if (is.list(x)) as.call(c(list(quote(list)), lapply(x, as_argument))) else x
  }
  as.call(c(list(as.name(verb)), lapply(described, as_argument)))
}

check_control <- function(name, value) {
  kind <- grammar$control[[name, exact = TRUE]]
  if (is.null(kind)) bad_option("lmerControl has no argument '", name, "'")
  switch(kind,
    optimizer = one_of(value, grammar$optimizers, "optimizer"),
    action = one_of(value, grammar$check_actions, name),
    numbers = for (i in seq_along(value)) {
      # names of methods: optimx and nloptr compare them with lists of their own
      word <- names(value)[i] %in% c("method", "algorithm") && is.character(value[[i]]) && grepl("^[A-Za-z_-]+$", value[[i]])
      if (!word) plain_numbers(value[[i]], names(value)[i])
    },
    plain_numbers(value, name)
  )
}

# Evaluates a call of a fit; what an older lme4 refuses to read as a grouping factor is told with the release that can.
fitted_call <- function(call, home) {
  tryCatch(eval(call, home), error = function(e) {
    text <- conditionMessage(e)
    has <- as.character(utils::packageDescription("lme4", fields = "Version"))
    formula_of_factors <- grepl("^Invalid grouping factor specification, .*([*+^]|%in%)", text)
    if (!formula_of_factors || utils::compareVersion(has, "1.1-36") >= 0) stop(e)
    bridge_stop(
      "bridge_formula_error", text, ": formulas of grouping factors, such as (1 | f*g) for ",
      "(1 | f) + (1 | g) + (1 | f:g), are there since lme4 1.1-36; this R has lme4 ", has
    )
  })
}

lmer_extra <- function(described) {
  extra <- list()
  if (!isTRUE(described$REML)) extra$REML <- FALSE
  if (!is.null(described$control)) extra$control <- control_call("lmerControl", described$control)
  if (!is.null(described$start)) extra$start <- as.double(described$start)
  extra
}

lme4_lmer <- function(described) {
  need("lme4")
  described$package <- "lme4"
  described$verbs <- c("lmer", "lmerControl")
  built <- model_call("lmer", described, lmer_extra(described))
  # gcFirst costs more than a small fit
  seconds <- system.time(gcFirst = FALSE, {
    fit <- fitted_call(built$call, built$home)
    if (isTRUE(described$restart)) fit <- restarted(fit, built)
  })
  y <- stats::model.response(stats::model.frame(fit))
  if (is.numeric(y) && all(y == y[1L])) {
    # lme4 itself returns an object (sigma 0, log-likelihood Inf) of which it cannot print a summary.
    bridge_stop(
      "bridge_data_error", "the response has the same value, ", format(y[1L]), ", in all ", length(y),
      " rows used: there is nothing to model. (lme4 warns, estimates sigma = 0, and stops in summary() with ",
      "'not a positive definite matrix'.)"
    )
  }
  c(lme4_extract(fit), list(handle = keep(fit), seconds = as.double(seconds)[1:3]))
}

# What the optimizer moves: theta, and since 2.0 'par', from which theta follows (cs() and ar1() have fewer of them).
moved_parameters <- function(fit) {
  lme4::getME(fit, if (utils::packageVersion("lme4") >= "2.0.1") "par" else "theta")
}

# Their lower bounds; lme4 before 2.0 gives these no names.
lower_out <- function(fit) {
  list(values = as.double(lme4::getME(fit, "lower")), names = names(moved_parameters(fit)))
}

# getME(fit, "par"), there since 2.0.
par_out <- function(fit) if (utils::packageVersion("lme4") >= "2.0.1") vector_out(moved_parameters(fit))

# The covariance structure of each term: all are us before lme4 2.0.
structures_out <- function(fit) {
  cnms <- lme4::getME(fit, "cnms")
  known <- if (utils::packageVersion("lme4") >= "2.0.1") lme4::getReCovs(fit)
  kind <- function(i) if (is.null(known)) "us" else sub("^Covariance[.]", "", class(known[[i]])[1L])
  one_sd <- function(i) !is.null(known) && "hom" %in% methods::slotNames(known[[i]]) && isTRUE(known[[i]]@hom)
  list(
    term = names(cnms), structure = vapply(seq_along(cnms), kind, ""), hom = vapply(seq_along(cnms), one_sd, NA),
    nc = unname(lengths(cnms))
  )
}

# The fit, optimised again from its own optimum with a small trust region, while that lowers the objective.
restarted <- function(fit, built, times = 5L) {
  objective <- function(m) m@devcomp$cmp[[if (lme4::isREML(m)) "REML" else "dev"]]
  for (i in seq_len(times)) {
    call <- built$call
    call$start <- moved_parameters(fit)
    call$control$optCtrl$rhobeg <- 2e-3
    again <- suppressMessages(suppressWarnings(eval(call, built$home)))
    gain <- objective(fit) - objective(again)
    if (!isTRUE(gain > 0)) break
    again@call <- fit@call
    again@optinfo$feval <- again@optinfo$feval + fit@optinfo$feval
    fit <- again
    if (gain < 1e-12 * abs(objective(fit))) break
  }
  fit
}

# The same call without the fit: y, X, Z, theta's names.
lme4_lFormula <- function(described) {
  need("lme4")
  described$package <- "lme4"
  described$verbs <- c("lFormula", "lmerControl")
  built <- model_call("lFormula", described, lmer_extra(described))
  pieces <- fitted_call(built$call, built$home)
  re <- pieces$reTrms
  fr <- pieces$fr
  names(re$theta) <- theta_names(re$cnms)
  list(
    formula = scalar(one_line(pieces$formula)),
    positions = positions_of(row.names(fr)),
    y = as.double(stats::model.response(fr)),
    X = matrix_out(pieces$X), Z = sparse_out(Matrix::t(re$Zt)),
    cnms = cnms_out(re$cnms), flist = flist_out(re$flist), theta = vector_out(re$theta), lower = as.double(re$lower),
    weights = as.double(stats::model.weights(fr)), offset = as.double(stats::model.offset(fr)),
    dropped = as.character(names(attr(pieces$X, "col.dropped"))),
    contrasts = contrasts_out(attr(pieces$X, "contrasts"))
  )
}

# names of theta as lme4 has them (lme4:::mkPfun, default separator)
theta_names <- function(cnms) {
  unlist(lapply(seq_along(cnms), function(i) {
    effects <- cnms[[i]]
    pairs <- expand.grid(effects, effects, stringsAsFactors = FALSE)
    pairs <- pairs[lower.tri(diag(length(effects)), diag = TRUE), ]
    paste(names(cnms)[i], ifelse(pairs[[1L]] == pairs[[2L]], pairs[[1L]], paste(pairs[[1L]], pairs[[2L]], sep = ".")), sep = ".")
  }))
}

contrasts_out <- function(x) {
  lapply(x, function(item) if (is.character(item)) scalar(item) else matrix_out(as.matrix(item)))
}

sparse_out <- function(x) {
  x <- methods::as(x, "CsparseMatrix")
  x <- methods::as(x, "generalMatrix")
  list(values = as.double(x@x), indices = x@i, pointers = x@p, shape = dim(x))
}

cnms_out <- function(cnms) list(groups = as.character(names(cnms)), effects = lapply(unname(cnms), function(x) I(as.character(x))))

flist_out <- function(flist) {
  list(
    groups = as.character(names(flist)), assign = as.integer(attr(flist, "assign")),
    factors = lapply(unname(as.list(flist)), function(f) list(codes = as.integer(f), levels = as.character(levels(f))))
  )
}

# ranef() or coef(): a list of data frames.
group_frames_out <- function(frames) {
  lapply(stats::setNames(seq_along(frames), names(frames)), function(i) matrix_out(as.matrix(frames[[i]])))
}

varcorr_out <- function(fit) {
  v <- as.data.frame(lme4::VarCorr(fit))
  list(
    grp = as.character(v$grp), var1 = as.character(v$var1), var2 = as.character(v$var2),
    vcov = as.double(v$vcov), sdcor = as.double(v$sdcor)
  )
}

optinfo_out <- function(fit) {
  info <- fit@optinfo
  number <- function(x) if (is.null(x) || !length(x)) NULL else as.double(x)
  codes <- unlist(info$conv$lme4$code)
  list(
    optimizer = scalar(as.character(info$optimizer)[1L]),
    feval = scalar(as.integer(info$feval %||% NA)[1L]),
    conv = scalar(as.integer(unlist(info$conv$opt) %||% 0L)[1L]),
    message = if (length(info$message)) scalar(paste(info$message, collapse = "; ")),
    lme4_codes = as.integer(codes), lme4_messages = as.character(unlist(info$conv$lme4$messages)),
    warnings = as.character(unlist(lapply(info$warnings, function(w) if (is.character(w)) w else conditionMessage(w)))),
    gradient = number(info$derivs$gradient),
    Hessian = if (!is.null(info$derivs$Hessian)) unname(as.matrix(info$derivs$Hessian)),
    theta = number(info$val)
  )
}

# What the fit shows. Warnings of summary() and vcov() are not the fit's own: they are kept apart.
lme4_extract <- function(fit) {
  later <- character()
  shown <- withCallingHandlers(
    suppressMessages(lme4_shown(fit)),
    warning = function(w) {
      later <<- c(later, conditionMessage(w))
      invokeRestart("muffleWarning")
    }
  )
  c(shown, list(summary_warnings = unique(later)))
}

# vcov(m), or, where it stops (the matrix is not positive definite in double precision), what it says it returns then:
# one of missing values.
vcov_or_missing <- function(fit) {
  tryCatch(as.matrix(stats::vcov(fit)), error = function(e) {
    warning("vcov() fails: ", conditionMessage(e), call. = FALSE)
    names <- names(lme4::fixef(fit))
    matrix(NA_real_, length(names), length(names), dimnames = list(names, names))
  })
}

# What R would print, or, where it stops (summary() and print() ask for vcov()), why not.
printed_or_why <- function(text) {
  tryCatch(text, error = function(e) paste0("R prints nothing of this fit: ", conditionMessage(e)))
}

# coef(summary(m)), with missing standard errors where there is no summary.
coefficients_of <- function(fit, summarized) {
  if (!is.null(summarized)) return(stats::coef(summarized))
  estimates <- lme4::fixef(fit)
  cbind(Estimate = estimates, `Std. Error` = NA_real_ * estimates, `t value` = NA_real_ * estimates)
}

lme4_shown <- function(fit) {
  fr <- stats::model.frame(fit)
  reml <- lme4::isREML(fit)
  ll <- stats::logLik(fit)
  summarized <- tryCatch(summary(fit), error = function(e) NULL)
  fitted <- stats::fitted(fit)
  residuals <- stats::residuals(fit)
  list(
    formula = scalar(one_line(stats::formula(fit))),
    fixef = vector_out(lme4::fixef(fit)), vcov = matrix_out(vcov_or_missing(fit)),
    coef_table = matrix_out(coefficients_of(fit, summarized)),
    VarCorr = varcorr_out(fit), ranef = group_frames_out(lme4::ranef(fit, condVar = FALSE)),
    sigma = scalar(stats::sigma(fit)), logLik = scalar(as.double(ll)), npar = scalar(as.integer(attr(ll, "df"))),
    AIC = scalar(stats::AIC(fit)), BIC = scalar(stats::BIC(fit)), df_residual = scalar(as.integer(stats::df.residual(fit))),
    nobs = scalar(as.integer(stats::nobs(fit))),
    ngrps = list(names = names(lme4::ngrps(fit)), values = as.integer(lme4::ngrps(fit))),
    isREML = scalar(reml), isSingular = scalar(lme4::isSingular(fit)), criterion = scalar(as.double(if (reml) lme4::REMLcrit(fit) else stats::deviance(fit))),
    positions = positions_of(row.names(fr)),
    fitted = list(values = as.double(fitted), positions = positions_of(names(fitted))),
    residuals = list(values = as.double(residuals), positions = positions_of(names(residuals))),
    theta = vector_out(lme4::getME(fit, "theta")), par = par_out(fit), lower = lower_out(fit),
    reCovs = structures_out(fit),
    cnms = cnms_out(lme4::getME(fit, "cnms")), optinfo = optinfo_out(fit),
    summary = scalar(printed_or_why(if (is.null(summarized)) printed(print(summary(fit))) else printed_restored(summarized))),
    print = scalar(printed_or_why(printed(print(fit))))
  )
}

# A summary as it would be with the user's names: R abbreviates names there, so they have to be in it before it prints.
printed_restored <- function(summarized) {
  if (any(has_symbols(rownames(stats::coef(summarized))))) summarized <- restored(summarized)
  printed(print(summarized))
}

lme4_coef <- function(fit) group_frames_out(stats::coef(fit))

# Conditional variances: level x effect x effect for each factor; between terms of one factor R gives none (NA).
lme4_condVar <- function(fit) {
  random <- lme4::ranef(fit, condVar = TRUE)
  lapply(random, function(frame) {
    variances <- attr(frame, "postVar")
    if (is.list(variances)) {
      sizes <- vapply(variances, function(v) dim(v)[1L], 1L)
      whole <- array(NA_real_, c(sum(sizes), sum(sizes), nrow(frame)))
      ends <- cumsum(sizes)
      for (i in seq_along(variances)) {
        at <- seq(ends[i] - sizes[i] + 1L, ends[i])
        whole[at, at, ] <- variances[[i]]
      }
      variances <- whole
    }
    list(values = unname(aperm(variances, c(3L, 1L, 2L))), levels = row.names(frame), effects = as.character(names(frame)))
  })
}

lme4_deviance <- function(fit) scalar(stats::deviance(fit))
lme4_REMLcrit <- function(fit) {
  if (!length(lme4::fixef(fit))) {
    bridge_stop(
      "bridge_data_error", "a model without fixed effects has no REML criterion (lme4's REMLcrit() reads memory there ",
      "that was never set); deviance() and logLik() are right"
    )
  }
  scalar(lme4::REMLcrit(fit))
}
lme4_isSingular <- function(fit, tol) scalar(lme4::isSingular(fit, tol = tol))

lme4_residuals <- function(fit, type, scaled) {
  x <- stats::residuals(fit, type = type, scaled = scaled)
  list(values = as.double(x), positions = positions_of(names(x)))
}

lme4_getME <- function(fit, name) {
  if (name == "flist") {
    return(flist_out(lme4::getME(fit, "flist")))
  }
  if (name == "cnms") {
    return(cnms_out(lme4::getME(fit, "cnms")))
  }
  if (name == "ALL") bridge_stop("bridge_data_error", "ask getME() for one piece at a time")
  # getME() itself has no prior weights; weights() does.
  x <- if (name == "weights") as.double(stats::weights(fit)) else lme4::getME(fit, name)
  plain_out(x, name)
}

# A number, vector, matrix or sparse matrix, told apart for Python.
plain_out <- function(x, name) {
  if (methods::is(x, "sparseMatrix") || methods::is(x, "diagonalMatrix")) {
    return(list(kind = scalar("sparse"), value = sparse_out(x)))
  }
  if (is.matrix(x) || methods::is(x, "Matrix")) {
    return(list(kind = scalar("matrix"), value = matrix_out(as.matrix(x))))
  }
  if (is.logical(x) && length(x) == 1L) {
    return(list(kind = scalar("truth"), value = scalar(x)))
  }
  if (is.numeric(x) || is.logical(x)) {
    return(list(kind = scalar("vector"), value = vector_out(x)))
  }
  if (is.character(x)) {
    return(list(kind = scalar("strings"), value = as.character(x)))
  }
  if (is.list(x)) {
    # a factor with two terms gives two elements of one name
    if (!is.null(names(x))) names(x) <- make.unique(names(x))
    return(list(kind = scalar("list"), value = lapply(x, plain_out, name = name)))
  }
  bridge_stop("bridge_data_error", "getME(fit, \"", name, "\") is a ", class(x)[1L], ", which has no counterpart in Python")
}

# The deviance function of the same call, built apart from the fit.
lme4_devfun <- function(fit) {
  call <- fit@call
  call$devFunOnly <- TRUE
  call$start <- NULL
  anew <- function() eval(call, environment(stats::formula(fit)))
  devfun <- anew()
  keep(function(theta) {
    value <- devfun(theta)
    # lme4's keeps what it computed: after NaN (cs() with a correlation of 1, 2.1-0) it gives NaN for ever
    if (!is.finite(value)) devfun <<- anew()
    value
  })
}

# theta: a row for each point, of the model's theta or of what its optimizer moves.
lme4_objective <- function(fit, devfun, theta) {
  theta <- as.matrix(theta)
  moved <- length(moved_parameters(fit))
  if (ncol(theta) != moved) {
    own <- if (moved == length(lme4::getME(fit, "theta"))) "theta" else "par, from which theta follows,"
    bridge_stop(
      "bridge_data_error", "theta has ", ncol(theta), " elements; the model's ", own, " has ", moved, " elements"
    )
  }
  vapply(seq_len(nrow(theta)), function(i) devfun(theta[i, ]), 0)
}

refitted <- function(fit) {
  seconds <- system.time(gcFirst = FALSE, force(fit)) # the caller's fit is made here, when it is asked for
  c(lme4_extract(fit), list(handle = keep(fit), seconds = as.double(seconds)[1:3]))
}

# The call is made in an environment with what lme4's verbs look up by name.
lme4_refit <- function(fit, y, newweights, since) {
  y <- as.double(y)
  # refit() takes the positions of omitted rows out of a response that does not say that they are gone already
  attr(y, "na.action") <- attr(stats::model.frame(fit), "na.action")
  if (is.null(newweights)) {
    return(refitted(lme4::refit(fit, y)))
  }
  need_newer("refit(newweights =)", "lme4", since)
  refitted(lme4::refit(fit, y, newweights = as.double(newweights)))
}
# A loop of refits within R: what a simulation study does.
lme4_refit_each <- function(fit, responses) {
  omitted <- attr(stats::model.frame(fit), "na.action")
  criteria <- numeric(ncol(responses))
  seconds <- system.time(gcFirst = FALSE, for (i in seq_along(criteria)) {
    y <- responses[, i]
    attr(y, "na.action") <- omitted
    criteria[i] <- -2 * as.double(stats::logLik(lme4::refit(fit, y)))
  })
  list(criteria = criteria, seconds = as.double(seconds)[1:3])
}
lme4_refitML <- function(fit) refitted(lme4::refitML(fit))

lme4_predict <- function(fit, newdata, re_form, allow_new_levels, se_fit, since) {
  args <- list(object = fit, allow.new.levels = allow_new_levels)
  if (!is.null(newdata)) args$newdata <- model_frame_in(newdata)
  if (identical(re_form, "NA")) {
    args$re.form <- NA
  } else if (!is.null(re_form)) {
    formula <- stats::formula(fit)
    columns <- restored(c(all.vars(formula), names(stats::model.frame(fit))))
    args$re.form <- as_checked_formula(re_form, columns, environment(formula))
  }
  if (isTRUE(se_fit)) {
    need_newer("predict(se.fit = TRUE)", "lme4", since)
    args$se.fit <- TRUE
  }
  value <- do.call(stats::predict, args)
  if (isTRUE(se_fit)) {
    return(list(values = as.double(value$fit), se = as.double(value$se.fit), positions = positions_of(names(value$fit))))
  }
  list(values = as.double(value), positions = positions_of(names(value)))
}

lme4_vcov_full <- function(fit, since) {
  need_newer("vcov(full = TRUE)", "lme4", since)
  matrix_out(as.matrix(stats::vcov(fit, full = TRUE)))
}

lme4_simulate <- function(fit, nsim, seed, re_form_na, use_u) {
  args <- list(object = fit, nsim = nsim, seed = seed)
  if (isTRUE(use_u)) args$use.u <- TRUE
  value <- do.call(stats::simulate, args)
  list(values = as.matrix(as.data.frame(lapply(value, as.double))), names = names(value), positions = positions_of(row.names(value)))
}

table_out <- function(frame) {
  list(
    rows = as.character(row.names(frame)), names = as.character(names(frame)),
    columns = lapply(unname(as.list(frame)), function(x) if (is.numeric(x)) as.double(x) else as.character(x)),
    heading = as.character(attr(frame, "heading")), text = scalar(printed(print(frame)))
  )
}

lme4_anova <- function(fits, names, refit) {
  fits <- lapply(fits, take_handle)
  names <- vapply(names, plain_symbol, "", USE.NAMES = FALSE)
  home <- new.env(parent = asNamespace("lme4"))
  for (i in seq_along(fits)) assign(names[i], fits[[i]], envir = home)
  call <- as.call(c(list(quote(anova)), lapply(names, as.name), if (length(fits) > 1L) list(refit = refit)))
  table_out(eval(call, home))
}

lme4_drop1 <- function(fit, test) {
  table_out(stats::drop1(fit, test = one_of(test, c("none", "Chisq"), "test")))
}

lme4_confint <- function(fit, parm, level, method, nsim, seed, boot_type) {
  args <- list(object = fit, level = level, method = method, quiet = TRUE)
  one_of(method, c("profile", "Wald", "boot"), "method")
  if (!is.null(parm)) {
    args$parm <- if (is.character(parm)) labels_in(parm, names(lme4::fixef(fit))) else as.integer(unlist(parm))
  }
  if (method == "boot") {
    args$nsim <- nsim
    args$boot.type <- one_of(boot_type, c("perc", "basic", "norm"), "boot_type")
  }
  matrix_out(with_seed(seed, do.call(stats::confint, args)))
}

lme4_profile <- function(fit, which, maxpts, delta_cutoff) {
  args <- list(fitted = fit)
  if (!is.null(which)) {
    args$which <- if (is.character(which)) labels_in(which, names(lme4::fixef(fit))) else as.integer(unlist(which))
  }
  if (!is.null(maxpts)) args$maxpts <- maxpts
  if (!is.null(delta_cutoff)) args$delta.cutoff <- delta_cutoff
  frame <- as.data.frame(do.call(stats::profile, args))
  frame$.par <- as.character(frame$.par)
  table_out(frame)
}

# Statistics of a parametric bootstrap, by name.
bootstrap_statistics <- list(
  fixef = function(m) lme4::fixef(m),
  theta = function(m) lme4::getME(m, "theta"),
  sigma = function(m) c(sigma = stats::sigma(m)),
  sdcor = function(m) {
    v <- as.data.frame(lme4::VarCorr(m), order = "lower.tri")
    stats::setNames(v$sdcor, ifelse(is.na(v$var1), "sigma", ifelse(is.na(v$var2), paste("sd", v$grp, v$var1), paste("cor", v$grp, v$var1, v$var2))))
  }
)

lme4_bootMer <- function(fit, statistic, nsim, seed, use_u, type) {
  one_of(statistic, names(bootstrap_statistics), "statistic")
  one_of(type, c("parametric", "semiparametric"), "type")
  value <- lme4::bootMer(fit, bootstrap_statistics[[statistic]], nsim = nsim, seed = seed, use.u = use_u, type = type)
  list(names = names(value$t0), observed = as.double(value$t0), values = matrix(as.double(value$t), nrow(value$t)))
}

lme4_rePCA <- function(fit) {
  lapply(lme4::rePCA(fit), function(p) list(sdev = as.double(p$sdev), rotation = matrix(as.double(p$rotation), nrow(p$rotation))))
}
