"""The models that pyimpl's lmer is judged by, and models of all sorts from R's own packages.

Each is (formula, data, further arguments): both languages read the same text. Data are named ``package::name``; a set
that R has to prepare has its R code in :data:`PREPARED`. ``tie`` names texts that print a number which lies exactly
between two roundings (balanced data have such: 1527.5, 24.96875, 251/320, 159.375, 168.35), where rounding decides.
"""

from typing import Any

#: The issue's list.
NAMED: list[tuple[str, str, dict[str, Any]]] = [
    ("Reaction ~ Days + (Days | Subject)", "lme4::sleepstudy", {}),
    ("Reaction ~ Days + (Days || Subject)", "lme4::sleepstudy", {}),
    ("Yield ~ 1 + (1 | Batch)", "lme4::Dyestuff", {"tie": ("print",)}),
    ("Yield ~ 1 + (1 | Batch)", "lme4::Dyestuff2", {}),
    ("diameter ~ 1 + (1 | plate) + (1 | sample)", "lme4::Penicillin", {}),
    ("strength ~ 1 + (1 | sample) + (1 | batch)", "lme4::Pastes", {}),
    ("strength ~ 1 + (1 | batch/cask)", "lme4::Pastes", {}),
    ("angle ~ recipe * temperature + (1 | recipe:replicate)", "lme4::cake", {}),
    ("angle ~ recipe + temp + (1 | replicate) + (1 | recipe:replicate)", "lme4::cake", {}),
    ("height ~ age + (age | Subject)", "nlme::Oxboys", {}),
    ("height ~ age + I(age^2) + (age + I(age^2) | Subject)", "mlmRev::Oxboys", {}),
    ("normexam ~ standLRT + (standLRT | school)", "mlmRev::Exam", {}),
    ("normexam ~ standLRT * sex + schgend + (standLRT | school)", "mlmRev::Exam", {}),
    ("course ~ written + (written | school)", "mlmRev::Gcsemv", {}),
    ("course ~ gender * written + (1 | school)", "mlmRev::Gcsemv", {}),
]

#: Large ones of the issue's list.
LARGE: list[tuple[str, str, dict[str, Any]]] = [
    ("score ~ gcsecnt + gender + age + (1 | lea/school)", "mlmRev::Chem97", {}),
    ("score ~ gcsecnt + (1 | school) + (1 | lea)", "mlmRev::Chem97", {}),
    ("y ~ 1 + (1 | s) + (1 | d) + (1 | dept:service)", "lme4::InstEval", {}),
]

#: R code for data that are not simply there.
PREPARED = {
    "sleepw": (
        "within(lme4::sleepstudy, {w <- 0.5 + (seq_along(Reaction) %% 7) / 3; "
        "o <- 10 * sin(seq_along(Reaction)); late <- Days > 5; "
        "Weekday <- factor(Days %% 3, labels = c('a', 'b b', 'c'))})"
    ),
    "oatsn": "within(MASS::oats, {N <- ordered(N); nitro <- as.integer(N) / 5})",
    "stargr": "droplevels(subset(mlmRev::star, gr == '3' & as.integer(sch) <= 25))",
    "eg40": "droplevels(subset(mlmRev::egsingle, as.integer(schoolid) <= 20))",
    "sim": r"""local({set.seed(4711); n <- 400
      a <- factor(sample(letters[1:4], n, TRUE, c(.5, .3, .15, .05)))
      b <- factor(sample(c("lo", "mid", "hi"), n, TRUE), levels = c("lo", "mid", "hi"))
      o <- factor(sample(c("never", "some", "often"), n, TRUE), levels = c("never", "some", "often"), ordered = TRUE)
      x <- round(rnorm(n), 3); z <- round(rexp(n), 3); k <- sample(1:9, n, TRUE); l <- runif(n) < .3
      s <- sample(1:60, n, TRUE, prob = (1:60)^-.8); cl <- factor(paste0("c", s %% 17))
      d <- sample(c(10.5, 2, 1e5, 7), n, TRUE)
      u <- rnorm(60); w <- round(runif(n, .2, 3), 2); off <- round(rnorm(n), 2)
      y <- 2 + .5 * x - .3 * l + as.integer(a) * .2 + u[s] + rnorm(60, 0, .5)[s] * x + rnorm(17)[cl] + off +
        rnorm(n) / sqrt(w)
      xm <- x; xm[sample(n, 30)] <- NA; gm <- s; gm[sample(n, 12)] <- NA
      out <- data.frame(y, a, b, o, x, z, k, l, s, cl, d, w, off, xm, gm)
      out[["my x"]] <- x; out[["2nd"]] <- x^2; out[["f-g"]] <- factor(s); out})""",
    "nest": r"""local({set.seed(99); r <- expand.grid(rep = 1:3, kid = 1:3, room = 1:3, school = 1:8)
      r <- r[sample(nrow(r), 180), ]
      r$school <- factor(paste0("S", r$school)); r$room <- factor(r$room); r$kid <- factor(r$kid); r$occ <- r$rep - 1
      r$trt <- factor(ifelse(as.integer(r$school) %% 2, "ctl", "new")); r$x <- round(rnorm(180), 2)
      r$y <- 50 + 3 * r$occ + rnorm(8, 0, 3)[r$school] + rnorm(24, 0, 2)[interaction(r$school, r$room)] + r$x
      r$y <- r$y + rnorm(180); r})""",
    "bal": r"""local({set.seed(5); b <- expand.grid(t = c(0, 1, 2, 5), id = factor(1:24)); i <- as.integer(b$id)
      b$arm <- factor(c("p", "q", "r")[(i - 1) %/% 8 + 1]); b$sex <- factor(ifelse(i %% 2, "f", "m"))
      b$age <- round(30 + rnorm(24) * 8, 1)[i]
      b$y <- 10 + b$t * 2 + rnorm(24, 0, 2)[i] + rnorm(24, 0, .8)[i] * b$t + rnorm(96); b})""",
    "tiny": r"""local({set.seed(8); g <- rep(1:25, sample(1:3, 25, TRUE))
      d <- data.frame(g = factor(g), x = round(rnorm(length(g)), 2))
      d$h <- factor(sample(1:6, nrow(d), TRUE)); d$y <- round(rnorm(25)[g] + d$x + rnorm(nrow(d)), 3)
      d$big <- d$y * 1e6 + 1e9; d$small <- d$y * 1e-7; d})""",
    "tied": "within(lme4::Dyestuff, {x <- rep(c(1, 2, 4), 10); x2 <- 2 * x + 1})",
}

#: Of our own choice: odd formulas on data of other subjects.
CHOSEN: list[tuple[str, str, dict[str, Any]]] = [
    ("score ~ Machine + (0 + Machine | Worker)", "nlme::Machines", {}),
    ("score ~ 0 + Machine + (1 | Worker) + (1 | Worker:Machine)", "nlme::Machines", {}),
    ("score ~ Machine - 1 + (1 | Worker/Machine)", "nlme::Machines", {"contrasts": {"Machine": "contr.sum"}}),
    ("distance ~ poly(age, 2) * Sex + (age | Subject)", "nlme::Orthodont", {"tie": ("summary",)}),
    ("distance ~ I(age - 11) * Sex + (I(age - 11) || Subject)", "nlme::Orthodont", {"tie": ("print", "summary")}),
    ("log(distance) ~ log(age) + Sex + (log(age) | Subject)", "nlme::Orthodont", {"subset": "age > 8"}),
    ("travel ~ 1 + (1 | Rail)", "nlme::Rail", {}),
    ("effort ~ Type + (1 | Subject)", "nlme::ergoStool", {"contrasts": {"Type": "contr.helmert"}}),
    ("yield ~ nitro * Variety + (1 | Block/Variety)", "nlme::Oats", {"tie": ("summary", "anova")}),
    ("pixel ~ day + I(day^2) + (day | Dog) + (1 | Side:Dog)", "nlme::Pixel", {}),
    ("logDens ~ sample * dilut + (1 | Block) + (1 | Block:sample)", "nlme::Assay", {}),
    ("Yield ~ Date * Variety + (1 | Block/Variety)", "nlme::Alfalfa", {"contrasts": {"Date": "contr.sum"}}),
    ("weight ~ Time * Diet + (Time | Rat)", "nlme::BodyWeight", {}),
    ("MathAch ~ SES * MEANSES + Minority + (SES | School)", "nlme::MathAchieve", {"subset": "MEANSES > 0"}),
    ("follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time) + (sin(2 * pi * Time) | Mare)", "nlme::Ovary", {}),
    ("sqrt(DryMatter) ~ Moisture * fertilizer + (1 | Tray)", "nlme::Wheat", {}),
    ("rounds ~ Method + Physique + (1 | Team)", "nlme::Gun", {}),
    ("weight ~ Treatment * sex + Lsize + (1 | Litter)", "nlme::RatPupWeight", {}),
    ("Y ~ N + V + (1 | B/V)", "oatsn", {}),
    ("Y ~ nitro + I(nitro^2) + V:nitro + (nitro || B)", "oatsn", {}),
    ("yield ~ (N + P + K)^2 + (1 | block)", "MASS::npk", {}),
    ("yield ~ N * P * K - N:P:K + (1 | block)", "MASS::npk", {"contrasts": {"N": "contr.sum", "P": "contr.sum"}}),
    ("lang ~ IQ * SES + GS + COMB + (IQ | class)", "MASS::nlschools", {}),
    ("Y ~ . - No + (1 | No)", "MASS::petrol", {}),
    ("Y ~ SG + VP + V10 + EP + (1 | No)", "MASS::petrol", {}),
    ("attain ~ verbal * sex + social + (1 | primary) + (1 | second)", "mlmRev::ScotsSec", {}),
    ("math ~ year + retained + female * lowinc + (year | childid) + (year | schoolid)", "eg40", {}),
    ("mAch ~ meanses * cses + sector * cses + (cses | school)", "mlmRev::Hsb82", {}),
    ("cog ~ I(age - 1) * trt + (age | id)", "mlmRev::Early", {}),
    ("read ~ cltype + sx + ses + (1 | sch) + (1 | tch)", "stargr", {}),
    ("langPOST ~ IQ.ver.cen + avg.IQ.ver.cen + sex + mixedgra + (IQ.ver.cen | schoolNR)", "mlmRev::bdf", {}),
    ("as.numeric(numpos) ~ scale(age) + religion + (1 | district) + (1 | respond)", "mlmRev::Socatt", {}),
    ("log(total.fruits + 1) ~ nutrient * amd + rack + status + (1 | popu/gen) + (nutrient | reg)",
     "lme4::Arabidopsis", {}),
    ("log1p(TICKS) ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | LOCATION)", "lme4::grouseticks", {}),
    ("weight ~ Time * Diet + (Time | Chick)", "datasets::ChickWeight", {}),
    ("uptake ~ log(conc) * Type + Treatment + (1 | Plant)", "datasets::CO2", {}),
    ("breaks ~ wool + (1 | tension:wool)", "datasets::warpbreaks", {}),
    ("extra ~ group + (1 | ID)", "datasets::sleep", {}),
    ("height ~ poly(age, 3) + (poly(age, 1) | Seed)", "datasets::Loblolly", {}),
    ("circumference ~ I(age / 1000) + (0 + I(age / 1000) | Tree)", "datasets::Orange", {}),
    ("Speed ~ 1 + (1 | Expt) + (1 | Run)", "datasets::morley", {}),
    ("Reaction ~ Days + (Days | Subject)", "sleepw", {"weights": "w"}),
    ("Reaction ~ Days * late + (1 | Subject)", "sleepw", {"weights": "w", "offset": "o", "subset": "Days != 3"}),
    ("Reaction ~ Weekday + offset(o) + (Weekday | Subject)", "sleepw", {}),
    ("Reaction ~ Weekday:Days + late + (1 | Subject) + (0 + Days | Subject:Weekday)", "sleepw", {}),
    ("I(Reaction / 1000) ~ Days + (Days | Subject)", "sleepw", {}),
    ("Reaction ~ scale(Days) + (scale(Days) || Subject)", "sleepw", {"weights": "w"}),
    ("Reaction ~ cut(Days, 3) + (1 | Subject)", "sleepw", {}),
    ("Reaction ~ factor(Days) + (1 | Subject)", "sleepw", {}),
    ("Reaction ~ 0 + (Days | Subject)", "sleepw", {}),
    ("Yield ~ x + x2 + (1 | Batch)", "tied", {}),
    ("Yield ~ x + I(x^2 * 1e5) + (1 | Batch)", "tied", {}),
]  # fmt: skip

#: Of a stranger's choice: simulated data of every shape, and packages that the lists above leave out.
STRANGE: list[tuple[str, str, dict[str, Any]]] = [
    ("y ~ x * a + o + (x | s)", "sim", {}),
    ("y ~ x + a:b + (a || s)", "sim", {}),
    ("y ~ poly(x, 2) + b/z + (1 | s) + (0 + x | s) + (1 | cl)", "sim", {}),
    ("y ~ l * x + offset(off) + (l | s) + (1 | cl)", "sim", {"weights": "w"}),
    ("y ~ xm + k + (xm | gm)", "sim", {}),
    ("y ~ x + (1 | d)", "sim", {}),
    ("y ~ `my x` + (`my x` | `f-g`)", "sim", {}),
    ("y ~ `2nd` * l + (1 | `f-g`)", "sim", {}),
    ("y ~ o * x + (1 | s)", "sim", {"contrasts": {"o": "contr.treatment"}}),
    ("y ~ a * b + (1 | s)", "sim", {"contrasts": {"a": "contr.sum", "b": "contr.helmert"}}),
    ("y ~ a + b + (0 + b | cl)", "sim", {"subset": "x > 0 & a != 'd'"}),
    ("scale(y) ~ scale(x) + scale(z, scale = FALSE) + (scale(x) | s)", "sim", {}),
    ("y ~ x + (o | cl)", "sim", {}),
    ("y ~ a %in% b + x + (1 | s)", "sim", {}),
    ("y ~ (a + b + x)^3 - a:b:x + (1 | s)", "sim", {}),
    ("y ~ factor(k) * l + (1 | cl/s)", "sim", {}),
    ("y ~ I(x > 0) + I(z^2) + log1p(z) + (I(x > 0) | cl)", "sim", {}),
    ("y ~ x + (1 | a:b:o)", "sim", {}),
    ("y ~ relevel(a, ref = 'c') + (1 | s)", "sim", {"weights": "w"}),
    ("y ~ x + (poly(x, 2) | cl)", "sim", {}),
    ("y ~ I(x - mean(x)) + pmax(z, 1) + (I(x - mean(x)) | s)", "sim", {}),
    ("y ~ a + b + (1 | interaction(a, b))", "sim", {}),
    ("y ~ cut(x, quantile(x, c(0, 0.25, 0.5, 1)), include.lowest = TRUE) + (1 | s)", "sim", {}),
    ("rank(y) ~ round(x, 1) + (1 | s)", "sim", {}),
    ("y ~ a:x - 1 + (0 + a:x | cl)", "sim", {}),
    ("y ~ occ * trt + (1 | school/room/kid)", "nest", {}),
    ("y ~ occ + (occ || school/room)", "nest", {}),
    ("y ~ t * arm + (t | id)", "bal", {}),
    ("y ~ t * arm * sex + age + (t || id)", "bal", {}),
    ("y ~ t + I(t^2) + arm:t + (t + I(t^2) | id)", "bal", {}),
    ("y ~ arm / t + (0 + t | id) + (1 | id)", "bal", {"weights": "age"}),
    ("y ~ t * age + (t | id) + (1 | arm:sex)", "bal", {}),
    ("y ~ x + (x || g)", "tiny", {}),
    ("big ~ x + (1 | g)", "tiny", {}),
    ("small ~ x + (1 | g) + (1 | h)", "tiny", {}),
    ("cog ~ age * trt + (1 | id) + (0 + age | id)", "mlmRev::Early", {}),
    ("cog ~ I(age - 1) * trt + (I(age - 1) | id)", "mlmRev::Early", {}),
    ("log(bili) ~ I(day / 365.25) * trt + age + edema + (I(day / 365.25) | id)", "survival::pbcseq",
     {"subset": "id <= 120"}),
    ("Ozone ~ Solar.R + Wind + Temp + (1 | Month)", "datasets::airquality", {}),
    ("Informed.liking ~ Product * Information * Gender + (1 | Product:Consumer) + (1 | Information:Consumer)",
     "lmerTest::ham", {}),
    ("sugpct ~ block + sow + harvest + (1 | block:harvest)", "pbkrtest::beets", {}),
    ("log(Conc) ~ Spc + (1 | Lab/Bat)", "MASS::coop", {}),
    ("glucose ~ Time * Date + (Date | Subject)", "nlme::Glucose2", {}),
    ("MPG.city ~ log(Weight) + Origin + (1 | Manufacturer) + (1 | Type)", "MASS::Cars93", {}),
    ("log(accel) ~ log(distance) + Richter + soil + (1 | Quake)", "nlme::Earthquake", {}),
]  # fmt: skip
