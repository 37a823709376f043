library(data.table)
library(lme4)
library(magrittr)
DT <- as.data.table(lme4::InstEval)
DT[, .N]
DT <- DT[s %in% levels(s)[1:150]]
DT[, `:=`(y = as.numeric(y), svc = as.integer(service == "1"))]
DT[, n_ratings := .N, by = d]
DT <- DT[n_ratings >= 2][, y_c := y - mean(y), by = s][order(s, d)]
DT[, .(n = .N, m = mean(y)), by = dept][order(-m)][1:3]
setnames(DT, "service", "is_service")
m1 <- lmer(y ~ svc + (1 | s) + (1 | d), data = DT)
m2 <- DT %>% lmer(y ~ svc + lectage + (1 | s) + (1 | d), data = .)
m3 <- DT[lectage %in% c("1", "2", "3"), lmer(y ~ svc + (1 | s), data = .SD)]
summary(m1)
AIC(m1, m2)
fixef(m3)
per_dept <- DT[, .(slope = coef(lm(y ~ svc))[2], n = .N), by = dept]
head(per_dept)
re <- as.data.table(ranef(m1))
re[, .(sd = sd(condval), n = .N), by = grpvar]
re[grpvar == "s"][order(-condval)][1:3, .(grp, condval)]
vc <- as.data.table(VarCorr(m1))
vc[, prop := vcov / sum(vcov)][]
vc[grp == "s", vcov]
DT[, fit := fitted(m1)]
DT[, .(obs = mean(y), fit = mean(fit)), keyby = lectage]
dcast(DT[, .(m = mean(y)), by = .(lectage, is_service)], lectage ~ is_service, value.var = "m")
dt_res <- rbindlist(lapply(list(a = m1, b = m2), function(m) data.table(aic = AIC(m), n = nobs(m))), idcol = "model")
dt_res
fwrite(dt_res, "res.csv")
