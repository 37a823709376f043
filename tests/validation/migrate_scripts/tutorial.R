# The steps of "Multilevel Models with rstanarm" (Lee, Sim, Ji & Rabe-Hesketh, 2018), all five sections
library(mlmRev)
library(lme4)
library(rstanarm)

# 1 Data
data(Gcsemv, package = "mlmRev")
summary(Gcsemv)
Gcsemv$female <- relevel(Gcsemv$gender, "M")
GCSE <- subset(x = Gcsemv,
               select = c(school, student, female, course))
J <- length(unique(GCSE$school))
N <- nrow(GCSE)
str(GCSE)

# 2 Likelihood
M1 <- lmer(formula = course ~ 1 + (1 | school),
           data = GCSE,
           REML = FALSE)
summary(M1)
M2 <- lmer(formula = course ~ 1 + female + (1 | school),
           data = GCSE,
           REML = FALSE)
summary(M2)
head(ranef(M2)$school)
pooled <- lm(formula = course ~ female,
             data = GCSE)
a_pooled <- coef(pooled)[1] # complete-pooling intercept
b_pooled <- coef(pooled)[2]
nopooled <- lm(formula = course ~ 0 + school + female,
               data = GCSE)
a_nopooled <- coef(nopooled)[1:J] # 73 no-pooling intercepts
b_nopooled <- coef(nopooled)[J+1]
a_part_pooled <- coef(M2)$school[, 1]
b_part_pooled <- coef(M2)$school[, 2]
M3 <- lmer(formula = course ~ 1 + female + (1 + female | school),
           data = GCSE,
           REML = FALSE)
summary(M3)

# 3 The first model, Bayesian
M1_stanlmer <- stan_lmer(formula = course ~ 1 + (1 | school),
                         data = GCSE,
                         seed = 349, refresh = 0)
prior_summary(object = M1_stanlmer)
sd(GCSE$course, na.rm = TRUE)
print(M1_stanlmer, digits = 2)
summary(M1_stanlmer,
        pars = c("(Intercept)", "sigma", "Sigma[school:(Intercept),(Intercept)]"),
        probs = c(0.025, 0.975),
        digits = 2)
sims <- as.matrix(M1_stanlmer)
dim(sims)
para_name <- colnames(sims)
mu_a_sims <- as.matrix(M1_stanlmer,
                       pars = "(Intercept)")
u_sims <- as.matrix(M1_stanlmer,
                    regex_pars = "b\\[\\(Intercept\\) school\\:")
a_sims <- as.numeric(mu_a_sims) + u_sims
s_y_sims <- as.matrix(M1_stanlmer,
                      pars = "sigma")
s__alpha_sims <- as.matrix(M1_stanlmer,
                           pars = "Sigma[school:(Intercept),(Intercept)]")
a_mean <- apply(X = a_sims,
                MARGIN = 2,
                FUN = mean)
a_sd <- apply(X = a_sims,
              MARGIN = 2,
              FUN = sd)
a_quant <- apply(X = a_sims,
                 MARGIN = 2,
                 FUN = quantile,
                 probs = c(0.025, 0.50, 0.975))
a_quant <- data.frame(t(a_quant))
names(a_quant) <- c("Q2.5", "Q50", "Q97.5")
a_df <- data.frame(a_mean, a_sd, a_quant)
round(head(a_df), 2)
school_diff <- a_sims[, 21] - a_sims[, 51]
mean(school_diff)
sd(school_diff)
quantile(school_diff, probs = c(0.025, 0.50, 0.975))
hist(school_diff)
prop.table(table(a_sims[, 21] > a_sims[, 51]))

# 4 More models
M2_stanlmer <- stan_lmer(formula = course ~ female + (1 | school),
                         data = GCSE,
                         prior = normal(location = 0,
                                        scale = 100,
                                        autoscale = FALSE),
                         prior_intercept = normal(location = 0,
                                                  scale = 100,
                                                  autoscale = FALSE),
                         seed = 349, refresh = 0)
M2_stanlmer
M3_stanlmer <- stan_lmer(formula = course ~ female + (1 + female | school),
                         data = GCSE,
                         seed = 349, refresh = 0)
M3_stanlmer

# 5 Convergence
plot(M1_stanlmer, "rhat")
plot(M1_stanlmer, "ess")
