# Every call from Python arrives here: it runs inside calling handlers, and returns value, warnings, messages or error
# as plain data. R's random number state is left as it was.

options(
  width = 80L, digits = 7L, scipen = 0L, OutDec = ".", warn = 1L, stringsAsFactors = FALSE,
  contrasts = c(unordered = "contr.treatment", ordered = "contr.poly"), na.action = "na.omit",
  browser = "false", pager = "cat", device = "pdf", max.print = 99999L
)

# Marks a length-one vector that Python is to receive as a plain number, string or truth value.
scalar <- function(x) {
  x <- unname(x)
  attributes(x) <- NULL
  stopifnot(length(x) == 1L)
  structure(x, scalar = TRUE)
}

# Signals an error that Python raises as one of its own classes.
bridge_stop <- function(class, ..., data = NULL) {
  stop(structure(class = c(class, "error", "condition"), list(message = paste0(...), call = NULL, data = data)))
}

one_line <- function(x) paste(trimws(deparse(x, width.cutoff = 500L)), collapse = " ")

dispatch <- function(name, args, freed) {
  free_handles(as.character(unlist(freed)))
  seed <- get0(".Random.seed", envir = globalenv(), inherits = FALSE)
  on.exit(
    if (is.null(seed)) {
      suppressWarnings(rm(".Random.seed", envir = globalenv()))
    } else {
      assign(".Random.seed", seed, envir = globalenv())
    }
  )
  warnings <- character()
  messages <- character()
  reply <- tryCatch(
    withCallingHandlers(
      {
        # Our own functions only, by name; the arguments too, so that a call in an error message shows no data.
        if (!exists(name, envir = environment(dispatch), mode = "function", inherits = FALSE)) {
          stop("there is no function '", name, "' in r_scripts")
        }
        frame <- list2env(lapply(args, take_handle), parent = environment(dispatch))
        call <- as.call(c(list(as.name(name)), sapply(names(args), as.name, simplify = FALSE)))
        list(ok = scalar(TRUE), value = eval(call, frame))
      },
      warning = function(w) {
        warnings <<- c(warnings, conditionMessage(w))
        invokeRestart("muffleWarning")
      },
      message = function(m) {
        messages <<- c(messages, sub("\n$", "", conditionMessage(m)))
        invokeRestart("muffleMessage")
      }
    ),
    error = function(e) {
      call <- conditionCall(e)
      list(
        ok = scalar(FALSE), message = scalar(paste(conditionMessage(e), collapse = "\n")),
        call = if (!is.null(call)) scalar(substr(paste(trimws(deparse(call, nlines = 3L)), collapse = " "), 1L, 200L)),
        classes = class(e), data = e$data
      )
    },
    interrupt = function(i) {
      list(ok = scalar(FALSE), message = scalar("interrupted"), call = NULL, classes = "interrupt", data = NULL)
    }
  )
  reply["warnings"] <- list(as.character(warnings))
  reply["messages"] <- list(as.character(messages))
  restored(reply)
}

# Runs an expression with R's random numbers started from `seed` (the state is restored by `dispatch`).
with_seed <- function(seed, expr) {
  set.seed(seed, kind = "Mersenne-Twister", normal.kind = "Inversion", sample.kind = "Rejection")
  expr
}

# What an expression prints, as one string.
printed <- function(expr) paste0(utils::capture.output(expr), "\n", collapse = "")

r_information <- function() {
  software <- utils::sessionInfo()
  list(
    R = scalar(paste(R.version$major, R.version$minor, sep = ".")),
    version = scalar(R.version.string), platform = scalar(R.version$platform),
    os = scalar(as.character(software$running)[1L]),
    BLAS = scalar(as.character(software$BLAS %||% NA)[1L]),
    LAPACK = scalar(as.character(software$LAPACK %||% NA)[1L]),
    locale = scalar(Sys.getlocale()), home = scalar(R.home()), libraries = .libPaths()
  )
}

`%||%` <- function(x, y) if (is.null(x)) y else x
