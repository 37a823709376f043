# What this R prints, names and says, for the tests of dialects.
#
# Rscript make_dialects.R FOLDER STACK
#
# The first stack that runs also writes FOLDER/dialect-cases.json.gz: the data, the formulas, and a theta for each (lme4's
# own, rounded). All texts are made at that theta, so that optimizers play no part: they differ by version only.
arguments <- commandArgs(TRUE)
folder <- arguments[1]; stack <- arguments[2]
suppressMessages({library(lme4); library(lmerTest); library(jsonlite)})
options(warn = -1, width = 80)
data(Oxboys, package = "nlme")
n <- 180
wave <- function(k, digits = 2) round(3 * sin(k * seq_len(n)) + cos(seq_len(n) / k), digits)
sleep <- within(sleepstudy, {
  Reaction <- round(Reaction, 3); w <- 0.5 + (seq_len(n) * 7 %% 11) %% 5; o <- wave(1.3); z <- wave(0.7); v <- wave(2.9)
  h <- factor(letters[1 + (seq_len(n) * 5) %% 7 %% 3]); late <- Days > 4; g <- factor(rep(1:12, 15)); k <- factor(rep(1:6, each = 30))
  eleven <- factor(rep(LETTERS[1:11], length.out = n)); big <- round(1e5 * wave(0.31)); Days2 <- 2 * Days
  a.rather.long.name.of.a.predictor <- wave(3.7); another.long.predictor <- wave(4.1); Third_predictor <- wave(5.3)
})
holes <- sleep; holes$Reaction[c(3, 50:53, 120)] <- NA; holes$z[c(7, 77)] <- NA
frames <- list(sleep = sleep, holes = holes, Dyestuff = Dyestuff, Dyestuff2 = Dyestuff2, Penicillin = Penicillin,
  Pastes = Pastes, cake = as.data.frame(cake),
  Oxboys = within(as.data.frame(Oxboys), {Subject <- factor(as.character(Subject)); Occasion <- as.integer(Occasion)}))
invisible(list2env(frames, globalenv()))
case <- function(frame, formula, ...) list(frame = frame, formula = formula, extra = list(...))
cases <- list(
  case("sleep", "Reaction ~ 1 + (1 | Subject)"),
  case("sleep", "Reaction ~ Days + (Days | Subject)"),
  case("sleep", "Reaction ~ Days + (Days || Subject)"),
  case("sleep", "Reaction ~ 0 + Days + (0 + Days | Subject)"),
  case("sleep", "Reaction ~ 0 + (1 | Subject)"),
  case("sleep", "log(Reaction) ~ poly(Days, 2) + (1 | Subject)"),
  case("sleep", "Reaction ~ Days + (Days | Subject)", weights = "w"),
  case("sleep", "Reaction ~ Days + (1 | Subject)", weights = "w", offset = "o"),
  case("sleep", "Reaction ~ Days + offset(o) + (1 | Subject)", subset = "Days > 2"),
  case("sleep", "Reaction ~ Days + Days2 + (1 | Subject)"),
  case("sleep", "Reaction ~ Days * h + late + (Days + z | Subject) + (1 | g)"),
  case("sleep", "Reaction ~ Days + (z | g) + (0 + h | Subject)"),
  case("sleep", "Reaction ~ Days + (0 + eleven | k)"),
  case("sleep", "Reaction ~ Days + (eleven | k) + (z | g)"),
  case("sleep", "Reaction ~ Days + big + (1 | Subject)"),
  case("sleep", "Reaction ~ Days + z + (1 | g) + (0 + z | g) + (1 | Subject)"),
  case("sleep", "Reaction ~ Days + a.rather.long.name.of.a.predictor + another.long.predictor + Third_predictor + (1 + Days | Subject)"),
  case("sleep", "Reaction ~ Days * a.rather.long.name.of.a.predictor * another.long.predictor + I(Third_predictor^2) + (1 + Days + Third_predictor | Subject)"),
  case("holes", "Reaction ~ Days + z + (z | Subject)", na.action = "na.exclude"),
  case("holes", "Reaction ~ Days + (Days | Subject)", na.action = "na.exclude", weights = "w"),
  case("holes", "Reaction ~ Days + (1 | Subject)"),
  case("Dyestuff2", "Yield ~ 1 + (1 | Batch)"),
  case("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
  case("Pastes", "strength ~ 1 + (1 | batch/cask)"),
  case("Pastes", "strength ~ 1 + (1 | sample) + (1 | batch)"),
  case("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)"),
  case("cake", "angle ~ recipe + temp + (1 | replicate) + (1 | recipe:replicate)"),
  case("cake", "angle ~ recipe + temp + (1 + temp | recipe/replicate)"),
  case("Oxboys", "height ~ age + (age | Subject)"),
  case("Oxboys", "height ~ age + I(age^2) + (age + I(age^2) | Subject)"),
  case("sleep", "Reaction ~ Days + (Days | Subject)", contrasts = list(h = "contr.sum")),
  case("sleep", "Reaction ~ h * late + (late | Subject)", contrasts = list(h = "contr.sum"))
)
quiet <- function(x) suppressWarnings(suppressMessages(x))
call_of <- function(case, REML) {
  out <- list(quote(lme4::lmer), formula = str2lang(case$formula), data = as.name(case$frame), REML = REML)
  for (a in c("weights", "offset", "subset")) if (!is.null(case$extra[[a]])) out[[a]] <- str2lang(case$extra[[a]])
  if (!is.null(case$extra$na.action)) out$na.action <- case$extra$na.action
  if (!is.null(case$extra$contrasts)) out$contrasts <- case$extra$contrasts
  as.call(out)
}
write_gz <- function(x, name) {
  out <- gzfile(file.path(folder, name), "w", compression = 9); on.exit(close(out))
  writeLines(toJSON(x, digits = NA, auto_unbox = TRUE, null = "null", na = "null"), out)
}
shared <- file.path(folder, "dialect-cases.json.gz")
if (!file.exists(shared)) {
  for (i in seq_along(cases)) for (REML in c(TRUE, FALSE)) {
    cl <- call_of(cases[[i]], REML)
    # sixty and more parameters: any theta will do
    few <- !grepl("eleven", cases[[i]]$formula)
    m <- if (few) quiet(eval(cl)) else {
      cl$control <- quote(lmerControl(optimizer = NULL)); quiet(eval(cl))
    }
    theta <- unname(getME(m, "theta"))
    if (!few) theta <- 0.6 * theta + 0.05 * sin(seq_along(theta))
    cases[[i]]$theta[[if (REML) "REML" else "ML"]] <- I(round(theta, 4))
  }
  columns <- function(d) lapply(as.list(d), function(v)
    if (is.factor(v)) list(codes = I(as.integer(v) - 1L), levels = I(levels(v)), ordered = is.ordered(v)) else
      list(values = I(as.vector(v)), integer = is.integer(v)))
  write_gz(list(frames = lapply(frames, columns), cases = cases), "dialect-cases.json.gz")
}
stored <- fromJSON(gzfile(shared), simplifyVector = FALSE)$cases
stopifnot(identical(vapply(stored, `[[`, "", "formula"), vapply(cases, `[[`, "", "formula")))
at_theta <- function(theta, cl) {
  parts <- cl; parts[[1]] <- quote(lme4::lFormula); lf <- quiet(eval(parts))
  cl$formula <- lf$formula
  devfun <- do.call(mkLmerDevfun, lf[c("fr", "X", "reTrms", "REML")])
  opt <- structure(list(par = theta, fval = devfun(theta), feval = 1L, conv = 0L, message = ""),
    optimizer = "nloptwrap", control = list(), warnings = list())
  devfun(theta)
  singular <- any(theta[environment(devfun)$lower == 0] < 1e-4)
  cc <- if (singular) list(messages = "boundary (singular) fit: see help('isSingular')") else list(code = 0)
  mkMerMod(environment(devfun), opt, lf$reTrms, fr = lf$fr, mc = cl, lme4conv = cc)
}
text <- function(expr) tryCatch(paste(capture.output(quiet(expr)), collapse = "\n"), error = function(e) "R fails")
said <- function(expr) {
  heard <- character()
  withCallingHandlers(expr, warning = function(w) {heard <<- c(heard, conditionMessage(w)); invokeRestart("muffleWarning")},
    message = function(m) invokeRestart("muffleMessage"))
  I(heard)
}
spelled <- if (packageVersion("lme4") >= "1.1.38") function(m) confint(m, method = "Wald", signames = FALSE) else
  function(m) quiet(confint(m, method = "Wald", oldNames = FALSE))
texts <- list()
for (i in seq_along(cases)) for (REML in c(TRUE, FALSE)) {
  cl <- call_of(cases[[i]], REML)
  theta <- as.numeric(unlist(stored[[i]]$theta[[if (REML) "REML" else "ML"]]))
  m <- at_theta(theta, cl)
  short <- update(formula(m, fixed.only = TRUE), . ~ 1); P <- length(fixef(m))
  lt <- if (P && is.null(cases[[i]]$extra$offset) && length(theta) < 20) tryCatch(quiet(as_lmerModLmerTest(m)), error = function(e) NULL)
  texts[[length(texts) + 1]] <- list(case = i - 1, REML = REML, theta = I(theta), warnings = said({p <- cl; p[[1]] <- quote(lme4::lFormula); eval(p)}),
    summary = text(print(summary(m))), print = text(print(m)), varcorr = text(print(VarCorr(m))),
    variance = text(print(VarCorr(m), comp = "Variance")), both = text(print(VarCorr(m), comp = c("Std.Dev.", "Variance"), digits = 3)),
    anova = if (P) text(print(anova(m))), weights = length(weights(m)), names = I(rownames(confint(m, method = "Wald"))),
    spelled = I(rownames(spelled(m))), getME = I(names(getME(m, "ALL"))),
    lmerTest = if (!is.null(lt)) text(print(summary(lt))), tests = if (!is.null(lt)) text(print(anova(lt))))
}
# two models of one data set, and lmerTest's tests of random effects
pairs <- list()
for (pair in list(c(2, 1), c(2, 3), c(7, 10), c(26, 27))) {
  fits <- lapply(pair, function(i) at_theta(as.numeric(unlist(stored[[i]]$theta$ML)), call_of(cases[[i]], FALSE)))
  pairs[[length(pairs) + 1]] <- list(cases = I(pair - 1), printed = tryCatch(paste(capture.output(quiet(print(do.call(anova,
    c(unname(fits), list(model.names = c("one", "two"))))))), collapse = "\n"), error = function(e) "R fails"))
}
heads <- list()
for (i in c(1:5, 8, 10, 12, 16, 21, 23:25, 27, 29)) {
  r <- tryCatch({cl <- call_of(cases[[i]], TRUE); cl[[1]] <- quote(lmerTest::lmer); quiet(ranova(eval(cl)))}, error = function(e) NULL)
  if (!is.null(r)) heads[[length(heads) + 1]] <- list(case = i - 1, heading = I(as.vector(attr(r, "heading"))), rows = I(rownames(r)), npar = I(r$npar))
}
# what the convergence checks say
derivs <- list(gradient = c(0.5, 0), flat = c(0, 0))
hessians <- list(plain = diag(2), negative = diag(c(1, -1)), singular = diag(c(1, 1e-9)), large = diag(c(1, 3e6)), ratio = diag(c(1e-5, 100)))
checks <- list()
for (g in names(derivs)) for (h in names(hessians)) checks[[paste(g, h)]] <- {
  found <- NULL
  heard <- said(found <- lme4:::checkConv(list(gradient = derivs[[g]], Hessian = hessians[[h]]), c(1, 1), lmerControl()$checkConv, lbound = c(0, 0)))
  list(gradient = derivs[[g]], hessian = hessians[[h]], messages = I(as.character(unlist(found$messages))))
}
# data frames
odd <- data.frame(a = c(1.5, NA, 3e-5, 1e5, 2.25), s = c("x", "yy", NA, "", " "), f = factor(c("u", "v", NA, "u", "u")),
  l = c(TRUE, NA, FALSE, TRUE, TRUE), b = c(0.000031, 0.00012, 0.5, 0.25, 1))
described <- lapply(c(frames[c("sleep", "holes", "cake")], list(odd = odd, text = odd["s"], numbers = odd[c("a", "b")])), function(d)
  list(summary = text(print(summary(d))), str = text(str(d))))
versions <- list(R = as.character(getRversion()))
for (p in c("lme4", "rstanarm", "loo", "lmerTest", "reformulas", "Matrix")) if (requireNamespace(p, quietly = TRUE)) versions[[p]] <- packageDescription(p)$Version
write_gz(list(stack = stack, versions = versions, platform = R.version$platform, os = utils::sessionInfo()$running, script = "make_dialects.R",
  texts = texts, pairs = pairs, ranova = heads, checks = checks, described = described), sprintf("dialect-%s.json.gz", stack))
