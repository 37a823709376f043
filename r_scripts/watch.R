# Runs an R script for `mlmparity migrate` and writes down what it did. Called as
#   Rscript --vanilla watch.R CODE FOLDER
# CODE is the script with `.mlmparity(site, call)` around each watched call and `.mlmparity_at(k)` before the k-th
# statement. FOLDER receives events.jsonl (a line for each event, written at once: a script that fails half-way leaves
# what was seen) and frame-<k>.json (the data that the models saw). Base R only. Python's side is
# validation/migrate/events.py.

# Its names are base R's whatever the script defines: a function `c` of the script's does not stand before R's here.
local({
  arguments <- commandArgs(trailingOnly = TRUE)
  folder <- normalizePath(arguments[2L])
  watch <- new.env()
  watch$statement <- 0L
  watch$depth <- 0L
  watch$frames <- list()
  watch$fits <- list()
  watch$fit_numbers <- watch$frame_numbers <- numeric()
  process <- Sys.getpid()
  # a forked process (parallel::mclapply) numbers what it sees apart from the others
  new_number <- function(known) length(known) + 1 + if (Sys.getpid() == process) 0 else 1e5 * Sys.getpid()
  written <- function(number) sprintf("%.0f", number)
  watch$log <- file(file.path(folder, "events.jsonl"), open = "w", encoding = "UTF-8")

  # ---------------------------------------------------------------------------------------------- JSON
  quoted <- function(x) {
    x <- enc2utf8(as.character(x))
    x <- gsub("\\", "\\\\", x, fixed = TRUE)
    x <- gsub("\"", "\\\"", x, fixed = TRUE)
    x <- gsub("\n", "\\n", x, fixed = TRUE)
    x <- gsub("\r", "\\r", x, fixed = TRUE)
    x <- gsub("\t", "\\t", x, fixed = TRUE)
    x <- gsub("[\001-\037]", "", x)
    ifelse(is.na(x), "null", paste0("\"", x, "\""))
  }
  # 17 digits give every double back exactly
  numbers <- function(x) {
    text <- if (is.integer(x)) as.character(x) else sprintf("%.17g", x)
    text[is.na(x)] <- "null"
    text[is.nan(x)] <- "\"NaN\""
    text[!is.na(x) & x == Inf] <- "\"Inf\""
    text[!is.na(x) & x == -Inf] <- "\"-Inf\""
    text
  }
  array_of <- function(texts) paste0("[", paste(texts, collapse = ","), "]")
  object_of <- function(...) {
    parts <- list(...)
    parts <- parts[!vapply(parts, is.null, NA)]
    paste0("{", paste0(quoted(names(parts)), ":", unlist(parts, use.names = FALSE), collapse = ","), "}")
  }
  texts_of <- function(x) if (is.null(x)) NULL else array_of(quoted(x))
  show_value <- function(x) print(x)
  environment(show_value) <- globalenv()  # by the script's own methods, too
  shown <- function(x) {
    lines <- tryCatch(utils::capture.output(show_value(x)), error = function(e) character())
    if (length(lines) > 400L) lines <- c(lines[1:400], "...")
    array_of(quoted(lines))
  }

  # What is too large to be kept number by number (posterior draws): its columns' mean, standard deviation, mean by place
  # and quantiles, as validation/migrate/values.py has them.
  summed <- function(x) {
    columns <- if (is.data.frame(x)) Filter(function(one) is.numeric(one) || is.logical(one), x)
    else if (length(dim(x)) == 2L) lapply(seq_len(ncol(x)), function(k) x[, k])
    else list(x)
    names_of <- if (is.data.frame(x)) names(columns) else if (length(dim(x)) == 2L) colnames(x)
    moments <- function(one) {
      one <- as.double(one)
      k <- seq_along(one)
      c(mean(one), sqrt(mean((one - mean(one))^2)), sum(k * one) / sum(k), if (length(one) >= 200L)
        if (anyNA(one)) rep(NA_real_, 5L) else stats::quantile(one, c(.05, .25, .5, .75, .95), names = FALSE))
    }
    rows <- c("mean", "sd", "by place", if (NROW(x) >= 200L) c("5%", "25%", "50%", "75%", "95%"))
    object_of(
      type = quoted("summed"), class = texts_of(class(x)), rows = texts_of(rows), names = texts_of(names_of),
      columns = array_of(vapply(columns, function(one) object_of(values = array_of(numbers(moments(one)))), ""))
    )
  }

  # The numbers of summary(data frame), as pandas' describe() has them; R's own value holds texts only.
  described <- function(data) {
    rows <- c("count", "unique", "freq", "mean", "std", "min", "25%", "50%", "75%", "max")
    columns <- lapply(data, function(x) {
      known <- x[!is.na(x)]
      if (is.numeric(x) && !is.factor(x)) c(length(known), NA, NA, mean(known), stats::sd(known), stats::quantile(
        known, c(0, .25, .5, .75, 1), names = FALSE))
      else if (is.factor(x) || is.character(x) || is.logical(x))
        c(length(known), length(unique(known)), if (length(known)) max(table(as.character(known))) else NA, rep(NA, 7L))
    })
    kinds <- vapply(data, function(x) is.numeric(x) && !is.factor(x), NA)
    kept <- c(TRUE, rep(!all(kinds), 2L), rep(any(kinds), 7L))  # pandas has the rows that some column needs
    rows <- rows[kept]
    columns <- lapply(Filter(Negate(is.null), columns), function(one) as.double(one)[kept])
    object_of(type = quoted("frame"), names = texts_of(names(columns)), rows = texts_of(rows),
              columns = array_of(vapply(columns, function(one) value_of(one, 9L), "")))
  }

  # A value of R as JSON: its type, values, names. Deep or long things are named, not copied.
  value_of <- function(x, depth = 0L, most = 2e5) {
    if (is.null(x)) return(object_of(type = quoted("null")))
    if (is_fit(x)) return(object_of(type = quoted("fit"), fit = written(fit_number(x)), class = texts_of(class(x))))
    if (inherits(x, "VarCorr.merMod") || inherits(x, "VarCorr.lme4")) x <- as.data.frame(x)
    if (inherits(x, "emmGrid")) x <- as.data.frame(summary(x))
    if (inherits(x, "summary.merMod")) return(value_of(list(
      coefficients = stats::coef(x), sigma = x$sigma
    ), depth))
    if (inherits(x, c("summary.lm", "summary.glm"))) return(value_of(unclass(x)[intersect(
      c("coefficients", "sigma", "r.squared", "adj.r.squared", "df", "fstatistic"), names(x))], depth))
    if (inherits(x, "logLik")) x <- as.numeric(x)
    if (inherits(x, c("psis_loo", "waic", "loo"))) x <- x$estimates
    if (inherits(x, "boot")) x <- x[c("t0", "t")]
    if (inherits(x, "thpr")) x <- structure(x[setdiff(names(x), ".focal")], class = "data.frame", forward = NULL, backward = NULL)
    if (inherits(x, c("r2_nakagawa", "icc")) && length(dim(x[[1L]])) == 0L && length(x[[1L]]) == 1L) {
      x <- unlist(unclass(x))
      x <- x[names(x) != "ICC_conditional"]  # ICC_unadjusted, by the name that it had
      names(x) <- sub("\\..*", "", names(x))
    }
    if (inherits(x, "check_outliers")) x <- as.data.frame(x)
    if (inherits(x, "KRmodcomp")) x <- x$test
    if (inherits(x, "prcomplist")) x <- lapply(x, function(one) one$sdev)
    # means and contrasts: their table; from draws it is named, since no two samplers have the same draws
    if (inherits(x, "emmGrid")) x <- tryCatch(as.data.frame(summary(x)), error = function(e) x)
    if (inherits(x, "summary_emm")) x <- structure(as.data.frame(x), row.names = seq_len(nrow(x)))
    if (inherits(x, "table") && is.character(x)) return(object_of(type = quoted("other"), class = texts_of("summary of data")))
    if (inherits(x, "table")) x <- structure(unclass(x), class = NULL)
    if (is.function(x) || is.environment(x) || is.language(x)) {
      return(object_of(type = quoted("other"), class = texts_of(class(x)), text = shown(x)))
    }
    if (isS4(x) && !is.numeric(x)) {
      if (inherits(x, "Matrix") && prod(dim(x)) <= 1e5) x <- as.matrix(x)
      else return(object_of(type = quoted("other"), class = texts_of(class(x))))
    }
    if (is.data.frame(x)) {
      if (nrow(x) * max(1L, ncol(x)) > most) return(summed(x))
      columns <- vapply(x, function(one) value_of(one, depth + 1L), "")
      return(object_of(type = quoted("frame"), names = texts_of(names(x)), rows = texts_of(row.names(x)),
                       columns = array_of(columns)))
    }
    if (is.list(x)) {
      if (depth > 5L || length(x) > 2000L) return(object_of(type = quoted("large"), class = texts_of(class(x))))
      items <- vapply(seq_along(x), function(i) value_of(x[[i]], depth + 1L), "")
      return(object_of(type = quoted("list"), names = texts_of(names(x)), items = array_of(items)))
    }
    if (length(x) > most) return(if ((is.numeric(x) || is.logical(x)) && !is.factor(x) && length(dim(x)) < 3L) summed(x) else
      object_of(type = quoted("large"), class = texts_of(class(x))))
    kind <- "other"
    values <- NULL
    levels <- NULL
    if (is.factor(x)) {
      kind <- if (is.ordered(x)) "ordered" else "factor"
      levels <- texts_of(base::levels(x))
      values <- numbers(as.integer(x))
    } else if (inherits(x, "Date")) {
      kind <- "date"
      values <- quoted(format(x, "%Y-%m-%d"))
    } else if (inherits(x, "POSIXt")) {
      kind <- "time"
      values <- quoted(format(as.POSIXct(x), "%Y-%m-%dT%H:%M:%OS6", tz = "UTC"))
    } else if (is.logical(x)) {
      kind <- "logical"
      values <- ifelse(is.na(x), "null", ifelse(x, "true", "false"))
    } else if (is.integer(x)) {
      kind <- "integer"
      values <- numbers(as.integer(x))
    } else if (is.numeric(x)) {
      kind <- "double"
      values <- numbers(as.double(x))
    } else if (is.character(x)) {
      kind <- "character"
      values <- quoted(x)
    } else {
      return(object_of(type = quoted("other"), class = texts_of(class(x))))
    }
    dims <- dim(x)
    names_of <- if (is.null(dims)) names(x) else NULL
    label <- attr(x, "label", exact = TRUE)
    object_of(
      type = quoted(kind), values = array_of(values), names = texts_of(names_of), levels = levels,
      dim = if (is.null(dims)) NULL else array_of(dims),
      dimnames = if (is.null(dimnames(x))) NULL else array_of(lapply(dimnames(x), function(one)
        if (is.null(one)) "null" else texts_of(one))),
      label = if (is.character(label)) quoted(label[1L]) else NULL
    )
  }

  write_event <- function(...) {
    forked <- Sys.getpid() != process
    line <- object_of(..., process = if (forked) as.character(Sys.getpid()))
    written <- tryCatch(
      {
        writeLines(line, watch$log, useBytes = TRUE)
        flush(watch$log)
        TRUE
      },
      error = function(e) FALSE
    )
    if (!written) {  # closeAllConnections()
      watch$log <- file(file.path(folder, "events.jsonl"), open = "a", encoding = "UTF-8")
      writeLines(line, watch$log, useBytes = TRUE)
      flush(watch$log)
    }
  }

  # ---------------------------------------------------------------------------------------- fits and data
  fit_classes <- c("merMod", "lmerModLmerTest", "lm", "stanreg", "lmList4", "lmList", "lme", "gls", "brmsfit", "glmmTMB",
                   "gam", "aov")
  is_fit <- function(x) any(vapply(fit_classes, function(one) inherits(x, one), NA))
  fit_number <- function(x) {
    for (i in rev(seq_along(watch$fits)))
      if (identical(watch$fits[[i]], x, ignore.environment = TRUE)) return(watch$fit_numbers[i])
    watch$fit_numbers <- c(watch$fit_numbers, new_number(watch$fits))
    watch$fits[[length(watch$fits) + 1L]] <- x
    watch$fit_numbers[length(watch$fits)]
  }
  # data.table changes its tables in place, and what was kept of them with it
  own_copy <- function(x) if (inherits(x, "data.table")) data.table::copy(x) else x
  frame_number <- function(data, name) {
    data <- as.data.frame(own_copy(data))
    for (i in seq_along(watch$frames)) if (identical(watch$frames[[i]], data)) return(watch$frame_numbers[i])
    if (nrow(data) * max(1, ncol(data)) > 2e7) return(0)
    i <- new_number(watch$frames)
    watch$frame_numbers <- c(watch$frame_numbers, i)
    watch$frames[[length(watch$frames) + 1L]] <- data
    kept <- data[!vapply(data, function(one) is.list(one) || (is.matrix(one) && !is.numeric(one)), NA)]
    # scale() makes a matrix of one column
    kept[] <- lapply(kept, function(one) if (is.matrix(one) && ncol(one) == 1L) as.vector(one) else one)
    matrices <- vapply(kept, is.matrix, NA)
    columns <- vapply(kept[!matrices], function(one) column_of(one), "")
    writeLines(object_of(
      name = quoted(name), rows = texts_of(row.names(data)), automatic = if (is.integer(attr(data, "row.names"))) "true" else "false",
      names = texts_of(names(kept)[!matrices]), columns = array_of(columns),
      omitted = array_of(quoted(c(setdiff(names(data), names(kept)), names(kept)[matrices])))
    ), file.path(folder, sprintf("frame-%s.json", written(i))), useBytes = TRUE)
    i
  }
  column_of <- function(x) {
    if (inherits(x, "haven_labelled")) x <- if (is.numeric(x)) as.numeric(unclass(x)) else as.character(x)
    if (inherits(x, "difftime") || inherits(x, "AsIs")) x <- as.vector(unclass(x))
    text <- value_of(x, depth = 9L)
    own <- if (is.factor(x)) attr(x, "contrasts", exact = TRUE)
    if (is.null(own)) text else sub("\\}$", paste0(",\"contrasts\":", value_of(own, depth = 9L), "}"), text)
  }
  same_seed <- function(seed, code) {
    now <- if (exists(".Random.seed", globalenv(), inherits = FALSE)) get(".Random.seed", globalenv()) else NULL
    on.exit(if (is.null(now)) suppressWarnings(rm(".Random.seed", envir = globalenv())) else
      assign(".Random.seed", now, globalenv()))
    if (!is.null(seed)) assign(".Random.seed", seed, globalenv())
    force(code)
  }

  call_of <- function(fit) tryCatch(if (isS4(fit)) fit@call else fit$call, error = function(e) NULL)
  # the function that made a fit, by its call; by its class where the call holds the function itself (do.call)
  fun_of <- function(fit) {
    f <- call_of(fit)[[1L]]
    if (is.name(f) || (is.call(f) && as.character(f[[1L]]) %in% c("::", ":::")))
      return(sub("\\.(formula|default)$", "", paste(deparse(f), collapse = "")))
    if (inherits(fit, "stanreg")) return(if (is.null(fit$stan_function)) "stan_lmer" else fit$stan_function)
    if (inherits(fit, "glmerMod")) return("glmer")
    if (inherits(fit, "nlmerMod")) return("nlmer")
    if (inherits(fit, "merMod")) return("lmer")
    class(fit)[1L]
  }
  formula_of <- function(fit) tryCatch(stats::formula(fit), error = function(e) NULL)

  # The data frame that attach() was given, where all of a formula's variables are its columns and nothing hides them.
  attached_of <- function(fit) {
    variables <- all.vars(formula_of(fit))
    owners <- vapply(variables, function(one) {
      place <- environment(formula_of(fit))
      while (!identical(place, emptyenv()) && !exists(one, envir = place, inherits = FALSE)) place <- parent.env(place)
      if (identical(place, emptyenv()) || is.null(attr(place, "name"))) "" else attr(place, "name")
    }, "")
    if (length(unique(owners)) != 1L || !nzchar(owners[1L])) return(NULL)
    found <- get0(owners[1L], globalenv(), inherits = TRUE)
    same <- is.data.frame(found) && all(variables %in% names(found)) && all(vapply(variables, function(one)
      identical(found[[one]], get(one, envir = environment(formula_of(fit)))), NA))
    if (same) structure(found, "name of what is attached" = owners[1L])
  }

  # The data of a fit, as its call names it, in the place it was called from; else the variables of its formula.
  data_of <- function(fit, caller, seed) {
    cl <- call_of(fit)
    given <- cl$data
    found <- NULL
    if (!is.null(given)) {
      for (place in list(caller, environment(formula_of(fit)), globalenv())) {
        if (!is.environment(place)) next
        found <- tryCatch(same_seed(seed, eval(given, place)), error = function(e) NULL)
        if (is.environment(found)) found <- tryCatch(as.list(found), error = function(e) NULL)
        if (is.list(found)) break
        found <- NULL
      }
    }
    if (is.null(found)) found <- attached_of(fit)
    if (is.null(found)) {
      variables <- all.vars(formula_of(fit))
      place <- environment(formula_of(fit))
      values <- lapply(variables, function(one) tryCatch(get(one, envir = place), error = function(e) NULL))
      names(values) <- variables
      lengths <- vapply(values, NROW, 0L)
      rows <- max(c(0L, lengths))
      values <- values[lengths == rows & !vapply(values, is.function, NA)]
      found <- tryCatch(as.data.frame(values, stringsAsFactors = FALSE, optional = TRUE), error = function(e) NULL)
    }
    if (is.null(found)) return(NULL)
    name <- if (is.name(given)) as.character(given) else attr(found, "name of what is attached", exact = TRUE)
    frame_number(structure(found, "name of what is attached" = NULL), if (is.null(name)) "" else name)
  }

  numbers_of <- function(code) tryCatch(value_of(code), error = function(e) NULL)
  argument_of <- function(fit, name, caller, data, seed) {
    given <- call_of(fit)[[name]]
    if (is.null(given)) return(NULL)
    value <- tryCatch(same_seed(seed, eval(given, data, caller)), error = function(e) NULL)
    if (is.null(value)) return(NULL)
    object_of(code = quoted(paste(deparse(given, width.cutoff = 500L), collapse = " ")), value = value_of(value))
  }

  describe_fit <- function(fit, caller, seed) {
    frame <- data_of(fit, caller, seed)
    data <- if (is.null(frame) || frame == 0) NULL else watch$frames[[match(frame, watch$frame_numbers)]]
    given <- as.list(call_of(fit))[-1L]
    formula <- formula_of(fit)
    stan <- inherits(fit, "stanreg")
    lme4_fit <- inherits(fit, "merMod")
    parts <- list(
      classes = texts_of(class(fit)),
      contrasts_option = texts_of(getOption("contrasts")),
      fun = quoted(fun_of(fit)),
      formula = if (is.null(formula)) NULL else quoted(paste(deparse(formula, width.cutoff = 500L), collapse = " ")),
      frame = if (is.null(frame)) NULL else written(frame),
      given = texts_of(names(given)),
      weights = argument_of(fit, "weights", caller, data, seed),
      offset = argument_of(fit, "offset", caller, data, seed),
      subset = argument_of(fit, "subset", caller, data, seed),
      contrasts = argument_of(fit, "contrasts", caller, data, seed),
      start = if (lme4_fit) argument_of(fit, "start", caller, data, seed),
      na_action = numbers_of(if (is.null(attr(stats::model.frame(fit), "na.action"))) "none" else
        class(attr(stats::model.frame(fit), "na.action")))
    )
    if (lme4_fit && !inherits(fit, "glmerMod")) parts <- c(parts, list(
      REML = if (lme4::isREML(fit)) "true" else "false",
      fixef = numbers_of(lme4::fixef(fit)), vcov = numbers_of(as.matrix(stats::vcov(fit))),
      coefficients = numbers_of(stats::coef(summary(fit))), theta = numbers_of(lme4::getME(fit, "theta")),
      sigma = numbers_of(stats::sigma(fit)), logLik = numbers_of(as.numeric(stats::logLik(fit))),
      components = numbers_of(as.data.frame(lme4::VarCorr(fit))), nobs = numbers_of(stats::nobs(fit)),
      ngrps = numbers_of(lme4::ngrps(fit)), ranef = numbers_of(lapply(lme4::ranef(fit, condVar = FALSE), as.data.frame)),
      messages = numbers_of(as.character(unlist(fit@optinfo$conv$lme4$messages)))
    )) else if (stan) parts <- c(parts, list(
      algorithm = quoted(fit$algorithm), count = as.character(nrow(as.matrix(fit))), draws = numbers_of(draws_of(fit))
    )) else if (inherits(fit, "lm")) parts <- c(parts, list(
      fixef = numbers_of(stats::coef(fit)), coefficients = numbers_of(stats::coef(summary(fit))),
      sigma = numbers_of(if (inherits(fit, "glm")) NA_real_ else summary(fit)$sigma),
      logLik = numbers_of(as.numeric(stats::logLik(fit))), nobs = numbers_of(stats::nobs(fit))
    )) else parts <- c(parts, list(coef = numbers_of(stats::coef(fit))))
    do.call(object_of, parts)
  }
  # the posterior in numbers: mean, sd, Monte Carlo standard error, quantiles of each parameter
  draws_of <- function(fit) {
    x <- as.matrix(fit)
    s <- tryCatch(rstan::summary(fit$stanfit)$summary, error = function(e) NULL)
    out <- data.frame(
      mean = colMeans(x), sd = apply(x, 2L, stats::sd), t(apply(x, 2L, stats::quantile, c(.025, .05, .25, .5, .75, .95, .975))),
      check.names = FALSE, row.names = colnames(x)
    )
    if (!is.null(s)) {
      at <- match(rownames(out), rownames(s))
      out$n_eff <- s[at, "n_eff"]
      out$Rhat <- s[at, "Rhat"]
    }
    out
  }

  # ---------------------------------------------------------------------------------------------- watching
  owner <- new.env()
  watch$drawing <- NULL
  # `drawing`: the call draws random numbers; of what it calls only these sites are watched, its own arguments, not what
  # a function does that is given to it
  owner$.mlmparity <- function(site, value, drawing = NULL) {
    if (!is.null(watch$drawing) && !(site %in% watch$drawing)) return(value)
    caller <- parent.frame()
    seed <- if (exists(".Random.seed", globalenv(), inherits = FALSE)) get(".Random.seed", globalenv()) else NULL
    heard <- character()
    began <- proc.time()[["elapsed"]]
    outer <- watch$drawing
    on.exit(watch$drawing <- outer)
    if (!is.null(drawing)) watch$drawing <- drawing
    result <- tryCatch(
      withCallingHandlers(withVisible(value),
        warning = function(w) heard <<- c(heard, paste0("warning: ", conditionMessage(w))),
        message = function(m) heard <<- c(heard, paste0("message: ", sub("\n$", "", conditionMessage(m))))
      ),
      error = function(e) {
        write_event(event = quoted("error"), site = as.character(site), statement = as.character(watch$statement),
                    message = quoted(conditionMessage(e)))
        stop(e)
      }
    )
    watch$drawing <- outer
    tryCatch(
      {
        new <- FALSE
        if (is_fit(result$value)) {
          before <- length(watch$fits)
          number <- fit_number(result$value)
          new <- length(watch$fits) > before
          if (new) write_event(
            event = quoted("fit"), site = as.character(site), statement = as.character(watch$statement),
            number = written(number), seconds = numbers(proc.time()[["elapsed"]] - began),
            heard = array_of(quoted(unique(heard))), fit = describe_fit(result$value, caller, seed)
          )
        }
        first <- substitute(value)
        of <- object <- NULL
        if (is.call(first) && length(first) > 1L) {
          one <- first[[2L]]
          plain <- function(x) is.name(x) || is.character(x) || is.numeric(x) || (is.call(x) && is.name(x[[1L]]) &&
            as.character(x[[1L]]) %in% c("$", "[[", "@", "[", "c", "-", ":") && all(vapply(as.list(x)[-1L], plain, NA)))
          if (plain(one) && !inherits(tryCatch(eval(one[[2L]], caller), error = function(e) NULL), "data.table")) {
            object <- tryCatch(eval(one, caller), error = function(e) NULL)
            if (is_fit(object)) of <- fit_number(object)
          }
        }
        # new fits inside the value (lapply over models) are described too
        inside <- if (is.list(result$value) && !is_fit(result$value)) result$value else list()
        for (one in inside) if (is_fit(one)) {
          before <- length(watch$fits)
          number <- fit_number(one)
          if (length(watch$fits) > before) write_event(
            event = quoted("fit"), site = as.character(site), statement = as.character(watch$statement),
            number = written(number), seconds = "0", heard = "[]", fit = describe_fit(one, caller, seed), part = "true"
          )
        }
        write_event(
          event = quoted("value"), site = as.character(site), statement = as.character(watch$statement),
          of = if (is.null(of)) NULL else written(of),
          value = if ((is.data.frame(object) || is.matrix(object)) && is.table(result$value) && is.character(result$value))
            described(as.data.frame(object))
                  else value_of(result$value),
          heard = array_of(quoted(unique(heard))),
          printed = if (is_fit(result$value) || !isTRUE(length(result$value) < 1e5)) NULL else shown(result$value)
        )
      },
      error = function(e) write_event(event = quoted("unseen"), site = as.character(site),
                                      statement = as.character(watch$statement), message = quoted(conditionMessage(e)))
    )
    if (result$visible) result$value else invisible(result$value)
  }
  owner$.mlmparity_at <- function(k) {
    note_variables()
    watch$statement <- k
    write_event(event = quoted("statement"), statement = as.character(k))
    invisible()
  }
  # what a statement showed
  write_shown <- function(x) tryCatch(
    if (is.data.frame(x) || is.list(x) || is.atomic(x)) {
      text <- value_of(x)
      if (nchar(text) < 1e6) write_event(
        event = quoted("shown"), statement = as.character(watch$statement), value = text)
    },
    error = function(e) NULL
  )
  # what the last statement made: data frames that a model may need, and small values
  watch$known <- list()
  watch$datasets <- list()
  note_variables <- function() {
    for (name in ls(globalenv())) {
      if (bindingIsActive(name, globalenv()) || is.function(globalenv()[[name]])) next  # looking would run its function
      x <- tryCatch(get(name, globalenv()), error = function(e) NULL)
      if (identical(x, watch$known[[name]])) next
      watch$known[[name]] <- own_copy(x)
      if (is.data.frame(x)) {
        number <- tryCatch(frame_number(x, name), error = function(e) 0)
        write_event(event = quoted("variable"), statement = as.character(watch$statement), name = quoted(name),
                    frame = written(number))
      } else if (is_fit(x) || is.atomic(x) || (is.list(x) && length(x) <= 2000L)) {
        text <- tryCatch(value_of(x, most = if (is.atomic(x)) 2000L else 2e5), error = function(e) NULL)
        if (!is.null(text) && nchar(text) < 1e6) write_event(
          event = quoted("variable"), statement = as.character(watch$statement), name = quoted(name), value = text)
      }
    }
  }
  # data of packages that a statement names: nobody made them
  note_datasets <- function(statement) {
    for (name in setdiff(all.names(statement, unique = TRUE), c(ls(globalenv(), all.names = TRUE), names(watch$datasets)))) {
      x <- tryCatch(get0(name, globalenv(), inherits = TRUE), error = function(e) NULL)
      if (!is.data.frame(x)) next
      watch$datasets[[name]] <- TRUE
      number <- tryCatch(frame_number(x, name), error = function(e) 0)
      if (number > 0) write_event(event = quoted("dataset"), statement = as.character(watch$statement),
                                  name = quoted(name), frame = written(number))
    }
  }
  # quit() ends the script as its last line does
  owner$quit <- owner$q <- function(save = "no", status = 0, runLast = FALSE) {
    finish(NULL, quit = TRUE)
    base::quit("no", status, FALSE)
  }
  owner$commandArgs <- function(trailingOnly = FALSE) if (trailingOnly) character() else "R"
  finish <- function(failed, quit = FALSE) {
    tryCatch(note_variables(), error = function(e) NULL)
    loaded <- intersect(loadedNamespaces(), c("lme4", "lmerTest", "rstanarm", "mlmRev", "emmeans", "nlme", "brms"))
    write_event(
      event = quoted("end"), statement = as.character(watch$statement), quit = if (quit) "true" else "false",
      error = if (is.null(failed)) NULL else quoted(conditionMessage(failed)),
      contrasts = texts_of(getOption("contrasts")),
      packages = array_of(quoted(vapply(loaded, function(one) paste(one, utils::packageVersion(one)), "")))
    )
    try(close(watch$log), silent = TRUE)
  }
  attach(owner, name = "mlmparity:watch", warn.conflicts = FALSE)

  write_event(
    event = quoted("start"), R = quoted(as.character(getRversion())),
    contrasts = texts_of(getOption("contrasts"))
  )
  statements <- parse(arguments[1L], keep.source = FALSE, encoding = "UTF-8")
  failed <- NULL
  for (i in seq_along(statements)) {
    failed <- tryCatch(
      {
        if (!("mlmparity:watch" %in% search())) attach(owner, name = "mlmparity:watch", warn.conflicts = FALSE)
        tryCatch(note_datasets(statements[[i]]), error = function(e) NULL)
        shown_value <- withVisible(eval(statements[[i]], globalenv()))
        if (shown_value$visible) {
          show_value(shown_value$value)
          write_shown(shown_value$value)
        }
        NULL
      },
      error = function(e) e
    )
    if (!is.null(failed)) break
  }
  finish(failed)
  if (!is.null(failed)) {
    message("Error: ", conditionMessage(failed))
    base::quit("no", 1L, FALSE)  # ours is the script's
  }
}, envir = new.env(parent = baseenv()))
