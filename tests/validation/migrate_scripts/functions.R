# functions in lists, do.call, Reduce, slots
library(lme4)
metrics <- list(
  aic = AIC,
  bic = function(m) BIC(m),
  s = function(m) sigma(m),
  n = nobs
)
formulas <- list(
  null = Reaction ~ 1 + (1 | Subject),
  lin = Reaction ~ Days + (1 | Subject),
  ris = Reaction ~ Days + (Days | Subject),
  ris0 = Reaction ~ Days + (Days || Subject)
)
models <- lapply(formulas, function(f) lmer(f, data = sleepstudy, REML = FALSE))
res <- sapply(metrics, function(g) sapply(models, g))
res
round(res, 1)
res["ris", "aic"]
res[order(res[, "aic"]), ]
rownames(res)[which.min(res[, "bic"])]
m <- models$ris
m@theta
m@beta
slotNames(m)[1:3]
m@optinfo$conv$opt
class(m)
is(m, "merMod")
isLMM(m); isREML(m)
getME(m, "theta")
Lambda <- getME(m, "Lambda")
dim(Lambda)
Zt <- getME(m, "Zt")
dim(Zt)
best <- Reduce(function(a, b) if (AIC(a) <= AIC(b)) a else b, models)
formula(best)
deltas <- vapply(models, AIC, 0) - AIC(best)
weights <- exp(-deltas / 2) / sum(exp(-deltas / 2))
round(weights, 3)
args <- list(formula = Reaction ~ Days + (1 | Subject), data = sleepstudy, REML = TRUE)
m_do <- do.call(lmer, args)
fixef(m_do)
m_do2 <- do.call("lmer", list(Reaction ~ Days + (1 | Subject), quote(sleepstudy)))
identical(fixef(m_do), fixef(m_do2))
fact <- function(n) if (n <= 1) 1 else n * Recall(n - 1)
fact(5)
compose <- function(f, g) function(x) f(g(x))
rt_sigma <- compose(sqrt, sigma)
rt_sigma(m)
sapply(models, function(m) length(fixef(m)))
mapply(function(m, name) paste0(name, ": ", round(AIC(m))), models, names(models))
unlist(Map(function(m, k) AIC(m, k = k), models[1:2], c(2, log(180))))
Filter(function(m) AIC(m) < 1780, models) |> names()
nested <- list(a = list(m = models$null, label = "null"), b = list(m = models$lin, label = "linear"))
for (one in nested) cat(one$label, ":", format(deviance(one$m), digits = 6), "\n")
sapply(nested, function(z) z$label)
sapply(nested, `[[`, "label")
pair_tests <- combn(names(models)[1:3], 2, function(p) anova(models[[p[1]]], models[[p[2]]])$`Pr(>Chisq)`[2])
pair_tests
vars <- c("Days")
for (v in vars) {
  f <- reformulate(c(v, "(1 | Subject)"), response = "Reaction")
  print(f)
  print(fixef(lmer(f, sleepstudy)))
}
f2 <- as.formula(paste("Reaction ~", paste(vars, collapse = " + "), "+ (1 | Subject)"))
all.vars(f2)
m_f2 <- lmer(f2, sleepstudy)
update(m_f2, . ~ . - Days) |> fixef()
fit_by <- function(data, response, ...) {
  cl <- substitute(lmer(y ~ Days + (1 | Subject), data = data), list(y = as.name(response)))
  eval(cl)
}
fixef(fit_by(sleepstudy, "Reaction"))
with(sleepstudy, lmer(Reaction ~ Days + (1 | Subject)))
sleepstudy |> subset(Days > 1) |> lmer(Reaction ~ Days + (1 | Subject), data = _) |> fixef()
parts <- split(sleepstudy, sleepstudy$Days > 4)
ms <- Map(function(f, d) lmer(f, d), list(Reaction ~ 1 + (1 | Subject), Reaction ~ Days + (1 | Subject)), parts)
sapply(ms, sigma)
l <- lapply(split(sleepstudy, sleepstudy$Days %% 2), function(d) fixef(lmer(Reaction ~ Days + (1 | Subject), d)))
Reduce(`+`, l) / length(l)
Reduce("+", lapply(models, AIC))
