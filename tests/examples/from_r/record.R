# Rscript record.R SCRIPTS PAIRS NAME > NAME.json: runs SCRIPTS/NAME.R there, as R does, and then evaluates what PAIRS (JSON)
# asks of it; tests/examples/test_from_r.py compares with what the Python script of that name has.
arguments <- commandArgs(TRUE)
suppressMessages(library(jsonlite))
pairs <- fromJSON(arguments[2], simplifyVector = FALSE)[[arguments[3]]]
setwd(arguments[1])
options(width = 80, warn = -1)
pdf(NULL)
invisible(capture.output(suppressMessages(source(paste0(arguments[3], ".R"), echo = FALSE, print.eval = TRUE))))
plain <- function(value) {
  if (is.data.frame(value) || is.matrix(value)) value <- unlist(lapply(as.data.frame(value), function(column)
    if (is.numeric(column)) column else NULL))
  unname(as.numeric(value))
}
values <- suppressMessages(suppressWarnings(lapply(pairs, function(pair) {
  value <- eval(parse(text = pair$r), globalenv())
  if (isTRUE(pair$text)) return(list(text = paste(capture.output(print(value)), collapse = "\n")))
  out <- list(numbers = plain(value))
  if (!is.null(pair$error)) out$error <- plain(eval(parse(text = pair$error), globalenv()))
  out
})))
packages <- c("lme4", "lmerTest", "emmeans", "performance", "broom.mixed", "merTools", "ggeffects", "rstanarm")
versions <- lapply(setNames(nm = packages), function(p) as.character(packageVersion(p)))
cat(toJSON(list(R = as.character(getRversion()), versions = versions, values = values), digits = NA, auto_unbox = TRUE), "\n")
