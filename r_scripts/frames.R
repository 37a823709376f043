# Data frames that Python describes (bridge/frames.py), built and taken apart.

na_int <- NA_integer_

frame_in <- function(described) {
  columns <- lapply(described$columns, function(column) {
    values <- column$values
    switch(column$kind,
      double = {
        values <- as.double(values)
        values[is.nan(values)] <- NA_real_
        values
      },
      integer = as.integer(values),
      logical = as.logical(as.integer(values)),
      character = as.character(unlist(column$levels))[as.integer(values)],
      factor = structure(
        as.integer(values),
        levels = as.character(unlist(column$levels)),
        class = if (isTRUE(column$ordered)) c("ordered", "factor") else "factor"
      ),
      date = structure(ifelse(is.nan(values), NA_real_, as.double(values)), class = "Date"),
      datetime = structure(
        ifelse(is.nan(values), NA_real_, as.double(values)),
        class = c("POSIXct", "POSIXt"), tzone = column$zone
      ),
      stop("unknown kind of column: ", column$kind)
    )
  })
  # Built by hand: data.frame() would touch names and strings.
  structure(columns, names = as.character(unlist(described$names)), row.names = .set_row_names(described$nrow), class = "data.frame")
}

# For a model: under names that R cannot take for code.
model_frame_in <- function(described) {
  data <- frame_in(described)
  names(data) <- inert(names(data))
  data
}

column_out <- function(x) {
  if (is.factor(x)) {
    return(list(
      kind = scalar("factor"), values = as.integer(x), levels = as.character(levels(x)), ordered = scalar(is.ordered(x))
    ))
  }
  if (!is.null(dim(x)) || is.list(x) && !inherits(x, "POSIXlt")) {
    return(list(kind = scalar("other"), class = scalar(paste(class(x), collapse = "/")), values = NULL))
  }
  if (inherits(x, "Date")) {
    return(list(kind = scalar("date"), values = as.double(unclass(x))))
  }
  if (inherits(x, "POSIXt")) {
    x <- as.POSIXct(x)
    zone <- attr(x, "tzone")
    return(list(kind = scalar("datetime"), values = as.double(unclass(x)), zone = scalar(if (is.null(zone)) "" else zone[1L])))
  }
  switch(typeof(x),
    double = list(kind = scalar("double"), values = as.double(x)),
    integer = list(kind = scalar("integer"), values = as.integer(x)),
    logical = list(kind = scalar("logical"), values = as.integer(x)),
    character = {
      levels <- unique(x[!is.na(x)])
      list(kind = scalar("character"), values = match(x, levels), levels = enc2utf8(levels))
    },
    list(kind = scalar("other"), class = scalar(paste(class(x), collapse = "/")), values = NULL)
  )
}

frame_out <- function(frame) {
  rows <- attr(frame, "row.names")
  plain <- identical(as.character(rows), as.character(seq_along(rows)))
  list(
    nrow = scalar(nrow(frame)), names = as.character(names(frame)),
    columns = lapply(unname(as.list(frame)), column_out),
    row_names = if (!plain) as.character(rows)
  )
}

# For tests: there and back again, and what R sees.
frame_echo <- function(described) frame_out(frame_in(described))
frame_structure <- function(described) scalar(printed(utils::str(frame_in(described), vec.len = 3L)))

# A matrix with its dimnames.
matrix_out <- function(x) {
  list(values = matrix(as.double(x), nrow(x), ncol(x)), rows = as.character(rownames(x)), columns = as.character(colnames(x)))
}

# A numeric vector with its names.
vector_out <- function(x) list(values = as.double(x), names = as.character(names(x)))

# Row numbers (in the data that Python sent) of row names.
positions_of <- function(names) as.integer(names)
