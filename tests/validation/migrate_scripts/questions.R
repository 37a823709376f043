# What is often asked about mixed models
suppressPackageStartupMessages({
  library(lme4)
  library(lmerTest)
})
options(digits = 4, contrasts = c("contr.sum", "contr.poly"))
data("Machines", package = "nlme")
Machines <- transform(as.data.frame(Machines), Machine = factor(Machine), Worker = factor(as.character(Worker)))
m1 <- lmer(score ~ Machine + (1 | Worker), data = Machines)
m2 <- lmer(score ~ Machine + (1 | Worker/Machine), data = Machines)
m3 <- try(lmer(score ~ Machine + (Machine | Worker), Machines), silent = TRUE)
if (inherits(m3, "try-error")) stop("no fit")

anova(m1, m2, refit = FALSE)
LRT <- as.numeric(2 * (logLik(m2) - logLik(m1)))
pchisq(LRT, df = 1, lower.tail = FALSE) / 2
ranova(m2)
anova(m2, ddf = "Kenward-Roger")
summary(m2, ddf = "lme4")$coefficients

overdisp <- function(model, alpha = 0.05) {
  rdf <- df.residual(model)
  rp <- residuals(model, type = "pearson")
  Pearson.chisq <- sum(rp^2)
  prat <- Pearson.chisq / rdf
  pval <- pchisq(Pearson.chisq, df = rdf, lower.tail = FALSE)
  c(chisq = Pearson.chisq, ratio = prat, rdf = rdf, p = pval)
}
overdisp(m2)

r2.corr.mer <- function(m) {
  lmfit <- lm(model.response(model.frame(m)) ~ fitted(m))
  summary(lmfit)$r.squared
}
r2.corr.mer(m2)
1 - var(residuals(m2)) / var(model.response(model.frame(m2)))

# predictions with confidence intervals, by hand
newdat <- expand.grid(Machine = levels(Machines$Machine))
newdat$score <- predict(m2, newdat, re.form = NA)
mm <- model.matrix(terms(m2), newdat)
pvar1 <- diag(mm %*% tcrossprod(vcov(m2), mm))
tvar1 <- pvar1 + VarCorr(m2)$Worker[1]
newdat <- data.frame(newdat, plo = newdat$score - 1.96 * sqrt(pvar1), phi = newdat$score + 1.96 * sqrt(pvar1))
newdat

method <- "profile"
ci <- switch(method,
  Wald = confint(m2, method = "Wald"),
  profile = confint(m2, method = "profile", quiet = TRUE),
  boot = confint(m2, method = "boot", nsim = 50)
)
ci
set.seed(1)
confint(m1, method = "boot", nsim = 20, quiet = TRUE)
b <- bootMer(m1, fixef, nsim = 20, seed = 1)
b$t0
res <- tryCatch(lmer(score ~ Machine + (1 | nothere), Machines), error = function(e) NULL)
is.null(res)
pp <- profile(m1, which = 1)
getME(m2, "theta")
getME(m2, c("n_rtrms", "p"))
drop1(m1, test = "Chisq")
step(m2)
quit(save = "no")
lmer(score ~ 1 + (1 | Worker), Machines)
