# Three levels, nested and crossed
library(lme4)
fm <- lmer(strength ~ 1 + (1 | batch/cask), Pastes)
print(VarCorr(fm))
ngrps(fm)
fm2 <- lmer(diameter ~ 1 + (1 | plate) + (1 | sample), data = Penicillin)
re <- ranef(fm2)
re$sample
rownames(re$sample)
sum(as.data.frame(VarCorr(fm2))$vcov)
fits <- list(pastes = fm, penicillin = fm2)
sapply(fits, sigma)
sapply(fits, function(m) as.numeric(logLik(m)))
for (nm in names(fits)) {
  cat(nm, ":", nobs(fits[[nm]]), "\n")
  print(fixef(fits[[nm]]))
}
