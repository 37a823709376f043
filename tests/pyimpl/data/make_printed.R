# What rstanarm prints, with the draws it prints it from.
#
# Rscript make_printed.R OUT.json    (then gzip -9n); short chains on purpose: it is the text that counts
suppressMessages({library(rstanarm); library(jsonlite)})
options(warn = -1)
data(sleepstudy, package = "lme4")
data(Penicillin, package = "lme4")
sleepstudy$x1 <- round(sin(seq_len(180)), 3)
sleepstudy$x2 <- round(cos(seq_len(180)), 3)
sleepstudy$x3 <- rep(0:2, 60)
m1 <- stan_lmer(Reaction ~ Days + (Days | Subject), data = sleepstudy, chains = 3, iter = 80, seed = 1, refresh = 0)
m2 <- stan_lmer(diameter ~ 1 + (1 | plate) + (1 | sample), data = Penicillin, chains = 2, iter = 80, seed = 2, refresh = 0,
                prior_intercept = normal(20, 3), prior_aux = cauchy(0, 3), prior_covariance = decov(shape = 2, scale = c(0.5, 1.25)))
m3 <- stan_lmer(Reaction ~ Days + x1 + x2 + x3 + (1 + Days + x1 | Subject), data = sleepstudy, chains = 2, iter = 80, seed = 3, refresh = 0,
                prior = student_t(df = c(3, 4, 5, 6), location = c(0, 0.5, 1, -1), scale = 2, autoscale = TRUE),
                prior_intercept = NULL, prior_aux = exponential(0.1))
m4 <- stan_lmer(Reaction ~ 0 + Days + (1 | Subject), data = sleepstudy, chains = 2, iter = 80, seed = 4, refresh = 0,
                prior = cauchy(10, 5), prior_aux = student_t(4, 0, 20))
m5 <- stan_lmer(Reaction ~ Days + (1 | Subject), data = sleepstudy, chains = 2, iter = 80, seed = 5, refresh = 0, prior = NULL,
                prior_aux = NULL, prior_PD = FALSE)
text <- function(x) paste(capture.output(x), collapse = "\n")
frame <- function(x) list(names = rownames(x), columns = colnames(x), values = unname(as.matrix(x)))
show <- function(m, probs, digits) {
  X <- m$glmod$X
  terms <- m$glmod$reTrms
  p <- lengths(terms$cnms)
  vc <- as.data.frame(VarCorr(m))
  list(
    formula = deparse1(formula(m)), args = NULL, coef_names = colnames(X), X = unname(X), y = as.vector(m$y), weights = NULL, offset = NULL,
    terms = lapply(seq_along(p), function(i) {
      f <- terms$flist[[attr(terms$flist, "assign")[i]]]
      Z <- as.matrix(terms$Ztlist[[i]])
      code <- as.integer(f) - 1L
      cols <- sapply(seq_len(p[i]), function(e) Z[cbind(code * p[i] + e, seq_along(code))])
      list(group = names(terms$cnms)[i], effects = I(terms$cnms[[i]]), levels = levels(f), codes = code, columns = matrix(cols, ncol = p[i]))
    }),
    chains = m$stanfit@sim$chains, names = names(m$stanfit), draws = unname(as.matrix(m$stanfit)),
    print = text(print(m)), print3 = text(print(m, digits = 3, detail = FALSE)), summary = text(print(summary(m))),
    summary_some = text(print(summary(m, pars = c("alpha", "beta", "sigma"), regex_pars = "^Sigma", probs = probs, digits = digits))),
    prior_summary = text(print(prior_summary(m))), prior_summary4 = text(print(prior_summary(m), digits = 4)),
    interval = frame(posterior_interval(m, prob = 0.8)), as_matrix = colnames(as.matrix(m)),
    fixef = as.list(fixef(m)), sigma = sigma(m), vcov = unname(vcov(m)), VarCorr = vc, ranef = unname(unlist(ranef(m)[[1]])),
    coef = unname(unlist(coef(m)[[1]])), coef_columns = I(colnames(coef(m)[[1]])), ngrps = as.list(ngrps(m)),
    log_lik = colMeans(log_lik(m)), R2 = mean(bayes_R2(m)), epred = colMeans(posterior_epred(m)), epred_fixed = colMeans(posterior_epred(m, re.form = NA))
  )
}
fits <- list(slopes = show(m1, c(0.025, 0.975), 2), crossed = show(m2, c(0.05, 0.5, 0.95), 3), three = show(m3, c(0.1, 0.9), 1),
             no_intercept = show(m4, 0.5, 2), flat = show(m5, c(0.25, 0.75), 4))
writeLines(toJSON(fits, digits = NA, auto_unbox = TRUE, null = "null", na = "null"), commandArgs(trailingOnly = TRUE)[1])
