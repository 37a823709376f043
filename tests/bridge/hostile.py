"""Hostile texts: each would run a program, write or delete, if it became code. ``%`` is the canaries' folder."""

__all__ = ["COLUMN_NAMES", "FORMULAS", "NAMES", "OPTIONS", "PARTS", "SPELLS"]

#: R code that leaves a trace.
SPELLS = (
    "system('touch %/canary')",
    'system("touch %/canary")',
    "base::system('touch %/canary')",
    "file.create('%/canary')",
    "file.remove('%/victim')",
    "unlink('%/victim')",
    "writeLines('x', '%/canary')",
    "cat('x', file='|touch %/canary')",
    "eval(parse(text='file.create(\"%/canary\")'))",
    "do.call('file.create', list('%/canary'))",
    "(function() file.create('%/canary'))()",
    "{file.create('%/canary')}",
    "assign('x', file.create('%/canary'))",
    "get('system')('touch %/canary')",
    "match.fun('file.create')('%/canary')",
    "Reduce('file.create', '%/canary')",
    "sapply('%/canary', 'file.create')",
    "outer('%/canary', 1, 'file.create')",
    "quit()",
)

#: Ways in which such code could stand in a formula's right-hand side.
PARTS = (
    "{spell}", "x + {spell}", "I({spell})", "log({spell})", "offset({spell})", "(x | {spell})", "(1 | {spell})",
    "x; {spell}", "x\n{spell}", "x # \n{spell}", "poly(x, {spell})", "ifelse(TRUE, x, {spell})", "-{spell}",
    "factor(x, labels = {spell})", "C(h, {spell})", "ave(x, g, FUN = {spell})", "us(1 | {spell})", "`x`({spell})",
)  # fmt: skip

#: Functions that R would look up by a string or a name.
FORMULAS = tuple(
    f"y ~ {text} + (1 | g)"
    for function in ("cat", "file.remove", "file.create", "system", "unlink", "write", "writeLines", "quit", "eval")
    for text in (
        f"C(h, '{function}')",
        f"C(h, {function})",
        f"C(L, '{function}')",
        f"C(L, c('{function}'))",
        f"C(L, contr = '{function}')",
        f"C(L, `contr` = '{function}')",
        f"C(L, cont = '{function}')",
        f"C('{function}', object = L)",
        f"C(L, (('{function}')))",
        f"C(L, how.many = 1, '{function}')",
        f"C(h, '{function}', file = '|touch %/canary')",
        f"ave(cmd, g, FUN = '{function}')",
        f"ave(cmd, g, FUN = {function})",
        f"ave(cmd, g, `FUN` = '{function}')",
        f"ave(cmd, g, 'FUN' = '{function}')",
        f"ave(cmd, g, FUN = c('{function}'))",
        f"ave(cmd, FUN = as.character('{function}'))",
        f"ave(cmd, g, FUN = ifelse(TRUE, '{function}', 'x'))",
        f"cut(x, '{function}', labels = {function})",
        f"scale(x, center = {function})",
        f"interaction(g, h, sep = {function}('%/canary'))",
        f"quantile(x, probs = {function}(cmd))",
        f"C(L, base = {function}('%/canary'))",
        f"ns(x, knots = {function}('%/canary'))",
        f"bs(x, degree = {function})",
        f"paste(cmd, collapse = {function}('%/canary'))",
        f"cbind(`{function}('%/canary')` = x, x)",
        f"substr(cmd, 1, {function}('%/canary'))",
        f"`{function}`(cmd)",
        f"'{function}'(cmd)",
        f"{function} (cmd)",
    )
)

#: Names of columns that are code where R parses them.
COLUMN_NAMES = (
    *SPELLS,
    *(f"x) + {spell} + (1" for spell in SPELLS[:6]),
    *(f"g) + (1 | {spell}" for spell in SPELLS[:6]),
    *(f"x`; {spell}; `" for spell in SPELLS[:4]),
    *(f"x\n{spell}" for spell in SPELLS[:4]),
    "repeat {}", "repeat T", "while(TRUE) 1", "if (TRUE) quit()", "function(x) x", "x <- 3", "T <- F", "a -> b",
    "...", "..1", ".", "TRUE", "NULL", "NA", "Inf", "1", "1e5", "0x10", "-1", "x+z", "x:z", "x*z", "x|g", "(x|g)",
    "x||g", "I(x)", "`x`", "'x'", '"x"', "\\", "\\x41", "%in%", "$", "@", "x$y", "x@y", "x[1]", "[[", "~", "y~x", "#",
    ";", ",", "=", "x=1", " ", "  x", "_", "_x", "\t", "\r\n", "a\u00a0b", "a\u2028b", "ﬀ(x)", "日本 (x)",
)  # fmt: skip

#: What stands where a name of R's is wanted: data sets, packages, models, data.
NAMES = (
    *SPELLS, "../../../tmp/evil", "/etc/passwd", "x;y", "a b", "", "lme4; quit()", "lme4\n", "lme4::lmer", "`x`",
    "..", ".", "base:::system", "~/.Rprofile", "file:///etc/passwd", "http://localhost/x", "|touch %/canary",
    "$(touch %/canary)", "`touch %/canary`", "x\0y",
)  # fmt: skip

#: What stands where an option of R's verbs is wanted.
OPTIONS = (
    "system",
    "file.remove",
    "quit",
    "eval",
    "function(x) quit()",
    "|touch %/canary",
    "bobyqa; quit()",
    "",
    "base::cat",
)
