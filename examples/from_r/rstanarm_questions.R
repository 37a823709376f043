# What a posterior answers: growth by programme, with rstanarm
library(rstanarm)
library(emmeans)
options(mc.cores = 2)

reading <- read.csv("reading.csv", stringsAsFactors = TRUE)
reading$child <- factor(reading$child)

b <- stan_lmer(words ~ wave * programme + (wave | child), data = reading,
               prior = normal(0, 5), prior_intercept = normal(45, 10), prior_aux = exponential(0.5),
               prior_covariance = decov(regularization = 2), chains = 4, iter = 1000, seed = 12, refresh = 0)
prior_summary(b)
print(b, digits = 2)
summary(b, pars = c("wave", "sigma"), probs = c(0.05, 0.95), digits = 2)
posterior_interval(b, prob = 0.9, regex_pars = "programme")
draws <- as.matrix(b)
mean(draws[, "wave:programmetutoring"] > draws[, "wave:programmephonics"])
quantile(draws[, "wave"] + draws[, "wave:programmetutoring"], c(0.05, 0.5, 0.95))
colnames(draws)[c(1:6, 180:190)]
sd0 <- sqrt(draws[, "Sigma[child:(Intercept),(Intercept)]"])
median(sd0)
VarCorr(b)
ranef(b)$child[1:2, ]
coef(b)$child[1:2, ]
fixef(b)
se(b)[1:3]

emtrends(b, pairwise ~ programme, var = "wave")
emmeans(b, ~ programme | wave, at = list(wave = c(0, 5)))
hpd.summary(contrast(emmeans(b, ~ programme), "trt.vs.ctrl"), prob = 0.9)
joint_tests(b)

new <- data.frame(wave = 5, programme = levels(reading$programme), child = "new")
pp <- posterior_predict(b, newdata = new)
dim(pp)
colMeans(pp > 65)
ep <- posterior_epred(b, newdata = new, re.form = NA)
apply(ep, 2, quantile, c(0.1, 0.9))
median(bayes_R2(b))
simple <- update(b, . ~ . - wave:programme)
l1 <- loo(b)
l0 <- loo(simple)
l1
loo_compare(l1, l0)
predictive_interval(b, newdata = new[1, ], prob = 0.5)
pp_check(b, plotfun = "stat", stat = "sd")
neff <- summary(b)[, "n_eff"]
min(neff) > 100
