"""The models that pyimpl's lmer is judged by, and models of all sorts from R's own packages.

Each is (formula, data, further arguments): both languages read the same text. Data are named ``package::name``; a set
that R has to prepare has its R code in :data:`PREPARED`. ``tie`` names texts that print a number which lies exactly
between two roundings (balanced data have such: 1527.5, 24.96875, 159.375), where rounding error decides.
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
    "tied": "within(lme4::Dyestuff, {x <- rep(c(1, 2, 4), 10); x2 <- 2 * x + 1})",
}

#: Of our own choice: odd formulas on data of other subjects.
CHOSEN: list[tuple[str, str, dict[str, Any]]] = [
    ("score ~ Machine + (0 + Machine | Worker)", "nlme::Machines", {}),
    ("score ~ 0 + Machine + (1 | Worker) + (1 | Worker:Machine)", "nlme::Machines", {}),
    ("score ~ Machine - 1 + (1 | Worker/Machine)", "nlme::Machines", {"contrasts": {"Machine": "contr.sum"}}),
    ("distance ~ poly(age, 2) * Sex + (age | Subject)", "nlme::Orthodont", {"tie": ("summary",)}),
    ("distance ~ I(age - 11) * Sex + (I(age - 11) || Subject)", "nlme::Orthodont", {"tie": ("print",)}),
    ("log(distance) ~ log(age) + Sex + (log(age) | Subject)", "nlme::Orthodont", {"subset": "age > 8"}),
    ("travel ~ 1 + (1 | Rail)", "nlme::Rail", {}),
    ("effort ~ Type + (1 | Subject)", "nlme::ergoStool", {"contrasts": {"Type": "contr.helmert"}}),
    ("yield ~ nitro * Variety + (1 | Block/Variety)", "nlme::Oats", {"tie": ("summary",)}),
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
