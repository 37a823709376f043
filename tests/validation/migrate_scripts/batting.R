# Batting: plyr's baseball data, careers
library(lme4)
library(dplyr, warn.conflicts = FALSE)
library(purrr)
data(baseball, package = "plyr")
careers <- baseball %>%
  filter(year >= 1990, ab >= 100) %>%
  group_by(id) %>%
  mutate(first = min(year), season = year - first, n = n()) %>%
  ungroup() %>%
  filter(n >= 8) %>%
  mutate(avg = 1000 * h / ab, season10 = season / 10, lg = factor(lg), id = factor(id))
dim(careers)
careers %>% group_by(lg) %>% summarise(mean = mean(avg), sd = sd(avg), n = n())

models <- list(
  linear = avg ~ season10 + (1 | id),
  quadratic = avg ~ season10 + I(season10^2) + (1 | id),
  league = avg ~ season10 + I(season10^2) + lg + (1 | id)
) %>% map(~ lmer(.x, data = careers, REML = FALSE, weights = ab / 400))
map_dbl(models, AIC)
map_dfr(models, ~ tibble::tibble(aic = AIC(.x), bic = BIC(.x), sigma = sigma(.x)), .id = "model")
imap_chr(models, ~ paste0(.y, ": ", round(REMLcrit(refitML(.x)), 1)))
anova(models$linear, models$quadratic, models$league)

best <- models[["quadratic"]]
broom.mixed::tidy(best, effects = "fixed", conf.int = TRUE)
broom.mixed::glance(best)
peak <- -fixef(best)[2] / (2 * fixef(best)[3]) * 10
cat(sprintf("Peak after %.1f seasons\n", peak))

top <- ranef(best)$id %>%
  tibble::rownames_to_column("player") %>%
  rename(effect = `(Intercept)`) %>%
  arrange(desc(effect)) %>%
  slice(1:5)
top
shrink <- careers %>%
  group_by(id) %>%
  summarise(raw = weighted.mean(avg, ab), ab = sum(ab)) %>%
  mutate(blup = coef(best)$id[as.character(id), "(Intercept)"])
head(shrink)
cor(shrink$raw, shrink$blup)
grid <- expand.grid(season10 = seq(0, 1.5, by = 0.5))
grid %>% mutate(avg = predict(best, newdata = ., re.form = NA))
careers$res <- resid(best, type = "pearson", scaled = TRUE)
careers %>% group_by(lg) %>% summarise(m = mean(res), s = sd(res))
