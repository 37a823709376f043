"""A formula is data: what passes, what never reaches R, and the second check inside R."""

import random
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import lme4
from bridge.errors import DataError, FormulaError
from bridge.formula import check_columns, parse, r_symbol
from bridge.session import default
from r_scripts import grammar


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("y ~ x", ("y", "x")),
        ("y ~ 1 + x + (1 | g)", ("y", "x", "g")),
        ("y ~ x + (0 + x || g)", ("y", "x", "g")),
        ("y ~ -1 + x", ("y", "x")),
        ("y~+x", ("y", "x")),
        ("y ~ (1 | a/b) + (1 | a:b)", ("y", "a", "b")),
        ("log(y) ~ poly(x, 2, raw = TRUE) + I(x^2) + I(x**2)", ("y", "x")),
        ("y ~ scale(x) * factor(g) - 1", ("y", "x", "g")),
        ("y ~ `odd name` + (1 | `g 1`)", ("y", "odd name", "g 1")),
        ("y ~ x %in% g", ("y", "x", "g")),
        ("y ~ ns(x, knots = c(1, 2.5e1)) + offset(log(w))", ("y", "x", "w")),
        ('y ~ relevel(g, ref = "a b")', ("y", "g")),
        ("y ~ C(g, contr.sum)", ("y", "g")),
        ("y ~ ave(x, g, FUN = max) + ave(z, max)", ("y", "x", "g", "z", "max")),
        ("y ~ I(x > 3 & z <= 2)", ("y", "x", "z")),
        ("y ~ ä.b_1 + .hidden", ("y", "ä.b_1", ".hidden")),
        ("y ~\n  x +\n  (1 | g)", ("y", "x", "g")),
        ("cbind(a, b) ~ x", ("a", "b", "x")),
    ],
)
def test_accepted(text, names):
    assert parse(text).names == names


def test_dot_and_functions_are_told():
    assert parse("y ~ `.` + (1 | g)").dot  # one symbol to R, which expands it to the columns that it got
    parsed = parse("log(y) ~ . + (1 | g)")
    assert parsed.dot
    assert parsed.functions == ("log",)
    assert parsed.response == "log(y)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('y ~ x + system("ls")', "'system'"),
        ("y ~ x + base::system('ls')", "'::'"),
        ("y ~ x + (function(z) z)(x)", "'function'"),
        ("y ~ x + (\\(z) z)(x)", r"'\\\\'"),
        ("y ~ x; quit()", "';'"),
        ("y ~ {x}", "'{'"),
        ("y ~ x$a", r"'\$'"),
        ("y ~ x@a", "'@'"),
        ("y ~ x[1]", r"'\['"),
        ("y <- z ~ x", "'<-'"),
        ("y ~ I(x <- 3)", "'<-'"),
        ("y ~ I(x -> z)", "'->'"),
        ("y ~ I(x |> log())", r"'\|>'"),
        ("y ~ `system`('ls')", "'system'"),
        ('y ~ "system"("ls")', "string"),
        ("y ~ I('system'('ls'))", "not a function"),
        ("y ~ (I)(x)", r"'\)\('"),
        ("y ~ eval(x)", "'eval'"),
        ("y ~ get('x')", "'get'"),
        ("y ~ sapply(x, system)", "'sapply'"),
        ("y ~ if (x) z", "'if'"),
        ("y ~ x # hidden", "'#'"),
        ("y ~ x ~ z", "one '~'"),
        ("y ~ I(~x)", "'~' inside"),
        ("y + x", "'~'"),
        ("y ~", "right of"),
        ("~ x", "no response"),
        ("y ~ (1 | g", "without '\\)'"),
        ("y ~ 1 | g)", "no '\\('"),
        ("y ~ x z", "operator is missing"),
        ("y ~ x +", "nothing stands"),
        ("y ~ x + * z", "nothing stands"),
        ("y ~ * x", "nothing stands"),
        ("y ~ ()", "empty parentheses"),
        ("y ~ x, z", "','"),
        ("y ~ x = 3", "'='"),
        ("y ~ 'x'", "string"),
        ("y ~ ``", "empty backticks"),
        ("y ~ x ? z", r"'\?'"),
        ("y ~ lgo(x)", "'lgo'"),
        ("y ~ ave(x, g, FUN = log(max))", "R would call it"),
        ("y ~ ave(x, g, `FUN` = 'system')", "R would call it"),
        ("y ~ C(g, 'cat')", "R would call it"),
        ("y ~ C('cat', object = g)", "R would call it"),
        ("y ~ C(g, contr.sum, file = 'x')", "may not have an argument 'file'"),
        ("y ~ C(g, con = 'cat')", "R would call it"),
        ("y ~ C(g, c('cat'))", "only numbers may stand there"),
        ("y ~ C(g, x)", "R would call it"),
        ("y ~ scale(x, center = TRUE, center = FALSE)", "twice"),
        ("y ~ log(x, 2, 3)", "at most 2"),
        ("y ~ factor()", "no argument"),
        ("y ~ log(us(1 | g))", "stands inside no function"),
        ("y ~ us(x)", "around a term"),
        ("y ~ relevel(g, ref = x)", "only constants"),
        ("", "empty"),
        ("y ~ x \x00", "cannot be read"),
    ],
)
def test_refused(text, said):
    with pytest.raises(FormulaError, match=said):
        parse(text)


def test_not_a_string():
    with pytest.raises(FormulaError, match="a formula is a string"):
        parse(3)  # type: ignore[arg-type]


def test_absent_columns_are_named_with_close_matches():
    with pytest.raises(DataError, match=r"'femal' \(did you mean 'female'\?\).*'School' \(did you mean 'school'\?\)"):
        check_columns(parse("course ~ femal + (1 | School)"), ["course", "female", "school"])


@pytest.mark.parametrize("name", ["T", "pi", "c", "letters", "mtcars", "F"])
def test_names_of_base_r_are_not_columns(name):
    with pytest.raises(DataError, match=f"'{name}'"):
        check_columns(parse(f"y ~ {name}"), ["y"])


@pytest.mark.parametrize("name", ["data", "GCSE", "a.b_2", ".x", "größe"])
def test_symbols(name):
    assert r_symbol(name) == name


@pytest.mark.parametrize("name", ["", "1a", "a b", "a-b", "if", "TRUE", "_a", ".2a", "a;b", None, 3])
def test_not_symbols(name):
    with pytest.raises(DataError, match="not a name in R"):
        r_symbol(name)


@given(st.text(alphabet="xyzg~+-*/^:|()`'\"\\;{}[]$@<>=!%&,. \n#1eLé", max_size=30))
def test_any_text_passes_or_is_refused_with_our_error(text):
    try:
        parsed = parse(text)
    except FormulaError:
        return
    assert "\n" not in parsed.text
    assert parsed.text.count("~") >= 1


@pytest.mark.r
@pytest.mark.parametrize(
    "name",
    ["x", "a b", "x+z", "TRUE", "if x", "1", "2e5 a", "..1", "...", "a`b", "_x", "system('t')", "größe 2", "a\\b\nc"],
)
def test_names_are_inert_in_python_and_r_alike(name):
    assert default().call("inert_names", names=[name]).value == [name]  # R gives the user's name back
    inert = grammar.inert(name)
    assert grammar.restored(inert) == name
    assert len(inert) == len(name)
    assert default().call("name_is_inert", name=name, expected=inert).value


@pytest.mark.r
@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('y ~ x + system("touch NAME")', FormulaError),
        ("y ~ x; z ~ x", FormulaError),
        ("(function(x) x)(y) ~ x", FormulaError),
        ("y ~ (I)(x)", FormulaError),
        ("y ~ x$a", FormulaError),
        ("y ~ base::log(x)", FormulaError),
        ("y ~ x[1]", FormulaError),
        ("y ~ `system`('ls')", FormulaError),
        ("y ~ T", DataError),
        ("y ~ pi", DataError),
        ("y ~ x +", FormulaError),
        ("y ~ poly(x, )", FormulaError),
        ("y ~ ave(x, FUN = system)", FormulaError),
        ("y ~ ave(x, y, FUN = 'system')", FormulaError),
        ("y ~ ave(x, y, FUN = c('system'))", FormulaError),
        ("y ~ ave(x, max)", DataError),
        ("y ~ ave(x, y, FUN = sd(x))", FormulaError),
        ("y ~ scale(x, FUN = max)", FormulaError),
        ("y ~ C(x, 'cat')", FormulaError),
        ("y ~ C(x, 'file.remove')", FormulaError),
        ("y ~ C(x, contr.sum, file = '|touch NAME')", FormulaError),
        ("y ~ C('cat', object = x)", FormulaError),
        ("y ~ C(x, how.many = 1, c('cat'))", FormulaError),
        ("y ~ C(x, (y))", FormulaError),
        ("y ~ C(x, contr = as.character(1))", FormulaError),
        ("y ~ `+`(x, )", FormulaError),
        ("y ~ `+`(e1 = x, y)", FormulaError),
        ("y ~ `-`()", FormulaError),
        ("y ~ I(~x)", FormulaError),
        ("y ~ us(x)", FormulaError),
        ("y ~ I(us(1 | x))", FormulaError),
        ("y ~ 2i", FormulaError),
    ],
)
def test_the_second_check_stands_alone(text, error, tmp_path):
    marker = tmp_path / "was-here"
    with pytest.raises(error):
        default().call("check_formula", text=text.replace("NAME", str(marker)), columns=["x", "y"])
    assert not marker.exists()


@pytest.mark.r
@pytest.mark.parametrize(
    "text",
    [
        "y ~ x + (1 | g)",
        "log(y) ~ poly(x, 2, raw = TRUE)",
        "y ~ C(g, contr.sum)",
        "y ~ I(x > 3 & x <= 2) - 1",
        "y ~ ave(x, g, FUN = sd)",
    ],
)
def test_the_second_check_lets_good_formulas_pass(text):
    default().call("check_formula", text=text, columns=["x", "y", "g"])


@pytest.mark.r
@pytest.mark.parametrize(("text", "column"), [("y ~ ave(x, g, FUN = sd)", "sd"), ("y ~ C(g, contr.sum)", "contr.sum")])
def test_a_column_never_stands_for_a_function(text, column):
    with pytest.raises(DataError, match="rename"):
        check_columns(parse(text), ["x", "y", "g", column])
    with pytest.raises(DataError, match="rename"):
        default().call("check_formula", text=text, columns=["x", "y", "g", column])


@pytest.mark.r
def test_a_long_sum_is_read_and_checked():
    text = "y ~ " + " + ".join(f"x{i}" for i in range(1500))
    columns = ["y", *(f"x{i}" for i in range(1500))]
    assert len(parse(text).names) == 1501
    default().call("check_formula", text=text, columns=columns)
    with pytest.raises(FormulaError, match="'system'"):
        default().call("check_formula", text=text.replace("x700", "system(x700)"), columns=columns)


TOKENS = [
    "y", "x", "g", "`a b`", "1", "0", "2.5e1", '"s"', "~", "+", "-", "*", "/", "^", ":", "|", "||", "%in%", "(", ")",
    "(1 | g)", "log(", "I(", "poly(", ", ", "degree = 2", "=", "<", "&", "!", "**", "TRUE", ".", "C(g, contr.sum)",
]  # fmt: skip


ATOMS = st.sampled_from(["y", "x", "g", "`a b`", "1", "0", "2.5e1", ".", "TRUE", "C(g, contr.sum)", "(1 | g)"])
OPERATORS = st.sampled_from([*"+-*/^:|<>&", "||", "%in%", "**", "==", "%%"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, OPERATORS, inner).map(" ".join),
        st.tuples(st.sampled_from(["+", "-", "!"]), inner).map("".join),
        inner.map("({})".format),
        st.tuples(st.sampled_from(["log", "I", "poly", "factor", "system", "eval"]), inner).map(
            lambda t: "{}({})".format(*t)
        ),
        st.tuples(inner, inner).map(lambda t: "interaction({}, {}, drop = TRUE)".format(*t)),
    ),
    max_leaves=8,
)


@pytest.mark.r
@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        EXPRESSIONS,
        st.tuples(EXPRESSIONS, st.sampled_from(TOKENS), EXPRESSIONS).map(" ".join),
        st.lists(st.sampled_from(TOKENS), min_size=1, max_size=6).map(" ".join),
    )
)
def test_what_passes_here_r_can_read(right):
    text = f"y ~ {right}"
    try:
        parsed = parse(text)
    except FormulaError:
        return
    assert "system" not in text
    assert "eval" not in text
    try:
        default().call("check_formula", text=parsed.text, columns=list(parsed.names))
    except FormulaError as error:
        # only R knows the grammar whole: it does not chain comparisons
        if "R cannot read" not in str(error) or not re.search(r"[<>=].*[<>=]", text):
            raise


@pytest.mark.r
@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS)
def test_well_formed_formulas_pass(right):
    if "system" in right or "eval" in right:
        with pytest.raises(FormulaError, match=r"'(system|eval)'"):
            parse(f"y ~ {right}")
    else:
        assert parse(f"y ~ {right}").response == "y"


@pytest.mark.r
def test_a_side_effect_never_reaches_r(tmp_path):
    marker = tmp_path / "was-here"
    data = pd.DataFrame({"y": [1.0, 2, 3, 4], "x": [1.0, 2, 1, 2], "g": ["a", "a", "b", "b"]})
    with pytest.raises(FormulaError, match="'system'"):
        lme4.lmer(f'y ~ x + system("touch {marker}") + (1 | g)', data)
    assert not marker.exists()


@pytest.mark.r
def test_most_of_what_is_well_formed_is_accepted_by_both():
    """Teeth for the tests above, which a reader that refuses everything would pass."""
    rng = random.Random(1)
    calls = (
        "log({})",
        "I({})",
        "poly({}, 2)",
        "factor({}, levels = c(1, 2))",
        "ave({}, g, FUN = mean)",
        "C({}, contr.sum)",
    )

    def expression(depth: int) -> str:
        if depth == 0:
            return rng.choice(["y", "x", "g", "`a b`", "1", "2.5e1"])
        inner = expression(depth - 1)
        chosen = rng.choice(["call", "binary", "bar", "parentheses"])
        if chosen == "call":
            return rng.choice(calls).format(inner)
        if chosen == "binary":
            return f"{inner} {rng.choice('+-*/^:')} {expression(depth - 1)}"
        return f"(1 | {inner})" if chosen == "bar" else f"({inner})"

    texts = [f"y ~ {expression(rng.randrange(4))} + x" for _ in range(300)]
    accepted = 0
    for text in texts:
        parsed = parse(text)
        default().call("check_formula", text=parsed.text, columns=["y", "x", "g", "a b"])
        accepted += 1
    assert accepted == len(texts)
