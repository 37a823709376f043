# Data sets of R packages.

dataset_names <- function(package) {
  package_name(package)
  if (!nzchar(system.file(package = package))) {
    bridge_stop("bridge_package_error", "no package ", package,
      data = list(package = scalar(package), found = NULL, needed = scalar("0"),
        command = scalar(sprintf("Rscript -e 'chooseCRANmirror(ind = 1); install.packages(\"%s\")'", package))))
  }
  items <- utils::data(package = package)$results[, "Item"]
  # "cake (bake)" means: object `cake` in the file `bake`
  as.character(sub(" .*", "", items))
}

dataset_load <- function(name, package) {
  known <- dataset_names(package)
  if (!(name %in% known)) {
    bridge_stop("bridge_data_error", "R package ", package, " has no data set '", name, "'. It has: ", paste(known, collapse = ", "))
  }
  items <- utils::data(package = package)$results[, "Item"]
  item <- items[match(name, known)]
  file <- if (grepl("\\(", item)) sub(".*\\((.*)\\).*", "\\1", item) else name
  home <- new.env(parent = emptyenv())
  suppressWarnings(utils::data(list = file, package = package, envir = home))
  if (!exists(name, envir = home, inherits = FALSE)) {
    # packages with LazyData keep their data in the namespace's lazy-load database
    assign(name, getExportedValue(package, name), envir = home)
  }
  value <- get(name, envir = home)
  if (!is.data.frame(value)) {
    bridge_stop("bridge_data_error", "data set '", name, "' of ", package, " is a ", class(value)[1L], ", not a data frame")
  }
  frame_out(as.data.frame(value))
}

# A data frame from a file of saveRDS(). A labelled column of haven becomes a factor where every value has a label.
dataset_rds <- function(path) {
  value <- tryCatch(readRDS(path), error = function(e) {
    bridge_stop("bridge_data_error", "R cannot read it as a file of saveRDS() (", conditionMessage(e), ")")
  })
  if (!is.data.frame(value)) {
    bridge_stop("bridge_data_error", "it holds an object of class '", class(value)[1L], "', not a data frame; ", frame_advice(value))
  }
  value <- as.data.frame(value)
  twins <- unique(names(value)[duplicated(names(value))])
  if (length(twins)) {
    bridge_stop("bridge_data_error", "its data frame has more than one column '", twins[1L], "'; rename them in R")
  }
  partly <- character()
  for (name in names(value)) {
    column <- value[[name]]
    if (inherits(column, "haven_labelled") && is.atomic(column)) {
      value[[name]] <- plain <- unlabelled(column)
      if (!is.factor(plain) && length(attr(column, "labels", exact = TRUE))) partly <- c(partly, name)
    } else if (!is.null(dim(column)) || is.list(column) && !inherits(column, "POSIXlt") || is.complex(column)) {
      bridge_stop(
        "bridge_data_error", "its column '", name, "' is of class '", class(column)[1L], "', which no column of a table can be; ",
        if (is.null(dim(column))) "leave it out in R" else "take it apart in R before saving: data <- do.call(data.frame, data)"
      )
    }
  }
  c(frame_out(value), list(partly_labelled = partly))
}

frame_advice <- function(value) {
  frames <- if (is.list(value)) names(Filter(is.data.frame, unclass(value)))
  if (length(frames)) return(paste0("in R save the one in it: saveRDS(x$", frames[1L], ", 'data.rds')"))
  if (is.array(value)) "in R write saveRDS(as.data.frame(x), 'data.rds')" else "in R save the data frame itself"
}

# A column of haven without its labels: a factor where each value has one, or the plain values. What haven counts as
# missing is missing: Stata's .a to .z, which are NA's with a letter, and SPSS's user-missing values and ranges.
unlabelled <- function(column) {
  labels <- attr(column, "labels", exact = TRUE)
  values <- attr(column, "na_values", exact = TRUE)
  range <- attr(column, "na_range", exact = TRUE)
  column <- unclass(column)
  attributes(column) <- NULL
  declared <- function(x) x %in% values | if (length(range) == 2L && is.numeric(x)) x >= range[1L] & x <= range[2L] else FALSE
  column[is.na(column) | declared(column)] <- NA
  labels <- labels[!is.na(labels) & !declared(unname(labels))]
  labels <- labels[order(labels)]
  if (!length(labels) || !all(is.na(column) | column %in% labels)) return(column)
  texts <- names(labels)
  factor(texts[match(column, labels)], levels = unique(texts))
}
