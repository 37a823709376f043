# What rstan computes of given chains: n_eff and Rhat as summary(stanfit) shows them, and the rank-normalised ones.
#
# Rscript make_diagnostics.R
suppressMessages({library(rstan); library(jsonlite)}); set.seed(4)
ns <- asNamespace("rstan")
res <- lapply(list(c(4,200,.5,0),c(4,250,.9,.3),c(2,51,-.5,0),c(1,100,.3,0),c(4,1000,0.001,0),c(2,50,.97,0), c(4,101,-.9,0), c(4,1000,.3,.01)), function(a) {
 x <- sapply(seq_len(a[1]), function(c) as.vector(arima.sim(list(ar=a[3]), a[2])) + a[4]*c)
 x <- round(x,4)
 list(x=t(x), ess=ns$rstan_ess(list(iter=nrow(x),warmup=0,thin=1,chains=ncol(x), samples=lapply(seq_len(ncol(x)), function(i) list(v=x[,i])), n_save=rep(nrow(x),ncol(x)), warmup2=rep(0L,ncol(x)), n_flatnames=1L, permutation=lapply(seq_len(ncol(x)), function(i) seq_len(nrow(x)))),1L), rhat=ns$rstan_splitrhat(list(chains=ncol(x), samples=lapply(seq_len(ncol(x)), function(i) list(v=x[,i])), n_save=rep(nrow(x),ncol(x)), warmup2=rep(0L,ncol(x)), n_flatnames=1L, permutation=lapply(seq_len(ncol(x)), function(i) seq_len(nrow(x)))),1L), bulk=rstan::ess_bulk(x), tail=rstan::ess_tail(x), rr=rstan::Rhat(x)) })
writeLines(toJSON(res, digits=NA, auto_unbox=TRUE), "diagnostics.json")
