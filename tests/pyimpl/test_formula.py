"""Formulas: parsed, deparsed and expanded as R does, and refused with the place and the fix."""

import time

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import FormulaError
from pyimpl.formula.bars import split_formula
from pyimpl.formula.parse import Call, Name, Num, all_names, deparse, deparse_lines, parse
from pyimpl.formula.terms import FULL, expand_terms
from pyimpl.text.values import format_number
from tests.pyimpl.model_oracle import ask_r
from tests.pyimpl.random_models import random_expression, random_formula, random_mixed_formula

EXPRESSIONS = """
y ~ x+z | y~(x+z)*w | y~-x | y ~ x - 1 | y~ - (x) | y~ I(x^2)+I( -x) | y~a%in%b | y~x^2 | y~`a b`
log(y)~poly(x,2,raw=TRUE) | y~a:b*c | y~factor(x,levels=c('a',"b")) | y~I(-x^2) | y~I((-x)^2) | y~I(x%%2)
y~I(x/2/3) | y~I(x-(2-3)) | ~x | y~I(!x) | y ~ I(2^-1) | y~I(+x) | y~I(x:2)+I(1:3) | y~I(-1:3)+I(-(1:3))
y~I(-x%in%z) | y~I(x^-y) | y~!a==b | y~I(2^3^4)+I((2^3)^4) | y~I(a%o%b) | y~x # c | y~`x`+`if`+`TRUE`
y~a.b+.c+x_1 | y~é | y~I(x)^2 | y~-(-x) | y~- -x | y~!(!x) | y~a %in% b:c | y~(a+b)%in%c
y~I(1e-3*x)+I(2L)+I(1e5)+I(100000)+I(123456)+I(0.1)+I(1e-5)+I(1e15) | y~I(0x10)+I(1e400)+I(.5)+I(5.)+I(1e+05L)
y~1e-300+I(123456789012)+I(1234567890123456789)+I(0.1234567890123456789) | y~I(1/3)+I(1e5L)+I(100L)
y~I("a\\n'b")+I('c"d') | y~I(x%/%2) | y~f(x,"a b"=2) | y~I(a & !b + c) | y~I(a+!b+c) | y~I(!a & b)
y~I(a==b & c<=d) | y~x$y | y~I(-a:b) | y~I(-a^b^c) | y~I(2^-a:b) | y~I(a*-b) | y~I(- - -a) | y ~ (((x)))
y~I(NA)+I(Inf) | y~a-b-c | y~a-(b-c) | y~a/b*c | y~a*b/c | y~a%in%b%in%c | y~a:b:c | y~a:(b:c) | y~I(a-b-(c-d))
y~I((a+b)*c) | y~`a\\`b` | y~I(1e05) | y~I(0.00012)+I(1e-4)+I(0.00001234)+I(1234567)+I(100)+I(1e2)+I(12e10)
""".replace("\n", " | ").split(" | ")
PARSED = [text.strip() for text in EXPRESSIONS if text.strip() and "$" not in text]

TERMS = [
    "y~a%in%b",
    "y~a+b%in%a",
    "y~(a+b)%in%c",
    "y~a*b%in%c",
    "y~a/(b+c)",
    "y~(a+b)/c",
    "y~(a+b+c)^2-a:b",
    "y~a^2",
    "y~(a+b)^2L",
    "y~x+y",
    "y~1+0",
    "y~(1+a)*b",
    "y~(a-b)*b",
    "y~a+b-1-a",
    "y~a:a",
    "y~a+NULL",
    "y~TRUE",
    "y~+a",
    "y~a*offset(z)+b",
    "y~`a b`:c",
    "y~I(`a b`):c",
    "y ~ a/b/c",
    "y~a %in% b %in% c",
    "y~b:a+a",
    "y~-1-a+b",
    "y~a-(b+1)",
    "y~a-0",
    "~a+b",
    "y~a+(b+c:d)",
    "y~(0+a)+b",
    "y~ a - (a - b)",
    "y~ - (a-1)",
    "y~0+1",
    "y~a-1+1",
    "y ~ a + b:offset(z)",
    "y~!a",
    "y~a==b",
    "y~-a",
    "y ~ 1 %in% a",
    "y~a%in%1",
    "y~(a+b)%in%(c+d)",
    "y~a:(b%in%c)",
    "y~a*b+b%in%a",
    "y~a %in% b - a:b",
    "y ~ a + 0L",
    "y~1L",
    "y~a %in% b + a:b",
    "y~1*f",
    "y~1/f",
    "y~(f-f)*g",
    "y~f*1",
    "y~f/1",
    "y~1:f",
    "y~I(2*x)+I(2L*x)",
    "y~(a+b)^2.5",
    "log(y)~log(y)+x",
    "y~a-(b-1)",
    "y~(a-1)*b",
    "y~(a-1):b",
    "y~a/(b-1)",
    "y~a-(0+b)",
    "y~a:b:c+a+b:c",
    "y~c*b*a-b",
    "y~(a+b+c+d)^3-a:b:c-d",
    "y~a/b-a",
    "y~a*b-1",
    "y~0+a:b",
    "y~a:b+0",
    "y~FALSE",
    "y~a-TRUE",
]
DOTS = ["y~.", "log(y)~.", "y~.^2", "y~.-x", "y+z~.", "y~.+log(x)", "y~.:x", "~.", "y~z+."]


@pytest.fixture(scope="module")
def answers():
    """One R process for every case of this file: kind -> list of (case, answer)."""
    rng = np.random.default_rng(20260349)
    plain = [random_formula(rng) for _ in range(150)]
    mixed = [random_mixed_formula(rng) for _ in range(50)]
    long = [f"y ~ {' + '.join(random_expression(rng, 3) for _ in range(4))}" for _ in range(60)]
    frame = pd.DataFrame({"y": [1.0], "x": [2.0], "z": [3.0], "a b": [4.0]})
    cases = [{"kind": "parse", "formula": text} for text in PARSED + plain + mixed + long]
    cases += [{"kind": "terms", "formula": text} for text in TERMS + plain]
    cases += [{"kind": "terms", "formula": text, "frame": 0} for text in DOTS]
    got, numbers = ask_r([frame], cases)
    return list(zip(cases, got, strict=True)), numbers, list(frame.columns)


@pytest.mark.r
def test_deparse_is_rs(answers):
    checked = 0
    for case, answer in answers[0]:
        if case["kind"] == "parse":
            assert "error" not in answer, case
            assert deparse(parse(case["formula"])) == answer["text"]
            checked += 1
    assert checked >= 250


@pytest.mark.r
def test_long_formulas_break_where_r_breaks_them(answers):
    long = 0
    for case, answer in answers[0]:
        if case["kind"] == "parse":
            assert deparse_lines(parse(case["formula"])) == answer["lines"]
            long += len(answer["lines"]) > 1
    assert long > 20


@pytest.mark.r
def test_deparse_of_a_deparsed_formula_is_itself(answers):
    for case, answer in answers[0]:
        if case["kind"] == "parse":
            assert deparse(parse(answer["text"])) == answer["text"]


@pytest.mark.r
def test_terms_are_rs(answers):
    pairs, numbers, columns = answers
    checked = 0
    for case, answer in pairs:
        if case["kind"] != "terms":
            continue
        where = columns if "frame" in case else None
        if "error" in answer:
            with pytest.raises(FormulaError):
                expand_terms(parse(case["formula"]), where)
            continue
        terms = expand_terms(parse(case["formula"]), where)
        assert list(terms.labels) == answer["labels"], case
        assert terms.intercept == bool(answer["intercept"]), case
        assert terms.response + 1 == answer["response"], case
        assert [i + 1 for i in terms.offsets] == (answer["offset"] or []), case
        assert list(terms.names) == answer["variables"], case
        if answer.get("factors"):
            pattern = np.zeros((len(terms.variables), len(terms.terms)))
            for j, term in enumerate(terms.terms):
                pattern[list(term.variables), j] = term.codes
            np.testing.assert_array_equal(pattern, numbers(answer["factors"]), err_msg=case["formula"])
        checked += 1
    assert checked >= 200


def test_tree_of_a_formula():
    assert parse("y ~ x^2") == Call("~", (Name("y"), Call("^", (Name("x"), Num(2.0)))))
    assert parse("y~x\n + z") == parse("y ~ x + z")
    assert all_names(parse("y ~ log(x) + (1 + x | `a b`)")) == ("y", "x", "a b")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e5, "1e+05"),
        (123456, "123456"),
        (0.1 + 0.2, "0.3"),
        (1 / 3, "0.333333333333333"),
        (1e-5, "1e-05"),
        (1e15, "1e+15"),
        (2.0**53, "9007199254740992"),
        (-0.5, "-0.5"),
        (100000.1, "100000.1"),
        (0.0, "0"),
        (1e22, "1e+22"),
    ],
)
def test_numbers_are_written_as_r_does(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("y ~ (a", 6, "too early"),
        ("y ~ a)", 5, "Unexpected ')'"),
        ("y ~ a b", 6, "Unexpected 'b'"),
        ("y ~", 3, "too early"),
        ("y ~ x +* z", 7, "Unexpected '*'"),
        ("y ~ x; z", 5, "second expression"),
        ("y ~ x <- 2", 6, "assignment"),
        ("y ~ d$x", 5, "extraction"),
        ("y ~ x[1]", 5, "extraction"),
        ("y ~ stats::poly(x)", 9, "name-space"),
        ("y ~ 'a", 4, "unclosed"),
        ("y ~ _x", 4, "cannot start with '_'"),
        ("y ~ if", 4, "reserved word"),
        ("y ~ I(a < b < c)", 12, "chain"),
        ("y ~ f(x,)", 8, "empty"),
        ("y ~ f(,x)", 6, "empty"),
        ("y ~ 2i", 4, "Complex"),
        ("y ~ (x)(z)", 7, "not a function"),
        ("y ~ ``", 4, "empty"),
        ("y ~ {x}", 4, "block"),
        ("y ~ x ? z", 6, "help"),
    ],
)
def test_malformed_formulas_show_the_place(text, place, word):
    with pytest.raises(FormulaError) as caught:
        parse(text)
    lines = str(caught.value).split("\n")
    assert word in lines[0]
    assert lines[1] == f"  {text}"
    assert lines[2] == "  " + " " * place + "^"
    assert lines[3]  # the fix


def test_an_error_on_a_later_line_shows_that_line():
    with pytest.raises(FormulaError) as caught:
        parse("y ~ x +\n  (z")
    assert str(caught.value).split("\n")[1] == "    (z"


@pytest.mark.parametrize("text", ["", "   ", "(" * 300 + "x" + ")" * 300])
def test_odd_texts_are_refused(text):
    with pytest.raises(FormulaError):
        parse(text)


def test_a_formula_must_be_a_string():
    with pytest.raises(FormulaError, match="must be a string"):
        parse(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x + z", "'~'"),
        ("y ~ x ~ z", "more than one '~'"),
        ("y ~ 2 + x", "cannot stand as a term"),
        ("y ~ 'a'", "cannot stand as a term"),
        ("y ~ (a + b)^1", "Invalid power"),
        ("y ~ (a + b)^k", "Invalid power"),
        ("y ~ .", "there is no data frame"),
    ],
)
def test_terms_refuses(text, message):
    with pytest.raises(FormulaError, match=message):
        expand_terms(parse(text))


@pytest.mark.parametrize(
    ("text", "fixed", "bars"),
    [
        ("y ~ x + (1 | g)", "y ~ x", ["1 | g"]),
        ("y ~ (1 | g) - 1", "y ~ 1", ["1 | g"]),  # lme4 keeps the other side of the operator alone
        ("y ~ -1 + (1 | g)", "y ~ -1", ["1 | g"]),
        ("y ~ x + 1 | g", "y ~ 1", ["x + 1 | g"]),
        ("y ~ x * (1 | g)", "y ~ x", ["1 | g"]),
        ("y ~ (1 | a/b/c)", "y ~ 1", ["1 | c:b:a", "1 | b:a", "1 | a"]),
        ("y ~ (x || g)", "y ~ 1", ["1 | g", "0 + x | g"]),
        ("y ~ (0 + x || g)", "y ~ 1", ["0 + x | g"]),
        ("y ~ ((1 | g) + (x | h))", "y ~ 1", ["1 | g", "x | h"]),
    ],
)
def test_bars_are_taken_out_as_lme4_does(text, fixed, bars):
    mixed = split_formula(parse(text))
    assert deparse(mixed.fixed) == fixed
    assert [bar.label for bar in mixed.bars] == bars


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("y ~ x + (1 || g)", "needs a slope"),
        ("y ~ x + (x || `a b`)", "backticks"),
        ("y ~ I(a | b) + (1 | g)", "inside functions"),
        ("y ~ (1 | factor(a:b)/c)", "cannot be read"),
        ("y ~ diag(x || g)", r"\|\|' inside diag"),
        ("y ~ ar1(0 + t | g, het = TRUE)", "may not have an argument 'het'"),
        ("y ~ cs(x | g, hom = 1)", "hom is TRUE or FALSE"),
        ("~ x + (1 | g)", "no response"),
        ("(1 | g) ~ x", "response"),
        ("y ~ (a | b | c)", "two bars"),
    ],
)
def test_bars_that_lme4_cannot_read_are_refused(text, message):
    with pytest.raises(FormulaError, match=message):
        split_formula(parse(text))


def crossed(count):
    return "*".join(f"v{i}" for i in range(count))


def test_many_terms_take_time_in_proportion():
    began = time.process_time()
    terms = expand_terms(parse(f"y ~ {crossed(14)}"))
    assert len(terms.terms) == 2**14 - 1
    assert time.process_time() - began < 5.0  # each against all took longer by far
    assert not any(FULL in term.codes for term in terms.terms)
    # a term whose smaller ones are not there is coded as it was
    assert expand_terms(parse("y ~ a:b + a:b:c")).terms[1].codes == (FULL, FULL, 1)


@pytest.mark.parametrize(
    "text",
    [
        f"y ~ {crossed(30)} + (1 | g)", "y ~ (" + "+".join(f"v{i}" for i in range(60)) + ")^9 + (1 | g)",
        f"y ~ ({crossed(30)} || g)", f"y ~ (1 | {crossed(30)})",
        "y ~ ({}):({}) + (1 | g)".format(*("+".join(f"{v}{i}" for i in range(400)) for v in "ab")),
    ],
)  # fmt: skip
def test_more_terms_than_anyone_means_are_refused_before_they_are_made(text):
    began = time.process_time()
    with pytest.raises(FormulaError, match="stands for more than 50000 terms"):
        expand_terms(split_formula(parse(text)).fixed)
    assert time.process_time() - began < 5.0
