# What the tests need R to do: work for a while, be noisy, fail, warn.

echo <- function(x) x

# Seconds of work that R can be interrupted in.
busy <- function(seconds) {
  end <- proc.time()[["elapsed"]] + seconds
  while (proc.time()[["elapsed"]] < end) sqrt(2)
  scalar(TRUE)
}

# Work that does not listen: interrupts are held back.
deaf <- function(seconds) suspendInterrupts(busy(seconds))

noisy <- function() {
  cat("to the console\n")
  message("a message")
  warning("a warning")
  print(1:3)
  write("to R's stderr", stderr())
  scalar(42L)
}

# A program that writes to its own standard output and error: where the sandbox is off.
noisy_program <- function() {
  system("echo to standard output; echo to standard error >&2")
  scalar(42L)
}

failing <- function(text) stop(text)

seeded <- function(seed) scalar(with_seed(seed, stats::runif(1)))
has_random_state <- function() scalar(exists(".Random.seed", envir = globalenv(), inherits = FALSE))

keep_something <- function() keep(new.env())

# Names as R sees them.
inert_names <- function(names) as.character(inert(unlist(names)))
name_is_inert <- function(name, expected) scalar(identical(inert(name), expected))

check_formula <- function(text, columns) {
  as_checked_formula(text, unlist(columns), new.env(parent = formula_home))
  NULL
}

# An R object that holds a value, and what it holds.
keep_value <- function(x) keep(list(value = x))
value_of <- function(object) scalar(object$value)
