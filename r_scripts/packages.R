# R packages: loaded when first needed, with a clear error where one is missing or too old.

# Oldest versions that this bridge is written for.
minimum_versions <- c(
  lme4 = "1.1-27", mlmRev = "1.0-7", rstanarm = "2.21.1", rstan = "2.21.1", Matrix = "1.2-18",
  loo = "2.4.0", lmerTest = "3.1-0", pbkrtest = "0.5"
)

need <- function(package, needed = NULL) {
  needed <- needed %||% if (package %in% names(minimum_versions)) minimum_versions[[package]] else "0"
  found <- tryCatch(as.character(utils::packageVersion(package)), error = function(e) NULL)
  if (is.null(found) || utils::compareVersion(found, needed) < 0) {
    bridge_stop(
      "bridge_package_error", "R package ", package, " is missing or too old",
      data = list(
        package = scalar(package), found = if (!is.null(found)) scalar(found), needed = scalar(needed),
        command = scalar(sprintf("Rscript -e 'chooseCRANmirror(ind = 1); install.packages(\"%s\")'", package))
      )
    )
  }
  suppressPackageStartupMessages(loadNamespace(package))
  invisible(TRUE)
}

# Loads what is there, so that the first call that needs it finds it loaded; need() says what is missing.
load_ahead <- function(packages) {
  for (package in packages) {
    package_name(package)
    try(suppressPackageStartupMessages(loadNamespace(package)), silent = TRUE)
  }
  scalar(TRUE)
}

# An argument that a release brought: an older one would take it without a word and do nothing with it.
need_newer <- function(what, package, release) {
  found <- as.character(utils::packageDescription(package, fields = "Version"))
  if (utils::compareVersion(found, release) < 0) {
    bridge_stop("bridge_data_error", what, " is there since ", package, " ", release, "; this R has ", package, " ", found)
  }
}

package_versions <- function(packages) {
  lapply(stats::setNames(packages, packages), function(p) {
    package_name(p)
    # as written in the package, "1.1-31", not "1.1.31"
    found <- if (nzchar(system.file(package = p))) utils::packageDescription(p, fields = "Version")
    if (!is.null(found)) scalar(found)
  })
}
