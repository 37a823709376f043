"""Both readers of formulas under atheris, which looks for texts that reach lines no other has reached.

``uv run --with atheris python -m tests.whole.fuzz_parsers pyimpl -max_total_time=600`` (or ``bridge``): any other error
than the reader's own, or a text that deparses to another formula, stops it and leaves the text in a file.
"""

import contextlib
import sys

import atheris

with atheris.instrument_imports(include=["pyimpl.formula", "pyimpl.text", "bridge.formula", "r_scripts.grammar"]):
    from bridge import formula as bridge_formula
    from bridge.errors import BridgeError
    from pyimpl.errors import PyimplError
    from pyimpl.formula.bars import find_bars
    from pyimpl.formula.parse import Call, deparse, deparse_lines, parse
    from pyimpl.formula.terms import expand_terms

#: Pieces of formulas: half of the texts are made of these, the others are whatever the fuzzer likes.
_PIECES = r"""
y x g h 1 0 2.5 1e3 2L 0x1F ~ + - * / : ^ ** ( ) | || %in% %% & ! == <= , = . TRUE NULL NA # \ ` ' "
I( poly( log( C( ave( FUN us( cs( offset( scale( factor( c( -1 's' `a`
"""
PIECES = (*_PIECES.split(), "`a b`", "\n", "\x1b", "\0")


def text_of(data: bytes) -> str:
    """A text of these bytes: the first says which sort."""
    provider = atheris.FuzzedDataProvider(data)
    if provider.ConsumeBool():
        count = provider.ConsumeIntInRange(0, 40)
        return " ".join(PIECES[provider.ConsumeIntInRange(0, len(PIECES) - 1)] for _ in range(count))
    return provider.ConsumeUnicodeNoSurrogates(200)


def read_by_pyimpl(data: bytes) -> None:
    """Read, written and read again: the same tree, or one of our errors."""
    text = text_of(data)
    try:
        tree = parse(text)
    except PyimplError:
        return
    written = deparse(tree)
    assert deparse(parse(written)) == written, text
    "\n".join(deparse_lines(tree))
    if isinstance(tree, Call) and tree.fn == "~":
        for read in (find_bars, expand_terms):
            with contextlib.suppress(PyimplError):
                read(tree.args[-1])


def read_by_the_bridge(data: bytes) -> None:
    """Taken apart, or one of our errors; what is let through names only functions of the list."""
    try:
        read = bridge_formula.parse(text_of(data))
    except BridgeError:
        return
    assert set(read.functions) <= bridge_formula.FUNCTIONS | {"us", "diag", "cs", "ar1"}, read.text


if __name__ == "__main__":
    target = {"pyimpl": read_by_pyimpl, "bridge": read_by_the_bridge}[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
