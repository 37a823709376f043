# Rscript make_after.R FOLDER > after.json: what emmeans, broom.mixed and performance say of the fits in after_cases.json.
# Data are made here and written along; tests/pyimpl/test_after_the_fit.py compares.
suppressMessages({library(lme4); library(emmeans); library(broom.mixed); library(jsonlite)})
options(width = 80, warn = -1)
folder <- commandArgs(TRUE)[1]
set.seed(20)
n <- 150
study <- data.frame(
  a = factor(sample(c("low", "mid", "high"), n, TRUE, c(.5, .3, .2)), levels = c("low", "mid", "high")),
  b = factor(sample(c("u", "v"), n, TRUE, c(.6, .4))),
  o = factor(sample(1:4, n, TRUE), labels = c("I", "II", "III", "IV"), ordered = TRUE),
  l = sample(c(FALSE, TRUE), n, TRUE), u = sample(c(2, 5), n, TRUE), k = sample(c(1, 2, 4), n, TRUE),
  x = round(rnorm(n, 2), 2), z = round(rexp(n) + 1, 2), w = round(runif(n, .5, 3), 2),
  s = sample(c("v-1", "v2", "w"), n, TRUE),
  g = factor(sample(sprintf("g%02d", 1:12), n, TRUE)), h = factor(sample(letters[1:7], n, TRUE))
)
study$y <- round(with(study, 5 + c(0, .7, -.4)[a] + .5 * (b == "v") + .3 * x * as.integer(o) + .2 * k + log(z) +
  rnorm(12)[g] + rnorm(12, 0, .3)[g] * x + rnorm(7, 0, .8)[h] + rnorm(n)), 3)
holes <- droplevels(subset(study, !(a == "high" & b == "v")))
gaps <- study
gaps$y[c(3, 50)] <- NA; gaps$x[10] <- NA; gaps$b[77] <- NA
frames <- list(study = study, holes = holes, gaps = gaps)
cases <- fromJSON(file.path(folder, "after_cases.json"), simplifyVector = FALSE)$cases
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9), calc.derivs = FALSE)
table_of <- function(v) {
  if (inherits(v, "emmGrid")) v <- summary(v)
  v <- as.data.frame(v)
  v[] <- lapply(v, function(column) if (is.matrix(column)) column[, 1] else column)
  lapply(v, function(column) if (is.factor(column)) as.character(column) else column)
}
results <- lapply(cases, function(case) {
  frame <- frames[[case$frame]]
  arguments <- list(as.formula(case$formula), data = quote(frame), REML = !identical(case$REML, FALSE), control = quote(tight))
  if (!is.null(case$weights)) arguments$weights <- as.name(case$weights)
  if (!is.null(case$offset)) arguments$offset <- as.name(case$offset)
  if (!is.null(case$contrasts)) arguments$contrasts <- case$contrasts
  m <- suppressMessages(do.call(lmer, arguments))
  lapply(case$calls, function(call) tryCatch(suppressMessages(suppressWarnings({
    value <- eval(parse(text = call$r))
    tables <- if (inherits(value, "pwpm")) list() else if (inherits(value, "emm_list")) lapply(unname(unclass(value)), table_of) else list(table_of(value))
    list(r = call$r, tables = tables, text = paste(capture.output(print(value)), collapse = "\n"))
  })), error = function(e) list(r = call$r, error = conditionMessage(e))))  # some of them R itself cannot do
})
described <- lapply(frames, function(frame) lapply(frame, function(column) {
  if (is.factor(column)) list(codes = as.integer(column) - 1L, levels = levels(column), ordered = is.ordered(column))
  else list(values = column)
}))
versions <- lapply(c(R = "base", lme4 = "lme4", emmeans = "emmeans", broom.mixed = "broom.mixed"), function(p) as.character(packageVersion(p)))
cat(toJSON(list(versions = versions, frames = described, results = results), digits = NA, na = "null", auto_unbox = TRUE))
