# What lmerTest, pbkrtest and lme4 say of some fits: degrees of freedom, F tests, adjusted covariances, leverage.
#
# Rscript make_small_sample.R OUT.json [case ...]    (then gzip -9n)
# With numbers of cases, those alone, and the part of lmerTest and pbkrtest is left out where they are not installed.
arguments <- commandArgs(TRUE)
there <- suppressMessages(requireNamespace("lmerTest", quietly = TRUE) && requireNamespace("pbkrtest", quietly = TRUE))
if (length(arguments) == 1 && !there) stop("lmerTest and pbkrtest are not installed")
suppressMessages({library(lme4); library(jsonlite)})
options(warn = -1)
data(Gcsemv, package = "mlmRev"); data(Oxboys, package = "nlme")
GCSE <- Gcsemv; GCSE$female <- relevel(GCSE$gender, "M")
frames <- list(GCSE = na.omit(GCSE[c("course", "female", "school")]), sleep = sleepstudy)
n <- 180
frames$uneven <- within(sleepstudy, {
  w <- 0.5 + (seq_len(n) * 7 %% 11) %% 5; o <- 3 * sin(seq_len(n))
  f <- factor(letters[1 + (seq_len(n) * 5) %% 7 %% 3]); late <- Days > 4
})[-(c(seq(2, n, 7), 60:68, 100)), ]
frames$Pen <- within(Penicillin, {x <- sin(seq_len(144)); dose <- cos(as.integer(plate))})[-(c(5, 6, 7, 40, 90:97)), ]
frames$cake <- within(as.data.frame(cake), {
  heat <- temp / 10 + rep(c(0, 2, 1, 4, 3), 54); cook <- factor(as.character(replicate))})[-(c(1:3, 30, 77, 150:163, 240)), ]
frames$holes <- droplevels(subset(frames$cake, !(recipe == "C" & temperature %in% c("215", "225"))))
frames$Ox <- within(as.data.frame(Oxboys), Subject <- factor(as.character(Subject)))[-(c(3, 50:53, 120)), c("Subject", "age", "height")]
frames$Dye <- within(Dyestuff2, x <- sin(3 * seq_len(30)))
cases <- list(
  list("sleep", "Reaction ~ Days + (Days | Subject)"),
  list("uneven", "Reaction ~ Days + (Days | Subject)"),
  list("uneven", "Reaction ~ Days * f + late + (Days || Subject)"),
  list("uneven", "Reaction ~ poly(Days, 2) * f + (1 | Subject)"),
  list("uneven", "Reaction ~ Days + f + (Days | Subject)", weights = "w", offset = "o"),
  list("GCSE", "course ~ female + (female | school)"),
  list("Pen", "diameter ~ x * dose + (1 | plate) + (1 | sample)"),
  list("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)"),
  list("cake", "angle ~ recipe * temperature * heat + (1 | cook)", contrasts = list(recipe = "contr.sum")),
  list("cake", "angle ~ 0 + recipe + temp + (1 | recipe:replicate) + (0 + temp | cook)"),
  list("holes", "angle ~ recipe * temperature + (1 | recipe:replicate)"),
  list("holes", "angle ~ recipe + temperature + recipe:heat + (1 | recipe:replicate)"),
  list("Ox", "height ~ age + I(age^2) + (age + I(age^2) | Subject)"),
  list("Dye", "Yield ~ x + (1 | Batch)"),
  list("uneven", "Reaction ~ 1 + (1 | Subject)")
)
if (length(arguments) > 1) cases <- cases[as.integer(arguments[-1])]
quiet <- function(x) suppressWarnings(suppressMessages(x))
table <- function(x) list(rows = I(rownames(x)), columns = I(colnames(x)), values = unname(as.matrix(x)))
out <- list(versions = list(R = R.version.string, lme4 = as.character(packageVersion("lme4"))), frames = list(), cases = list())
if (there) for (p in c("lmerTest", "pbkrtest")) out$versions[[p]] <- as.character(packageVersion(p))
for (name in names(frames)) out$frames[[name]] <- lapply(frames[[name]], function(v)
  if (is.factor(v)) list(codes = I(as.integer(v) - 1L), levels = I(levels(v)), ordered = is.ordered(v)) else list(values = I(v)))
for (case in cases) for (REML in c(TRUE, FALSE)) {
  fit_call <- list(quote(lme4::lmer), formula = as.formula(case[[2]]), data = as.name(case[[1]]), REML = REML)
  for (a in c("weights", "offset")) if (!is.null(case[[a]])) fit_call[[a]] <- as.name(case[[a]])
  if (!is.null(case$contrasts)) fit_call$contrasts <- case$contrasts
  list2env(frames, globalenv())
  m <- quiet(eval(as.call(fit_call)))
  one <- list(frame = case[[1]], formula = case[[2]], REML = REML, weights = case$weights, offset = case$offset,
    contrasts = case$contrasts, theta = I(unname(getME(m, "theta"))), hat = I(unname(hatvalues(m))),
    cooks = I(unname(cooks.distance(m))), rstudent = I(unname(rstudent(m))))
  H <- hatvalues(m, fullHatMatrix = TRUE); one$hat_rows <- unname(as.matrix(H[c(1, 17), ]))
  if (there) {
    lt <- quiet(lmerTest::as_lmerModLmerTest(m))
    one$satterthwaite <- table(coef(summary(lt)))
    for (type in c("I", "II", "III")) {
      tested <- try(quiet(anova(lt, type = type)), silent = TRUE) # lmerTest fails where all of a term is dropped
      if (inherits(tested, "try-error")) { message(case[[2]], type, tested); next }
      one[[paste("anova", type)]] <- table(as.data.frame(tested))
      # pbkrtest takes no notice of weights in the covariance matrix of y
      if (REML && is.null(case$weights))
        one[[paste("anova KR", type)]] <- table(as.data.frame(quiet(anova(lt, type = type, ddf = "Kenward-Roger"))))
    }
    # lmerTest rounds its type III hypotheses where a factor is not in treatment contrasts: here the same fit in these
    codings <- attr(model.matrix(m), "contrasts")
    if (length(codings) && any(codings != "contr.treatment")) {
      other <- fit_call; other$contrasts <- lapply(codings, function(x) "contr.treatment")
      other$start <- getME(m, "theta"); other$control <- quote(lmerControl(optimizer = NULL))
      same <- quiet(eval(as.call(other)))
      one[["anova III unrounded"]] <- table(as.data.frame(quiet(anova(lmerTest::as_lmerModLmerTest(same), type = "III"))))
    }
    one$printed <- paste(capture.output(quiet(print(anova(lt)))), collapse = "\n")
    if (is.null(case$weights)) {
      one$vcovAdj <- as.matrix(quiet(pbkrtest::vcovAdj(m)))
      if (REML) one$kenward_roger <- table(coef(summary(lt, ddf = "Kenward-Roger")))
      for (term in attr(terms(m), "term.labels")) {
        small <- try(quiet(update(m, as.formula(paste(". ~ . -", term)))), silent = TRUE)
        if (inherits(small, "try-error") || ncol(getME(small, "X")) == ncol(getME(m, "X")) ||
            qr(cbind(getME(m, "X"), getME(small, "X")))$rank > ncol(getME(m, "X"))) next
        one$KRmodcomp[[term]] <- table(quiet(pbkrtest::KRmodcomp(m, small)$test))
      }
    }
  }
  out$cases[[length(out$cases) + 1]] <- one
}
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE, null = "null", na = "null"), arguments[1])
