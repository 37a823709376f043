# Rscript make_verbs.R FOLDER CASES > RECORD.json: what R says of the fits and calls in FOLDER/CASES (a JSON file), whose
# data are the frames of FOLDER/after.json.gz; tests/pyimpl/test_verbs.py compares.
arguments <- commandArgs(TRUE)
folder <- arguments[1]
suppressMessages(library(jsonlite))
cases <- fromJSON(file.path(folder, arguments[2]), simplifyVector = FALSE)
for (package in unlist(cases$packages)) suppressWarnings(suppressMessages(library(package, character.only = TRUE)))
options(width = 80, warn = -1)
if (!is.null(cases$setup)) eval(parse(text = unlist(cases$setup)))
recorded <- fromJSON(gzfile(file.path(folder, "after.json.gz")), simplifyVector = FALSE)$frames
numbers <- function(x) unlist(lapply(x, function(v) if (is.null(v)) NA else v))
frames <- lapply(recorded, function(frame) as.data.frame(lapply(frame, function(column) {
  if (is.null(column$codes)) return(numbers(column$values))
  labels <- unlist(column$levels)
  factor(labels[numbers(column$codes) + 1L], levels = labels, ordered = isTRUE(column$ordered))
}), stringsAsFactors = FALSE))
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9), calc.derivs = FALSE)
table_of <- function(v) {
  if (is.numeric(v) && is.null(dim(v))) v <- data.frame(value = unname(v))
  v <- as.data.frame(v)
  lapply(v, function(column) if (is.factor(column)) as.character(column) else unname(column))
}
results <- lapply(cases$cases, function(case) {
  frame <- frames[[case$frame]]
  if (!is.null(case$derive)) eval(parse(text = case$derive$r))
  given <- list(as.formula(case$formula), data = quote(frame), REML = !identical(case$REML, FALSE), control = quote(tight))
  for (name in c("weights", "offset", "na.action")) if (!is.null(case[[name]])) given[[name]] <- as.name(case[[name]])
  m <- suppressMessages(suppressWarnings(do.call(lmer, given)))
  lapply(case$calls, function(call) tryCatch(suppressMessages(suppressWarnings({
    set.seed(1)
    value <- eval(parse(text = call$r))
    out <- list(r = call$r)
    if (isTRUE(call$text)) out$text <- paste(capture.output(print(value)), collapse = "\n") else out$table <- table_of(value)
    out
  })), error = function(e) list(r = call$r, error = conditionMessage(e))))
})
packages <- unique(c("lme4", unlist(cases$packages)))
versions <- lapply(setNames(nm = packages), function(p) as.character(packageVersion(p)))
cat(toJSON(list(R = paste(R.version$major, R.version$minor, sep = "."), versions = versions, results = results), digits = NA, na = "null", auto_unbox = TRUE))
