"""pyimpl.text.numbers against live R: thousands of vectors, hundreds of tables, exact text and exact bits."""

import numpy as np
import pandas as pd
import pytest

from pyimpl.text import numbers as rf

VECTORS = r"""
options(width = 80); set.seed(20)
draw <- function() {
  n <- sample(1:6, 1)
  switch(sample(15, 1), rnorm(n), rnorm(n) * 10^sample(-12:12, n, TRUE), round(rnorm(n, 0, 100)),
    runif(n) * 10^sample(-4:6, 1), c(0, rnorm(n)), c(NA, rnorm(n) * 1e5), c(1e-300, runif(n)),
    10^(-5:5)[sample(11, n)], round(runif(n), sample(0:4, 1)), 1e5 * sample(1:9, n, TRUE), c(Inf, -rnorm(n)),
    10^sample(c(-310, 300, -100, -99, -98, 98, 99, 100, 101), 1) * runif(n), 99999.996 + runif(n) / 100,
    round(runif(n) * 10^sample(0:8, n, TRUE), sample(0:5, 1)) + 0.5, c(-0.0, -1e-9 * runif(n)))
}
hex <- function(x) paste(sprintf("%a", x), collapse = ",")
bar <- function(x) paste(x, collapse = "|")
for (i in 1:2000) {
  x <- draw(); d <- sample(c(1:7, 7, 7, 10, 15, 16, 17), 1); nsm <- sample(0:3, 1); r <- sample(-2:6, 1)
  cat(hex(x), d, nsm, r, bar(format(x, digits = d, nsmall = nsm)), hex(round(x, r)), hex(signif(x, d)),
      bar(formatC(x, digits = d, format = "f")), bar(formatC(x, digits = min(d, 15), width = 9)),
      hex(quantile(x, c(0, .25, .33, .5, .75, 1), na.rm = TRUE)), hex(zapsmall(x, d)), sep = "\t")
  cat("\n")
}
"""

TABLES = r"""
options(width = 80); set.seed(21)
hex <- function(x) paste(sprintf("%a", x), collapse = ",")
nm <- function(n, m) replicate(n, paste(sample(letters, sample(1:m, 1), TRUE), collapse = ""))
show <- function(kind, x, rn, cn, d, text)
  cat("@@", kind, "\t", hex(x), "\t", paste(rn, collapse = ","), "\t", paste(cn, collapse = ","), "\t", d, "\n",
      paste(text, collapse = "\n"), "\n", sep = "")
for (i in 1:250) {
  n <- sample(1:6, 1); m <- sample(1:9, 1); d <- sample(c(3, 4, 5, 7), 1)
  x <- matrix(rnorm(n * m) * 10^sample(-3:5, n * m, TRUE), n, m, dimnames = list(make.unique(nm(n, 9)), nm(m, 14)))
  if (runif(1) < .3) x[sample(n * m, 1)] <- NA
  show("matrix", x, rownames(x), colnames(x), d, capture.output(print(x, digits = d)))
  f <- as.data.frame(x)
  show("frame", x, rownames(x), colnames(x), d, capture.output(print(f, digits = d)))
  v <- setNames(x[, 1], rownames(x))
  show("named", v, names(v), "v", d, capture.output(print(v, digits = d)))
  show("plain", x, "", "", d, capture.output(print(as.vector(x), digits = d)))
  y <- cbind(Estimate = rnorm(n) * 10^sample(-4:4, n, TRUE), SE = rexp(n) * 10^sample(-3:1, 1), t = rnorm(n, 0, 5))
  rownames(y) <- rownames(x)
  show("coef", y, rownames(y), colnames(y), d, capture.output(printCoefmat(y, digits = d)))
  z <- cbind(y, "Pr(>|t|)" = pmin(1, 2 * pnorm(-abs(y[, 3] * sample(c(.1, 1, 5), 1)))))
  if (n > 1 && runif(1) < .3) z[1, 4] <- NA
  show("pvals", z, rownames(z), colnames(z), d, capture.output(printCoefmat(z, digits = d)))
}
"""


def _bits(text: str) -> np.ndarray:
    return np.array([np.nan if t.strip() in ("NA", "NaN") else float.fromhex(t) for t in text.split(",")])


@pytest.mark.r
def test_numbers_are_formatted_and_rounded_as_r_does(rscript):
    lines = rscript(VECTORS).splitlines()
    assert len(lines) == 2000
    for line in lines:
        x_, d_, nsmall, r, text, rounded, signif, fixed, general, quantiles, zapped = line.split("\t")
        x, d = _bits(x_), int(d_)
        assert rf.format_num(x, d, int(nsmall)) == text.split("|")
        np.testing.assert_array_equal(rf.r_round(x, int(r)), _bits(rounded))
        np.testing.assert_array_equal(rf.r_signif(x, d), _bits(signif))
        assert rf.formatC(x, d, format="f") == fixed.split("|")
        assert rf.formatC(x, min(d, 15), 9) == general.split("|")
        probs = (0, 0.25, 0.33, 0.5, 0.75, 1)
        np.testing.assert_array_equal(rf.quantile7(x[~np.isnan(x)], probs), _bits(quantiles))
        np.testing.assert_array_equal(rf.zapsmall(x, d), _bits(zapped))


@pytest.mark.r
def test_tables_are_printed_as_r_does(rscript):
    blocks = rscript(TABLES).split("@@")[1:]
    assert len(blocks) == 1500
    for block in blocks:
        head, text = block.rstrip("\n").split("\n", 1)
        kind, x_, rows, cols, digits = head.split("\t")
        values, row_names, col_names, d = _bits(x_), rows.split(","), cols.split(","), int(digits)
        if kind == "named":
            ours = rf.print_vector(values, d, names=row_names)
        elif kind == "plain":
            ours = rf.print_vector(values, d)
        else:
            table = values.reshape((len(row_names), len(col_names)), order="F")
            if kind == "matrix":
                ours = rf.print_matrix(table, row_names, col_names, d)
            elif kind == "frame":
                ours = rf.print_data_frame(pd.DataFrame(table, row_names, col_names), d)
            else:
                ours = rf.print_coefmat(table, row_names, col_names, d)
        assert ours == text, f"{kind} {head}\n--- ours\n{ours}\n--- R\n{text}"


@pytest.mark.r
def test_categories_and_strings_in_data_frames(rscript):
    text = rscript(
        'd <- data.frame(g = factor(c("a", NA, "ccc")), n = c(1L, NA, 30L), s = c("x", "yy", NA), x = c(1.5, NA, 2),'
        " b = c(TRUE, NA, FALSE)); print(d); print(data.frame()); print(d[0, ])"
    )
    frame = pd.DataFrame(
        {
            "g": pd.Categorical(["a", None, "ccc"]),
            "n": pd.array([1, None, 30], dtype="Int64"),
            "s": ["x", "yy", None],
            "x": [1.5, np.nan, 2.0],
            "b": pd.array([True, None, False], dtype="boolean"),
        },
        index=["1", "2", "3"],
    )
    shown = [rf.print_data_frame(f) for f in (frame, pd.DataFrame(), frame.iloc[:0])]
    assert "\n".join(shown) + "\n" == text


@pytest.mark.r
def test_widths_on_a_screen_are_those_of_r(rscript):
    texts = ["", "abc", "ä", "日本", "ｆｕｌｌ", "a\u0301b", "한국어 1", "ø ø", "Ω≈", "ﾊﾝｶｸ", "日本:x^2"]
    theirs = rscript(f"cat(nchar(c({', '.join(map(_quoted, texts))}), 'width'))").split()
    assert [rf.display_width(text) for text in texts] == [int(width) for width in theirs]


def _quoted(text: str) -> str:
    return "'" + "".join(f"\\u{ord(c):04x}" for c in text) + "'"


def test_the_comparison_sees_a_wrong_digit():
    assert rf.format_num([1.23456789], 3) == ["1.23"] != rf.format_num([1.24456789], 3)
    assert rf.r_round(0.15, 1) == 0.1
    assert rf.r_round(2.5) == 2
    assert rf.as_character(1e5) == "1e+05"
    assert rf.as_character(123456.0) == "123456"
