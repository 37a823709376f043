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
    bridge_stop("bridge_data_error", "R cannot read the file: ", conditionMessage(e))
  })
  if (!is.data.frame(value)) {
    bridge_stop("bridge_data_error", "the file holds a ", class(value)[1L], ", not a data frame")
  }
  value <- as.data.frame(value)
  for (name in names(value)) {
    column <- value[[name]]
    labels <- attr(column, "labels", exact = TRUE)
    if (inherits(column, "haven_labelled") && is.atomic(column)) {
      column <- unclass(column)
      attributes(column) <- NULL
      labels <- labels[order(labels)]
      if (length(labels) && all(is.na(column) | column %in% labels)) {
        texts <- names(labels)
        column <- factor(texts[match(column, labels)], levels = unique(texts))
      }
      value[[name]] <- column
    }
  }
  frame_out(value)
}
