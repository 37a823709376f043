# The same model for several outcomes: formulas built by paste, loops, lapply, functions, do.call
library(lme4)
set.seed(42)
n <- 40
long <- expand.grid(id = factor(1:n), wave = 0:3)
u <- rnorm(n)
long$read <- 50 + 2 * long$wave + 3 * u[long$id] + rnorm(nrow(long))
long$math <- 45 + 3 * long$wave + 2 * u[long$id] + rnorm(nrow(long), sd = 2)
long$sci <- 40 + long$wave + u[long$id] + rnorm(nrow(long), sd = 3)
outcomes <- c("read", "math", "sci")

results <- list()
for (y in outcomes) {
  form <- as.formula(paste0(y, " ~ wave + (1 | id)"))
  results[[y]] <- lmer(form, data = long)
}
slopes <- sapply(results, function(m) fixef(m)["wave"])
slopes

fit_one <- function(outcome, reml = TRUE) {
  f <- formula(paste(outcome, "~ wave + (1 | id)"))
  m <- lmer(f, data = long, REML = reml)
  return(m)
}
a <- fit_one("math", FALSE)
logLik(a)
models <- lapply(outcomes, fit_one)
sapply(models, AIC)
b <- do.call(lmer, list(sci ~ wave + (1 | id), data = long))
sigma(b)
aics <- numeric(3)
for (i in 1:3) aics[i] <- AIC(models[[i]])
aics
best <- outcomes[which.min(aics)]
best
