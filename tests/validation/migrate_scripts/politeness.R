# Does politeness change the pitch of a voice? Made-up numbers
library(lme4)
rm(list = ls())
set.seed(42)

subjects <- c(paste0("F", 1:3), paste0("M", 3:5))
politeness <- expand.grid(subject = subjects, scenario = 1:7, attitude = c("inf", "pol"))
politeness$gender <- substr(as.character(politeness$subject), 1, 1)
politeness$frequency <- with(politeness, ifelse(gender == "F", 250, 140) - 20 * (attitude == "pol") +
  rnorm(6, 0, 25)[as.integer(subject)] + rnorm(7, 0, 15)[scenario] + rnorm(nrow(politeness), 0, 25))
politeness$frequency[39] <- NA

head(politeness)
which(is.na(politeness$frequency))
which(!complete.cases(politeness))
boxplot(frequency ~ attitude * gender, col = c("white", "lightgray"), politeness)

politeness.model <- lmer(frequency ~ attitude + (1 | subject) + (1 | scenario), data = politeness)
politeness.model
summary(politeness.model)

politeness.model = lmer(frequency ~ attitude +
                          gender + (1|subject) +
                          (1|scenario), data=politeness)
summary(politeness.model)

# likelihood ratio test
politeness.null = lmer(frequency ~ gender + (1|subject) + (1|scenario), data=politeness, REML=FALSE)
politeness.model = lmer(frequency ~ attitude + gender + (1|subject) + (1|scenario), data=politeness, REML=FALSE)
anova(politeness.null, politeness.model)

x <- anova(politeness.null, politeness.model)
cat(sprintf("chi2(%d) = %.2f, p = %.4f\n", x$Df[2], x$Chisq[2], x[["Pr(>Chisq)"]][2]))

coef(politeness.model)

politeness.model = lmer(frequency ~ attitude + gender + (1+attitude|subject) + (1+attitude|scenario),
                        data=politeness, REML=FALSE)
coef(politeness.model)
if (isSingular(politeness.model)) {
  message("singular: going back to intercepts")
}
round(fixef(politeness.model), 2)
round(coef(summary(politeness.model)), digits = 3)

# influence by hand, leaving one subject out at a time
all.res <- numeric(length(subjects))
for (i in 1:length(subjects)) {
  without <- subset(politeness, subject != subjects[i])
  m <- lmer(frequency ~ attitude + gender + (1 | subject) + (1 | scenario), data = without, REML = FALSE)
  all.res[i] <- fixef(m)[2]
}
all.res
range(all.res)
plot(fitted(politeness.model), residuals(politeness.model))
abline(h = 0)
hist(residuals(politeness.model))
qqnorm(residuals(politeness.model))
