# The second line of defence, sufficient by itself: R's own parse tree of a formula, against what a formula may hold.
# `grammar` is the list of r_scripts/grammar.py, handed over by the worker; bridge/formula.py, the first line, reads it
# too.

# Stops at anything in the parse tree that is not an allowed call with arguments that it may have, a column, or a
# constant. `kind` is what may stand at this place, `term` whether it is a term of the formula, `inside` whether it is
# inside a function.
check_tree <- function(tree, columns, kind = "value", top = FALSE, term = top, inside = FALSE) {
  refuse <- function(...) bridge_stop("bridge_formula_error", ...)
  shown <- function() substr(one_line(tree), 1L, 200L)
  if (kind == "summary" || (kind == "contrast" && (is.symbol(tree) || is.character(tree)))) {
    allowed <- if (kind == "summary") grammar$summaries else c(grammar$contrasts, if (is.symbol(tree)) grammar$short_contrasts)
    bare <- is.symbol(tree)
    if (length(tree) != 1L || !(bare || kind == "contrast") || !(as.character(tree) %in% allowed)) {
      refuse("R would call '", shown(), "' as a function; it may be one of ", paste(allowed, collapse = ", "))
    }
    # R takes a column of that name for the function, and what stands in it for the name of one
    if (bare && as.character(tree) %in% columns && !(kind == "contrast" && as.character(tree) %in% grammar$short_contrasts)) {
      bridge_stop("bridge_data_error", "the formula means R's function '", shown(), "', but a column has that name: rename it")
    }
    return(invisible(tree))
  }
  if (kind == "contrast") kind <- "numbers"
  if (kind == "bar") {
    if (!is.call(tree) || !(identical(tree[[1L]], quote(`|`)) || identical(tree[[1L]], quote(`||`)))) {
      refuse("a covariance structure stands around a term such as 1 + x | g, not '", shown(), "'")
    }
    kind <- "value"
  }
  # Sums lean to the left: their spine is walked, not descended into.
  while (is.call(tree) && is.symbol(tree[[1L]]) && as.character(tree[[1L]]) %in% grammar$operators) {
    head <- as.character(tree[[1L]])
    if (head == "~" && !top) refuse("a '~' inside the formula: '", shown(), "'")
    if (kind != "value" && !(head %in% grammar$literal_operators)) refuse("'", head, "' may not stand in '", shown(), "'")
    if (!is.null(names(tree)) || length(tree) > (if (head %in% c("(", "!")) 2L else 3L) || length(tree) < 2L) {
      refuse("an operator has one or two arguments without names, unlike '", shown(), "'")
    }
    if (any(vapply(as.list(tree), identical, TRUE, quote(expr = )))) refuse("an empty argument in '", shown(), "'")
    term <- term && head %in% c("~", "+", "-", "(")
    top <- FALSE
    if (length(tree) == 3L) check_tree(tree[[3L]], columns, kind, term = term, inside = inside)
    tree <- tree[[2L]]
  }
  if (is.call(tree)) {
    check_call(tree, columns, kind, term, refuse)
  } else if (is.symbol(tree)) {
    name <- as.character(tree)
    if (kind != "value") refuse("only constants may stand there, not '", name, "'")
    if (!(name %in% c(columns, "."))) {
      bridge_stop("bridge_data_error", "the formula names '", name, "', but the data have no such column")
    }
  } else if (!(is.numeric(tree) || is.character(tree) || is.logical(tree) || is.null(tree)) || length(tree) > 1L ||
    (is.character(tree) && (kind == "numbers" || !inside))) {
    refuse("not allowed in a formula: ", shown())
  }
  invisible(tree)
}

check_call <- function(tree, columns, kind, term, refuse) {
  head <- tree[[1L]]
  name <- if (is.symbol(head)) as.character(head) else ""
  known <- grammar$functions[[name, exact = TRUE]]
  if (name %in% names(grammar$structures)) {
    known <- grammar$structures[[name]]
    if (!term) refuse("a covariance structure is a term of its own, unlike '", one_line(tree), "'")
    if (!has_structures()) {
      refuse(
        "covariance structures such as ", name, "() are there since lme4 2.0-1; this R has lme4 ",
        utils::packageDescription("lme4", fields = "Version"), if (name == "diag") " (for numbers x, diag(x | g) is (x || g))"
      )
    }
  }
  if (is.null(known)) refuse("the function '", one_line(head), "' is not allowed in a formula")
  if (kind != "value" && !(name %in% grammar$literal_functions)) refuse(name, "() may not stand where only constants may")
  arguments <- as.list(tree)[-1L]
  kinds <- argument_kinds(name, known, names(arguments) %||% character(length(arguments)), refuse)
  for (i in seq_along(arguments)) {
    if (identical(arguments[[i]], quote(expr = ))) refuse("an empty argument in '", one_line(tree), "'")
    check_tree(arguments[[i]], columns, if (kind == "value") kinds[i] else kind, inside = TRUE)
  }
}

# What each argument of a call may be, by R's matching: exact names, then unique beginnings of those before `...`, then
# places.
argument_kinds <- function(name, known, labels, refuse) {
  positional <- as.character(unlist(known$positional))
  all_names <- c(positional, as.character(unlist(known$named)))
  all_kinds <- as.character(c(unlist(known$positional_kinds), unlist(known$named_kinds)))
  if (!length(labels)) refuse(name, "() has no argument")
  found <- match(labels, all_names)
  short <- setdiff(positional, labels)
  for (i in which(nzchar(labels) & is.na(found))) {
    full <- short[startsWith(short, labels[i])]
    if (!length(full) && isTRUE(known$labelled) && identical(plain_symbol(labels[i]), labels[i])) next
    if (length(full) != 1L) refuse(name, "() may not have an argument '", labels[i], "' in a formula")
    found[i] <- match(full, all_names)
  }
  if (anyDuplicated(found[!is.na(found)])) refuse(name, "() has an argument twice")
  free <- setdiff(seq_along(positional), found)
  open <- which(!nzchar(labels))
  if (length(open) > length(free) && !nzchar(known$rest)) refuse(name, "() has too many arguments")
  filled <- utils::head(open, length(free))
  found[filled] <- free[seq_along(filled)]
  kinds <- all_kinds[found]
  kinds[is.na(found)] <- known$rest
  kinds
}

has_structures <- function() {
  nzchar(system.file(package = "lme4")) && utils::packageVersion("lme4") >= "2.0.1"
}

# What a formula's functions are looked up in. Above it stands stats, whose functions lme4 and rstanarm look up from a
# formula's environment; check_tree() has seen to it that no name of the formula itself is found there.
formula_home <- local({
  home <- new.env(parent = asNamespace("stats"))
  for (f in names(grammar$functions)) {
    found <- NULL
    for (package in c("base", "stats", "splines")) {
      found <- found %||% get0(f, envir = asNamespace(package), mode = "function", inherits = FALSE)
    }
    if (!is.null(found)) assign(f, found, envir = home)
  }
  for (f in grammar$contrasts) assign(f, get(f, envir = asNamespace("stats")), envir = home)
  home
})

# An environment for one call: the verbs that a call like lmer(...) names, and the data under the user's name for them.
call_home <- function(package, verbs, data_name, data) {
  home <- new.env(parent = formula_home)
  for (verb in verbs) assign(verb, get(verb, envir = asNamespace(package)), envir = home)
  if (package != "stats" && requireNamespace("lme4", quietly = TRUE)) assign("dummy", lme4::dummy, envir = home)
  assign(plain_symbol(data_name), data, envir = home)
  home
}

# The formula of a text, checked, with inert names, in the environment `home`. `columns` are the user's names.
as_checked_formula <- function(text, columns, home) {
  tree <- tryCatch(
    parse(text = text, keep.source = FALSE, encoding = "UTF-8"),
    error = function(e) bridge_stop("bridge_formula_error", "R cannot read the formula '", text, "': ", conditionMessage(e))
  )
  if (length(tree) != 1L || !is.call(tree[[1L]]) || !identical(tree[[1L]][[1L]], quote(`~`))) {
    bridge_stop("bridge_formula_error", "not one formula: '", text, "'")
  }
  check_tree(tree[[1L]], columns, top = TRUE)
  formula <- eval(inert_tree(tree[[1L]]), home)
  environment(formula) <- home
  formula
}

# -- names ------------------------------------------------------------------------------------------------------------

# Column names in a form that R cannot take for code: lme4 and others write formulas as text and parse them again,
# without backticks around names. See inert() of r_scripts/grammar.py, which this is in R.
inert <- function(names) {
  odd <- make.names(names) != names | grepl("^\\.\\.", names)
  names[odd] <- vapply(names[odd], inert_name, "", USE.NAMES = FALSE)
  names
}

punctuation <- strsplit(grammar$punctuation, "")[[1L]]
replaced <- strsplit(grammar$replaced, "")[[1L]]
symbols <- strsplit(grammar$symbols, "")[[1L]]

inert_name <- function(name) {
  letters <- strsplit(enc2utf8(name), "")[[1L]]
  at <- match(letters, punctuation, nomatch = 0L)
  letters[at > 0L] <- symbols[match(letters[at > 0L], replaced)]
  text <- paste(letters, collapse = "")
  found <- gregexpr("[\\p{L}\\p{N}_.]+", text, perl = TRUE)[[1L]]
  for (i in which(found > 0L)) {
    word <- substr(text, found[i], found[i] + attr(found, "match.length")[i] - 1L)
    if (word %in% grammar$reserved || grepl("^([0-9]|[.][0-9]|[.][.])", word)) {
      substr(text, found[i], found[i]) <- symbols[match(substr(word, 1L, 1L), replaced)]
    }
  }
  text
}

inert_tree <- function(tree) {
  # as in check_tree(), the spine of a sum is walked
  spine <- list()
  while (is.call(tree) && length(tree) == 3L && as.character(tree[[1L]]) %in% grammar$operators) {
    spine[[length(spine) + 1L]] <- tree
    tree <- tree[[2L]]
  }
  if (is.symbol(tree)) {
    tree <- as.name(inert(as.character(tree)))
  } else if (is.call(tree)) {
    # arguments only: the head is an operator or a function of the list
    for (i in seq_along(tree)[-1L]) if (!is.null(tree[[i]])) tree[[i]] <- inert_tree(tree[[i]])
  }
  for (node in rev(spine)) {
    node[[2L]] <- tree
    right <- inert_tree(node[[3L]])
    if (!is.null(right)) node[[3L]] <- right
    tree <- node
  }
  tree
}

# Strings of ASCII, nearly all, are told by their bytes.
has_symbols <- function(x) {
  found <- grepl("\xf0\x9d", x, fixed = TRUE, useBytes = TRUE)
  found[found] <- grepl(paste0("[", symbols[1L], "-", symbols[length(symbols)], "]"), x[found])
  found
}

# Texts with the user's names. In backticks they stand as R itself writes them: `a\`b`, `\n`, and .. without any.
user_text <- function(text) {
  at <- grep("`", text, fixed = TRUE)
  found <- gregexpr("`[^`]*`", text[at])
  regmatches(text[at], found) <- lapply(regmatches(text[at], found), function(quoted) {
    inside <- which(has_symbols(quoted))
    names <- chartr(grammar$symbols, grammar$replaced, substr(quoted[inside], 2L, nchar(quoted[inside]) - 1L))
    quoted[inside] <- vapply(names, function(name) deparse(as.name(name), 500L, backtick = TRUE)[[1L]], "")
    quoted
  })
  chartr(grammar$symbols, grammar$replaced, text)
}

# An object with the user's names in place of inert ones: texts, names, dimnames, calls, in lists and attributes.
restored <- function(x) {
  if (is.environment(x) || is.function(x) || typeof(x) == "externalptr") {
    return(x)
  }
  if (is.character(x)) {
    at <- which(has_symbols(x))
    if (length(at)) x[at] <- user_text(x[at])
  } else if (is.symbol(x)) {
    name <- as.character(x)
    return(if (has_symbols(name)) as.name(chartr(grammar$symbols, grammar$replaced, name)) else x)
  } else if (is.list(x) || is.call(x) || is.expression(x)) {
    for (i in seq_along(x)) {
      item <- x[[i]]
      if (missing(item) || is.null(item)) next
      x[[i]] <- restored(item)
    }
  }
  kept <- attributes(x)
  for (name in setdiff(names(kept), c("class", "row.names", "tsp"))) {
    changed <- restored(kept[[name]])
    if (!identical(changed, kept[[name]])) attr(x, name) <- changed
  }
  x
}

# -- options of R's verbs ---------------------------------------------------------------------------------------------

bad_option <- function(...) bridge_stop("bridge_data_error", ...)

# A name that may stand in a call as it is.
plain_symbol <- function(name) {
  if (!is.character(name) || length(name) != 1L || make.names(name) != name || grepl("^\\.\\.", name)) {
    bad_option("'", paste(name, collapse = " "), "' is not a name in R")
  }
  name
}

one_of <- function(value, allowed, what) {
  if (!is.character(value) || length(value) != 1L || !(value %in% allowed)) {
    bad_option(what, " is '", paste(value, collapse = " "), "'; it may be one of ", paste(allowed, collapse = ", "))
  }
  value
}

# Numbers, truth values, or nothing: what may stand in a call without ever being looked up.
plain_numbers <- function(value, what) {
  if (!is.null(value) && !is.numeric(value) && !is.logical(value)) bad_option(what, " must be numbers")
  value
}

package_name <- function(package) {
  if (!is.character(package) || length(package) != 1L || !grepl("^[A-Za-z][A-Za-z0-9.]*[A-Za-z0-9]$", package)) {
    bad_option("'", paste(package, collapse = " "), "' is not the name of an R package")
  }
  package
}

# Places of the labels that a user gives, among R's own.
labels_in <- function(labels, known) {
  at <- match(labels, restored(known))
  ifelse(is.na(at), labels, known[at])
}
