# Rscript ess.R given.json: what loo's relative_eff takes for the effective sample size of chains, as JSON.
given <- jsonlite::fromJSON(commandArgs(TRUE)[1], simplifyDataFrame = FALSE)
ess <- function(case) {
  s <- matrix(unlist(case$values), ncol = case$chains)
  suppressWarnings(loo::relative_eff(array(s, c(dim(s), 1))) * length(s))
}
cat(jsonlite::toJSON(vapply(given, ess, 0), digits = NA))
