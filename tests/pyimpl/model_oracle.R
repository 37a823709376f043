# Live R as the oracle of tests/pyimpl/test_formula*.py, test_coding*.py and test_design*.py.
# Usage: Rscript model_oracle.R cases.json answers.json numbers.bin
# Matrices are written to numbers.bin as raw doubles, column-major, so that the comparison is exact.
suppressMessages({
  library(jsonlite)
  library(lme4)
})
invisible(Sys.setlocale("LC_COLLATE", "C"))
args <- commandArgs(trailingOnly = TRUE)
input <- fromJSON(args[1], simplifyVector = FALSE)
bin <- file(args[3], "wb")
written <- 0

put <- function(m) {
  m <- as.matrix(m)
  values <- as.double(m)
  writeBin(values, bin)
  out <- list(at = written, nrow = nrow(m), ncol = ncol(m))
  written <<- written + length(values)
  out
}
strings <- function(x) I(as.character(x))
unlist_or <- function(x, f) vapply(x, function(v) if (is.null(v)) f(NA) else f(v), f(NA))

column <- function(spec) {
  switch(spec$type,
    double = unlist_or(spec$values, as.double),
    integer = unlist_or(spec$values, as.integer),
    logical = unlist_or(spec$values, as.logical),
    string = unlist_or(spec$values, as.character),
    date = as.Date(unlist_or(spec$values, as.character)),
    factor = factor(unlist_or(spec$values, as.character), levels = unlist(spec$levels)),
    ordered = factor(unlist_or(spec$values, as.character), levels = unlist(spec$levels), ordered = TRUE)
  )
}
frames <- lapply(input$frames, function(f) {
  cols <- lapply(f$columns, column)
  names(cols) <- unlist(f$names)
  as.data.frame(cols, stringsAsFactors = FALSE, optional = TRUE)
})

contrast_args <- function(spec) {
  if (is.null(spec)) return(NULL)
  lapply(spec, function(v) if (is.character(v)) v else do.call(rbind, lapply(v, unlist)))
}

answer <- function(case) {
  f <- str2lang(case$formula)
  form <- if (case$kind %in% c("parse")) NULL else as.formula(f, env = globalenv())
  d <- if (!is.null(case$frame)) frames[[case$frame + 1]]
  switch(case$kind,
    parse = list(text = paste(deparse(f, 500L), collapse = ""), lines = strings(deparse(f))),
    terms = {
      t <- if (is.null(d)) terms(form) else terms(form, data = d)
      list(
        labels = strings(attr(t, "term.labels")),
        intercept = attr(t, "intercept"), response = attr(t, "response"),
        offset = I(as.integer(attr(t, "offset"))),
        variables = strings(vapply(attr(t, "variables"), function(v) paste(deparse(v, 500L, backtick = !is.symbol(v)), collapse = ""), "")[-1]),
        factors = if (length(attr(t, "term.labels"))) put(attr(t, "factors"))
      )
    },
    matrix = {
      mf <- model.frame(form, d)
      m <- model.matrix(form, mf, contrasts.arg = contrast_args(case$contrasts))
      list(names = strings(colnames(m)), X = put(m), assign = I(attr(m, "assign")), rows = strings(rownames(m)))
    },
    factor = {
      x <- factor(d[[case$column]])
      list(levels = strings(levels(x)), codes = put(as.integer(x)))
    },
    design = {
      call <- list(form, data = d, contrasts = contrast_args(case$contrasts))
      if (!is.null(case$weights)) call$weights <- as.name(case$weights)
      if (!is.null(case$offset)) call$offset <- as.name(case$offset)
      if (!is.null(case$subset)) call$subset <- str2lang(case$subset)
      l <- eval(as.call(c(quote(lFormula), call)))
      re <- l$reTrms
      y <- model.response(l$fr)
      if (!is.numeric(y) && !is.logical(y)) stop("response must be numeric")
      if (!all(is.finite(y))) stop("NA/NaN/Inf in 'y'")
      if (any(model.weights(l$fr) < 0)) stop("all(weights >= 0) is not TRUE")
      off <- model.offset(l$fr)
      w <- model.weights(l$fr)
      theta <- unlist(lapply(seq_along(re$cnms), function(i)
        lme4:::mkPfun()(names(re$cnms)[i], re$cnms[[i]])))
      list(
        formula = paste(deparse(l$formula, 500L), collapse = ""),
        y = put(as.numeric(y)), X = put(l$X), names = strings(colnames(l$X)), assign = I(attr(l$X, "assign")),
        dropped = strings(names(attr(l$X, "col.dropped"))),
        Z = put(as.matrix(t(re$Zt))), cnms = lapply(unname(re$cnms), strings), groups = strings(names(re$cnms)),
        labels = strings(names(re$Ztlist)), theta = strings(theta),
        flist = strings(names(re$flist)), levels = lapply(unname(re$flist), function(x) strings(levels(x))),
        assign_flist = I(attr(re$flist, "assign")),
        rows = strings(rownames(l$fr)), offset = if (!is.null(off)) put(off), weights = if (!is.null(w)) put(w),
        frame_names = strings(names(l$fr))
      )
    },
    fit = {
      call <- list(form, data = d, REML = isTRUE(case$REML), contrasts = contrast_args(case$contrasts))
      if (!is.null(case$na_action)) call$na.action <- as.name(case$na_action)
      for (name in c("weights", "offset")) if (!is.null(case[[name]])) {
        call[[name]] <- if (is.character(case[[name]])) as.name(case[[name]]) else unlist_or(case[[name]], as.double)
      }
      if (!is.null(case$subset)) call$subset <- str2lang(case$subset)
      setTimeLimit(elapsed = 20, transient = TRUE)
      m <- eval(as.call(c(quote(lmer), call)))
      list(
        criterion = put(if (isREML(m)) REMLcrit(m) else deviance(m)), singular = isSingular(m),
        theta = put(getME(m, "theta")), beta = put(fixef(m)), nobs = nobs(m), names = strings(names(fixef(m)))
      )
    },
    predict = {
      # The fitted model on new data, at the starting value of theta (no optimizer): predict.merMod and its X.
      m <- lmer(form, d, contrasts = contrast_args(case$contrasts), control = lmerControl(
        optimizer = NULL, calc.derivs = FALSE, check.scaleX = "ignore"
      ))
      new <- frames[[case$newframe + 1]]
      fixed <- predict(m, new, re.form = NA)
      whole <- predict(m, new, allow.new.levels = TRUE)
      re <- ranef(m, condVar = FALSE)
      list(
        fixed = put(fixed), whole = put(whole), beta = put(fixef(m)), groups = strings(names(re)),
        ranef = lapply(unname(re), function(r) list(levels = strings(rownames(r)), effects = strings(names(r)), b = put(r)))
      )
    }
  )
}

answers <- lapply(seq_along(input$cases), function(i) {
  case <- input$cases[[i]]
  cat("@case", i, "\n", file = stderr())  # if R crashes, this says where
  notes <- character()
  got <- tryCatch(
    withCallingHandlers(answer(case),
      warning = function(w) { notes <<- c(notes, conditionMessage(w)); invokeRestart("muffleWarning") },
      message = function(m) { notes <<- c(notes, conditionMessage(m)); invokeRestart("muffleMessage") }
    ),
    error = function(e) list(error = conditionMessage(e))
  )
  got$notes <- strings(notes)
  got
})
close(bin)
write(toJSON(list(answers = answers), auto_unbox = TRUE, null = "null", na = "null", digits = NA), args[2])
