# Rscript bayes_oracle.R data.csv new.csv folder: fits of live rstanarm and what it and loo make of them, as doubles.
suppressMessages(library(rstanarm))
args <- commandArgs(TRUE)
read <- function(file) {
  data <- read.csv(file, colClasses = c(f = "character", g = "character", h = "character"))
  data$f <- factor(data$f, levels = c("b", "a", "c"))
  data
}
data <- read(args[1])
new <- read(args[2])
keep <- function(name, x) {
  x <- as.matrix(x)
  file <- file(file.path(args[3], name), "wb")
  writeBin(as.double(c(dim(x), x)), file)
  close(file)
}
quiet <- function(x) suppressWarnings(suppressMessages(x))
fit <- function(formula, iter = 300, ...) quiet(stan_lmer(formula, data, chains = 2, iter = iter, seed = 11, refresh = 0, cores = 1, adapt_delta = 0.8, ...))
A <- fit(y ~ scale(x) + f + (1 + x | g) + (1 | g:h))
B <- fit(y ~ x + (1 | g))
for (name in c("A", "B")) {
  m <- get(name)
  draws <- as.matrix(m$stanfit)
  keep(paste0(name, "_draws"), draws)
  writeLines(colnames(draws), file.path(args[3], paste0(name, "_names")))
  keep(paste0(name, "_log_lik"), log_lik(m))
  l <- quiet(loo(m))
  keep(paste0(name, "_loo"), l$estimates)
  keep(paste0(name, "_pointwise"), l$pointwise)
  keep(paste0(name, "_r_eff"), l$diagnostics$n_eff)
  likelihood <- exp(log_lik(m))
  keep(paste0(name, "_relative_eff"), loo::relative_eff(likelihood, chain_id = rep(1:2, each = 150)))
  w <- quiet(waic(m))
  keep(paste0(name, "_waic"), w$estimates)
  keep(paste0(name, "_loo_R2"), quiet(loo_R2(m)))
  assign(paste0("loo_", name), l)
}
C <- fit(y ~ 0 + poly(x, 2) + f + (0 + f | g) + (x || h), iter = 60)
keep("C_draws", as.matrix(C$stanfit))
writeLines(colnames(as.matrix(C$stanfit)), file.path(args[3], "C_names"))
keep("epred_C", posterior_epred(C, newdata = new))
set.seed(11)
keep("exponentials", matrix(rexp(300 * nrow(data), rate = 1), nrow = 300))
# since loo 2.10.0 a data frame, with columns of text
compared <- as.data.frame(unclass(quiet(loo_compare(list(A = loo_A, B = loo_B)))))
for (column in names(compared)) {
  file <- file.path(args[3], paste0("compare_", column))
  writeLines(if (is.numeric(compared[[column]])) sprintf("%.17g", compared[[column]]) else compared[[column]], file)
}
writeLines(names(compared), file.path(args[3], "compare_columns"))
keep("epred", posterior_epred(A, newdata = new))
keep("epred_NA", posterior_epred(A, newdata = new, re.form = NA))
keep("epred_0", posterior_epred(A, newdata = new, re.form = ~0))
keep("epred_g", posterior_epred(A, newdata = new, re.form = ~ (1 + x | g)))
keep("epred_1g", posterior_epred(A, newdata = new, re.form = ~ (1 | g)))
keep("epred_gh", posterior_epred(A, newdata = new, re.form = ~ (1 | g:h)))
keep("epred_used_1g", posterior_epred(A, re.form = ~ (1 | g)))
keep("epred_used", posterior_epred(A))
keep("linpred_B", posterior_linpred(B, newdata = new))
yrep <- posterior_predict(A, newdata = new, seed = 3)
keep("yrep", yrep)
keep("interval", predictive_interval(A, newdata = new, seed = 3, prob = 0.8))
keep("error", predictive_error(A, newdata = new, seed = 3))
keep("log_lik_new", log_lik(A, newdata = new))
keep("fitted", fitted(A))
keep("residuals", residuals(A))
for (type in c("mean", "var", "quantile"))
  keep(paste0("loo_linpred_", type), t(rbind(quiet(loo_linpred(A, type = type, probs = c(0.1, 0.7)))$value)))
text <- function(name, x) writeLines(capture.output(print(x)), file.path(args[3], paste0(name, ".txt")))
for (name in c("A", "B")) {
  text(paste0(name, "_loo"), get(paste0("loo_", name)))
  text(paste0(name, "_waic"), quiet(waic(get(name))))
}
text("compare", quiet(loo_compare(list(A = loo_A, longer = loo_B))))
# log likelihoods with tails of every kind
set.seed(2)
ll <- matrix(rnorm(400 * 30, -1, 0.3), 400) + rep(rnorm(30), each = 400)
ll[, 3] <- ll[, 3] - abs(rcauchy(400))
ll[, 5] <- ll[, 5] - abs(rt(400, 2))
ll[, 6] <- ll[, 6] - 0.6 * rexp(400)
keep("ll", ll)
for (name in c("all", "ok", "good")) {
  columns <- list(all = 1:30, ok = setdiff(1:30, c(3, 5)), good = 10:20)[[name]]
  part <- ll[, columns]
  text(paste0("loo_", name), quiet(loo::loo(part, r_eff = loo::relative_eff(exp(part), chain_id = rep(1:2, each = 200)))))
  text(paste0("waic_", name), quiet(loo::waic(part)))
}
sizes <- dim(as.array(A, regex_pars = "^b"))
writeLines(c(sizes, nsamples(A), dimnames(as.array(A))$chains), file.path(args[3], "array.txt"))
folds <- rep(1:3, length.out = nrow(data))
one <- stan_lmer(y ~ x + (1 | g), data, chains = 2, iter = 300, seed = 11, refresh = 0)
k <- quiet(kfold(one, K = 3, folds = folds))
text("kfold", k)
keep("kfold", k$pointwise)
