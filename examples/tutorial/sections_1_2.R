# Sections 1 and 2 of "Multilevel Models with rstanarm" (Lee, Sim, Ji & Rabe-Hesketh, 2018), step by step as printed
# there. Returns every number that the sections compute, labelled, and every text that they print. The Python side is
# examples/tutorial; the same labels on both sides.

tutorial_sections_1_2 <- function() {
  found <- tutorial_collector()
  keep <- found$keep

  # 1.1 Data
  Gcsemv <- tutorial_data()
  found$text("summary(Gcsemv)", utils::capture.output(print(summary(Gcsemv))))
  Gcsemv$female <- relevel(Gcsemv$gender, "M")
  GCSE <- subset(x = Gcsemv, select = c(school, student, female, course))
  J <- length(unique(GCSE$school))
  N <- nrow(GCSE)
  keep("count", "data", "schools", "", J)
  keep("count", "data", "students", "", N)
  for (exam in c("written", "course")) {
    score <- Gcsemv[[exam]]
    keep("count", "missing", exam, "", sum(is.na(score)))
    keep("description", exam, c("Min.", "1st Qu.", "Median", "3rd Qu.", "Max."), "", quantile(score, na.rm = TRUE))
    keep("description", exam, "Mean", "", mean(score, na.rm = TRUE))
    keep("description", exam, "sd", "", sd(score, na.rm = TRUE))
  }
  for (factor in c("school", "student", "gender")) {
    counts <- table(Gcsemv[[factor]])
    keep("count", factor, "rows", names(counts), counts)
    keep("count", factor, "rows of all but the six largest", "", sum(sort(as.vector(counts), decreasing = TRUE)[-(1:6)]))
  }
  found$text("str(GCSE)", utils::capture.output(utils::str(GCSE)))
  keep("count", "data", "variables", "", ncol(GCSE))
  for (name in names(GCSE)) {
    if (is.factor(GCSE[[name]])) keep("count", name, "levels", "", nlevels(GCSE[[name]]))
    keep("first rows", name, "", seq_len(10), as.numeric(GCSE[[name]][1:10]))
  }

  # 2.1 to 2.3 The three models by maximum likelihood
  M1 <- lme4::lmer(formula = course ~ 1 + (1 | school), data = GCSE, REML = FALSE)
  M2 <- lme4::lmer(formula = course ~ 1 + female + (1 | school), data = GCSE, REML = FALSE)
  M3 <- lme4::lmer(formula = course ~ 1 + female + (1 + female | school), data = GCSE, REML = FALSE)
  models <- list(M1 = M1, M2 = M2, M3 = M3)
  for (name in names(models)) tutorial_model(found, name, models[[name]])
  found$text("head(ranef(M2)$school)", utils::capture.output(print(utils::head(lme4::ranef(M2)$school))))

  # 2.2 Complete, no and partial pooling
  pooled <- lm(formula = course ~ female, data = GCSE)
  nopooled <- lm(formula = course ~ 0 + school + female, data = GCSE)
  schools <- levels(GCSE$school)
  keep("complete pooling", "", c("intercept", "slope"), "", coef(pooled))
  keep("no pooling", "M2", "intercept", schools, coef(nopooled)[1:J])
  keep("no pooling", "M2", "slope", "", coef(nopooled)[J + 1])
  for (name in c("M2", "M3")) {
    lines <- coef(models[[name]])$school
    keep("partial pooling", name, "intercept", rownames(lines), lines[, 1])
    keep("partial pooling", name, "slope", rownames(lines), lines[, 2])
  }

  # 2.2 Shrinkage: u_EB = R u_ML with R = s2_school / (s2_school + s2_residual / n)
  used <- model.frame(M2)
  n <- as.vector(table(used$school))
  ml <- as.vector(tapply(used$course - predict(M2, re.form = NA), used$school, mean))
  variances <- as.data.frame(lme4::VarCorr(M2))$vcov
  factor <- variances[1] / (variances[1] + variances[2] / n)
  keep("shrinkage", "M2", "students used", levels(used$school), n)
  keep("shrinkage", "M2", "factor", levels(used$school), factor)
  keep("shrinkage", "M2", "unshrunken", levels(used$school), ml)
  keep("shrinkage", "M2", "shrunken", levels(used$school), factor * ml)

  # 2.3 No pooling for Model 3: a regression of its own for each school (84707 has one student and gets none)
  for (school in setdiff(schools, "84707")) {
    own <- coef(lm(formula = course ~ female, data = GCSE[GCSE$school == school, ]))
    keep("no pooling", "M3", c("intercept", "slope"), school, own)
  }
  found$result()
}

tutorial_data <- function() {
  home <- new.env()
  utils::data("Gcsemv", package = "mlmRev", envir = home)
  home$Gcsemv
}

# What summary(model) shows, number by number, and what it prints.
tutorial_model <- function(found, name, model) {
  keep <- found$keep
  shown <- summary(model)
  keep("criterion", name, names(shown$AICtab), "", shown$AICtab)
  keep("scaled residual", name, c("Min", "1Q", "Median", "3Q", "Max"), "", quantile(residuals(model, scaled = TRUE)))
  components <- as.data.frame(lme4::VarCorr(model))
  for (i in seq_len(nrow(components))) {
    row <- components[i, ]
    if (is.na(row$var1)) {
      keep(c("variance", "sd"), name, "Residual", "", c(row$vcov, row$sdcor))
    } else if (is.na(row$var2)) {
      keep(c("variance", "sd"), name, row$var1, "", c(row$vcov, row$sdcor))
    } else {
      keep("correlation", name, paste(row$var1, row$var2, sep = ", "), "", row$sdcor)
    }
  }
  keep("count", name, "rows used", "", nobs(model))
  keep("count", name, "schools used", "", lme4::ngrps(model))
  coefficients <- coef(shown)
  keep("fixef", name, rownames(coefficients), "", coefficients[, "Estimate"])
  keep("se", name, rownames(coefficients), "", coefficients[, "Std. Error"])
  keep("t", name, rownames(coefficients), "", coefficients[, "t value"])
  if (nrow(coefficients) > 1L) {
    keep("correlation of fixef", name, "femaleF, (Intercept)", "", cov2cor(as.matrix(vcov(model)))[2L, 1L])
  }
  effects <- lme4::ranef(model)$school
  for (effect in names(effects)) keep("ranef", name, effect, rownames(effects), effects[[effect]])
  found$text(paste0("summary(", name, ")"), utils::capture.output(print(shown)))
}

# Collects labelled numbers and texts as plain vectors.
tutorial_collector <- function() {
  rows <- list()
  texts <- list()
  list(
    keep = function(quantity, group, term, level, value) {
      value <- as.numeric(value)
      spread <- function(x) rep_len(as.character(x), length(value))
      rows[[length(rows) + 1L]] <<- list(
        quantity = spread(quantity), group = spread(group), term = spread(term), level = spread(level), value = value
      )
    },
    text = function(name, lines) texts[[name]] <<- scalar(paste0(lines, "\n", collapse = "")),
    result = function() {
      column <- function(name) unlist(lapply(rows, `[[`, name), use.names = FALSE)
      c(sapply(c("quantity", "group", "term", "level", "value"), column, simplify = FALSE), list(texts = texts))
    }
  )
}
