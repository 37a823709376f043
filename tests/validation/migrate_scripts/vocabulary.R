## Vocabulary growth — lab script, tidy style, with small helper functions
suppressMessages({library(dplyr); library(tidyr); library(lme4)})
theme <- NULL
set.seed(99)
kids <- tibble(kid = 1:30, ses = round(rnorm(30), 2), sex = rep(c("girl", "boy"), 15))
vocab <- kids %>%
  crossing(month = c(0, 3, 6, 9, 12)) %>%
  group_by(kid) %>%
  mutate(u0 = rnorm(1, 0, 8), u1 = rnorm(1, 0, .8)) %>%
  ungroup() %>%
  mutate(words = 60 + 5 * month + 4 * ses + u0 + u1 * month + rnorm(n(), 0, 5),
         kid = factor(kid), sex = factor(sex)) %>%
  select(-u0, -u1)
vocab %>% group_by(month) %>% summarise(m = mean(words), s = sd(words), n = n())
vocab %>% filter(month == 12) %>% summarise(across(c(ses, words), list(mean = ~ mean(.x), max = ~ max(.x))))
vocab %>% count(sex, month) %>% head(4)
fit_growth <- function(data, quad = FALSE) {
  f <- words ~ month + (month | kid)
  if (quad) f <- update(f, . ~ . + I(month^2))
  lmer(f, data = data, REML = FALSE)
}
m1 <- fit_growth(vocab)
m2 <- fit_growth(vocab, quad = TRUE)
m3 <- vocab %>% mutate(ses_z = as.numeric(scale(ses))) %>% lmer(words ~ month * ses_z + sex + (month | kid), data = ., REML = FALSE)
anova(m1, m2)
comparison <- tibble(model = c("linear", "quadratic", "ses"), fit = list(m1, m2, m3)) %>%
  mutate(aic = sapply(fit, AIC), bic = sapply(fit, BIC), npar = sapply(fit, function(f) attr(logLik(f), "df"))) %>%
  select(-fit) %>%
  mutate(d_aic = aic - min(aic)) %>%
  arrange(aic)
comparison
growth <- coef(m1)$kid %>% tibble::rownames_to_column("kid") %>% as_tibble() %>% rename(start = `(Intercept)`, slope = month)
growth %>% left_join(kids %>% mutate(kid = as.character(kid)), by = "kid") %>% group_by(sex) %>% summarise(slope = mean(slope), start = mean(start))
growth %>% mutate(rank = min_rank(desc(slope))) %>% filter(rank <= 3) %>% arrange(rank) %>% pull(kid)
growth %>% mutate(half = if_else(slope > median(slope), "fast", "slow")) %>% group_by(half) %>% summarise(n = n(), lo = min(slope), hi = max(slope))
growth %>% summarise(r = cor(start, slope))
wide <- vocab %>% select(kid, month, words) %>% pivot_wider(names_from = month, values_from = words, names_prefix = "m")
wide %>% select(-kid) %>% cor() %>% round(2)
vocab %>% group_by(kid) %>% summarise(slope = coef(lm(words ~ month))[["month"]]) %>% summarise(mean(slope), sd(slope))
VarCorr(m1)$kid %>% attr("correlation")
fixef(m3)[c("month", "month:ses_z")]
tidy_ci <- confint(m3, parm = "beta_", method = "Wald") %>% as.data.frame() %>% tibble::rownames_to_column("term") %>% filter(grepl("month", term))
tidy_ci
vocab <- vocab %>% mutate(fit = fitted(m1), res = residuals(m1))
vocab %>% group_by(month) %>% summarise(rmse = sqrt(mean(res^2)), bias = mean(res))
sim <- vocab %>% slice(1:5) %>% mutate(pred0 = predict(m1, newdata = ., re.form = NA)) %>% select(kid, month, pred0)
sim
stopifnot(nrow(vocab) == 150)
