# R objects that Python refers to by number.

kept <- new.env(parent = emptyenv())
counter <- new.env(parent = emptyenv())
counter$last <- 0L

keep <- function(object) {
  counter$last <- counter$last + 1L
  assign(as.character(counter$last), object, envir = kept)
  scalar(counter$last)
}

# Python sends a handle as list(handle = <number>).
take_handle <- function(x) {
  if (!is.list(x) || !identical(names(x), "handle")) {
    return(x)
  }
  key <- as.character(x$handle)
  if (!exists(key, envir = kept, inherits = FALSE)) {
    bridge_stop("bridge_handle_error", "R no longer holds object number ", key)
  }
  get(key, envir = kept, inherits = FALSE)
}

free_handles <- function(ids) {
  rm(list = intersect(as.character(ids), ls(kept)), envir = kept)
}

count_handles <- function() scalar(length(ls(kept)))
