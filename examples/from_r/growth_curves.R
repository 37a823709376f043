# Growth curves: words read per minute, six waves, three programmes
library(lmerTest)
library(emmeans)
library(broom.mixed)
library(ggeffects)

reading <- read.csv("reading.csv")
reading$child <- factor(reading$child)
reading$programme <- factor(reading$programme, levels = c("control", "phonics", "tutoring"))
with(reading, table(programme, wave))
aggregate(words ~ wave + programme, data = reading, FUN = mean)

lin <- lmer(words ~ wave * programme + (wave | child), data = reading)
quad <- lmer(words ~ poly(wave, 2) * programme + (wave | child), data = reading)
quad2 <- lmer(words ~ wave + I(wave^2) + wave:programme + (wave | child), data = reading,
              control = lmerControl(optimizer = "bobyqa"))
anova(lin, quad2, quad)
summary(quad2, correlation = FALSE)
anova(quad)
tidy(quad2, effects = "fixed", conf.int = TRUE)
glance(quad2)
head(augment(quad2), 3)

# rates of growth, and the programmes compared
emtrends(lin, pairwise ~ programme, var = "wave")
emmeans(quad2, ~ programme | wave, at = list(wave = c(0, 5)))
pairs(emmeans(quad2, ~ programme | wave, at = list(wave = c(1, 5))))
contrast(emmeans(quad2, ~ wave, at = list(wave = 0:5)), "poly", max.degree = 2)

ggpredict(lin, terms = c("wave [0, 5]", "programme"))

# uncorrelated intercepts and slopes?
uncor <- update(lin, . ~ . - (wave | child) + (wave || child))
anova(uncor, lin, refit = FALSE)
ranova(lin)

# fitted growth of two children
newdat <- expand.grid(wave = 0:5, child = c("101", "150"))
newdat$programme <- reading$programme[match(newdat$child, reading$child)]
newdat$hat <- predict(lin, newdat)
reshape(newdat[, c("wave", "child", "hat")], idvar = "wave", timevar = "child", direction = "wide")
coef(lin)$child[c("101", "150"), ]
cor(fitted(lin), reading$words)^2
isSingular(lin)
confint(lin, parm = "beta_", method = "Wald")
