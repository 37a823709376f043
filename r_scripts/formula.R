# The second line of defence: R's own parse tree of a formula, against what a formula may hold. bridge/formula.py is
# the first; FUNCTIONS there and here are the same list.

allowed_functions <- c(
  "I", "abs", "acos", "as.character", "as.double", "as.factor", "as.integer", "as.logical", "as.numeric", "asin", "atan",
  "ave", "bs", "c", "C", "cbind", "ceiling", "cos", "cosh", "cut", "dummy", "droplevels", "exp", "expm1", "factor", "floor",
  "ifelse", "interaction", "is.na", "log", "log10", "log1p", "log2", "logb", "max", "mean", "median", "min", "nchar", "ns",
  "offset", "ordered", "pmax", "pmin", "poly", "quantile", "rank", "relevel", "rev", "round", "scale", "sd", "seq",
  "sign", "signif", "sin", "sinh", "sqrt", "sum", "tan", "tanh", "trunc", "var"
)
allowed_operators <- c(
  "~", "+", "-", "*", "/", "^", ":", "%in%", "%%", "%/%", "|", "||", "&", "&&", "==", "!=", "<", ">", "<=", ">=", "!", "("
)
allowed_summaries <- c("max", "mean", "median", "min", "sd", "sum", "var") # as FUN of ave()
allowed_contrasts <- c("contr.treatment", "contr.sum", "contr.helmert", "contr.poly", "contr.SAS")

# Stops at anything in the parse tree that is not an allowed call, a column, or a constant.
check_tree <- function(tree, columns, inside_C = FALSE) {
  if (is.call(tree)) {
    head <- tree[[1L]]
    if (!is.symbol(head) || !(as.character(head) %in% c(allowed_functions, allowed_operators))) {
      bridge_stop("bridge_formula_error", "the function '", one_line(head), "' is not allowed in a formula")
    }
    inside_C <- inside_C || identical(as.character(head), "C")
    arguments <- as.list(tree)[-1L]
    for (i in seq_along(arguments)) {
      if (identical(arguments[[i]], quote(expr = ))) {
        bridge_stop("bridge_formula_error", "an empty argument in '", one_line(tree), "'")
      }
      is_summary <- identical(head, quote(ave)) && identical(names(arguments)[i], "FUN") &&
        is.symbol(arguments[[i]]) && as.character(arguments[[i]]) %in% allowed_summaries
      if (!is_summary) check_tree(arguments[[i]], columns, inside_C)
    }
  } else if (is.symbol(tree)) {
    name <- as.character(tree)
    if (!(name %in% c(columns, ".") || (inside_C && name %in% allowed_contrasts))) {
      bridge_stop("bridge_data_error", "the formula names '", name, "', but the data have no such column")
    }
  } else if (!(is.numeric(tree) || is.character(tree) || is.logical(tree) || is.null(tree)) || length(tree) > 1L) {
    bridge_stop("bridge_formula_error", "not allowed in a formula: ", one_line(tree))
  }
  invisible(tree)
}

# What a formula's functions are looked up in. Above it stands stats, whose functions lme4 and rstanarm look up from a
# formula's environment; check_tree() has seen to it that no name of the formula itself is found there.
formula_home <- local({
  home <- new.env(parent = asNamespace("stats"))
  for (f in allowed_functions) {
    found <- NULL
    for (package in c("base", "stats", "splines")) {
      found <- found %||% get0(f, envir = asNamespace(package), mode = "function", inherits = FALSE)
    }
    if (!is.null(found)) assign(f, found, envir = home)
  }
  for (f in allowed_contrasts) assign(f, get(f, envir = asNamespace("stats")), envir = home)
  home
})

# An environment for one call: the verbs that a call like lmer(...) names, and the data under the user's name for them.
call_home <- function(package, verbs, data_name, data) {
  home <- new.env(parent = formula_home)
  for (verb in verbs) assign(verb, get(verb, envir = asNamespace(package)), envir = home)
  if (package != "stats" && requireNamespace("lme4", quietly = TRUE)) assign("dummy", lme4::dummy, envir = home)
  assign(data_name, data, envir = home)
  home
}

# The formula of a text, checked, in the environment `home`.
as_checked_formula <- function(text, columns, home) {
  tree <- tryCatch(
    parse(text = text, keep.source = FALSE, encoding = "UTF-8"),
    error = function(e) bridge_stop("bridge_formula_error", "R cannot read the formula '", text, "': ", conditionMessage(e))
  )
  if (length(tree) != 1L || !is.call(tree[[1L]]) || !identical(tree[[1L]][[1L]], quote(`~`))) {
    bridge_stop("bridge_formula_error", "not one formula: '", text, "'")
  }
  check_tree(tree[[1L]], columns)
  formula <- eval(tree[[1L]], home)
  environment(formula) <- home
  formula
}
