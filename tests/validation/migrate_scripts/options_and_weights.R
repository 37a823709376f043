# Contrasts by option, weights, subsets, missing values
library(lme4)
options(contrasts = c("contr.sum", "contr.poly"))
data(cake, package = "lme4")
cake$w <- rep(c(1, 2, 1), length.out = nrow(cake))
cake$angle[c(3, 50)] <- NA
c1 <- lmer(angle ~ recipe + temp + (1 | recipe:replicate), data = cake, weights = w)
fixef(c1)
c2 <- lmer(angle ~ recipe * temperature + (1 | replicate), data = cake, subset = temp < 220, na.action = na.exclude)
fixef(c2)
c3 <- lmer(angle ~ recipe + (1 | replicate), cake, contrasts = list(recipe = "contr.treatment"), REML = F)
vcov(c3)
with(cake, lmer(angle ~ temp + (1 | replicate)))
cake |> subset(temp > 180) |> lmer(formula = angle ~ temp + (1 | replicate)) -> c4
c4
deviance(c3)
