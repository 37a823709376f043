# R objects that Python refers to by number.

kept <- new.env(parent = emptyenv())
counter <- new.env(parent = emptyenv())
counter$last <- 0L

# A number is never used again, and the process stands in it (`process_token` is the worker's): what belongs to an R
# that has ended is nothing here.
keep <- function(object) {
  counter$last <- counter$last + 1L
  key <- paste0(process_token, ":", counter$last)
  assign(key, object, envir = kept)
  scalar(key)
}

# Python sends a handle as list(handle = <key>).
take_handle <- function(x) {
  if (!is.list(x) || !identical(names(x), "handle")) {
    return(x)
  }
  key <- x$handle
  if (!exists(key, envir = kept, inherits = FALSE)) {
    bridge_stop("bridge_handle_error", "R no longer holds this object (", key, "): fit the model again")
  }
  get(key, envir = kept, inherits = FALSE)
}

free_handles <- function(ids) {
  rm(list = intersect(as.character(ids), ls(kept)), envir = kept)
}

count_handles <- function() scalar(length(ls(kept)))
