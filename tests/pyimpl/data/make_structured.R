# Record what lme4 says of models with structured covariances: Rscript make_structured.R OUTPUT.json; gzip -9n OUTPUT.json
# (lme4 >= 2.0; written by lme4 2.1-0, R 4.6.2). The data are lme4's sleepstudy, unbalanced for the last models.
suppressMessages({library(lme4); library(jsonlite)})
sleepstudy$third <- factor(sleepstudy$Days %/% 3)
sleepstudy$w <- 1 + (seq_len(nrow(sleepstudy)) %% 4) / 2
sleepstudy$half <- factor(as.integer(sleepstudy$Subject) %% 6)
unbalanced <- sleepstudy[-c(2, 3, 25:30, 61, 62, 63, 100, 131:135, 178), ]
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.1, rhoend = 1e-11, maxfun = 1e6))
models <- list(
  list("Reaction ~ Days + us(1 + Days | Subject)", "sleepstudy", TRUE, FALSE),
  list("Reaction ~ Days + diag(1 + Days | Subject)", "sleepstudy", TRUE, FALSE),
  list("Reaction ~ Days + diag(0 + third | Subject, hom = TRUE)", "sleepstudy", FALSE, FALSE),
  list("Reaction ~ Days + diag(third | Subject) + (1 | half)", "unbalanced", FALSE, TRUE),
  list("Reaction ~ Days + cs(1 + Days | Subject)", "sleepstudy", FALSE, FALSE),
  list("Reaction ~ Days + cs(0 + third | Subject)", "unbalanced", TRUE, TRUE),
  list("Reaction ~ Days + cs(0 + third | Subject, hom = TRUE)", "sleepstudy", TRUE, FALSE),
  list("Reaction ~ 1 + cs(0 + third | Subject, hom = TRUE) + (0 + Days | Subject)", "unbalanced", FALSE, FALSE),
  list("Reaction ~ Days + ar1(0 + third | Subject)", "sleepstudy", TRUE, FALSE),
  list("Reaction ~ Days + ar1(0 + third | Subject, hom = FALSE)", "unbalanced", FALSE, TRUE),
  list("Reaction ~ 1 + (1 | third) + ar1(0 + third | Subject)", "sleepstudy", TRUE, FALSE),
  list("Reaction ~ Days + ar1(0 + factor(Days) | Subject)", "unbalanced", TRUE, FALSE)
)
named <- function(x) list(names = I(names(x)), values = I(unname(x)))
out <- lapply(models, function(model) {
  data <- get(model[[2]])
  data$.w <- if (model[[4]]) data$w else 1
  m <- suppressMessages(lmer(as.formula(model[[1]]), data, REML = model[[3]], weights = .w, control = tight))
  list(
    formula = model[[1]], data = model[[2]], REML = model[[3]], weighted = model[[4]],
    criterion = if (model[[3]]) REMLcrit(m) else deviance(m),
    par = named(getME(m, "par")), theta = named(getME(m, "theta")), lower = I(as.character(getME(m, "lower"))),
    npar = attr(logLik(m), "df"), m = getME(m, "m"), Lind = I(head(getME(m, "Lind"), 100)),
    fixef = named(fixef(m)), se = I(unname(sqrt(diag(as.matrix(vcov(m)))))), sigma = sigma(m),
    modes = I(unname(as.matrix(ranef(m)$Subject)[, 1])), singular = isSingular(m),
    sdcor = I(as.data.frame(VarCorr(m))$sdcor), formula_shown = paste(deparse(formula(m), 500), collapse = " "),
    VarCorr = I(capture.output(print(VarCorr(m), comp = c("Variance", "Std.Dev."))))
  )
})
versions <- list(R = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")))
frames <- lapply(list(sleepstudy = sleepstudy, unbalanced = unbalanced), function(d) lapply(d, function(x) I(if (is.factor(x)) as.character(x) else x)))
write(toJSON(list(versions = versions, frames = frames, models = out), digits = NA, auto_unbox = TRUE), commandArgs(TRUE)[1])
