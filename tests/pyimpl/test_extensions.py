"""Compiled modules: missing, stale or damaged ones are refused with a sentence; both variants give the same numbers."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pyimpl
from pyimpl.build_record import compiled_modules, declarations, record_name
from pyimpl.extensions import CompiledModulesError, problems

PACKAGE = Path(pyimpl.__file__).parent
RECORD = json.loads((PACKAGE / record_name()).read_text())


@pytest.fixture
def package(tmp_path):
    """A copy of what the compiled modules are: record, sources, declarations, machine code."""
    files = [record_name(), *(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.pxd"))]
    files += [path.with_suffix(".py") for path in files[1:]]
    files += [Path(file).relative_to("pyimpl") for entry in RECORD.values() for file in entry["files"]]
    files += ["__init__.py", "extensions.py", "build_record.py", "errors.py", "linalg/__init__.py"]
    for file in dict.fromkeys(files):
        target = tmp_path / "pyimpl" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PACKAGE / file, target)
    return tmp_path / "pyimpl"


def _imported(package, module="pyimpl.linalg.cholesky", **environment):
    """Import a module in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", f"import {module} as m; print(m.__file__)"],
        cwd=package.parent, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def _damages(code):
    flipped = bytearray(code)
    flipped[len(code) // 3 : len(code) // 3 + 64] = bytes(255 - byte for byte in flipped[len(code) // 3 :][:64])
    return {
        "empty": b"", "half": code[: len(code) // 2], "end cut": code[:-1], "longer": code + b"x",
        "zeros": bytes(len(code)), "flipped": bytes(flipped),
    }  # fmt: skip


def test_what_is_here_was_built_from_the_sources_that_are_here():
    assert problems() == []
    assert set(compiled_modules(PACKAGE)) <= set(RECORD)
    assert (
        any("variants" in file for entry in RECORD.values() for file in entry["files"])
        or os.uname().machine != "x86_64"
    )


def test_every_module_that_speaks_cython_has_declarations_and_is_compiled():
    speaks = {
        ".".join(["pyimpl", *path.relative_to(PACKAGE).with_suffix("").parts])
        for path in PACKAGE.rglob("*.py")
        if "\nimport cython\n" in path.read_text(encoding="utf-8")
    }
    assert speaks <= set(compiled_modules(PACKAGE))


@pytest.mark.parametrize("what", ["empty", "half", "end cut", "longer", "zeros", "flipped"])
def test_damage_is_told_before_anything_is_loaded(package, what):
    for file in RECORD["pyimpl.linalg.cholesky"]["files"]:
        path = package.parent / file
        path.write_bytes(_damages(path.read_bytes())[what])
    said = problems(package)
    assert len(said) == len(RECORD["pyimpl.linalg.cholesky"]["files"])
    assert all("damaged" in sentence and "To mend it, " in sentence for sentence in said)
    if what == "zeros":  # loading it would end the process with a signal
        done = _imported(package)
        assert done.returncode == 1, done
        assert "CompiledModulesError: pyimpl's compiled modules" in done.stderr


def test_a_source_that_changed_is_told(package):
    source = package / "linalg" / "cholesky.py"
    os.utime(source, (1, 1))  # a checkout, a copy: the same source
    assert problems(package) == []
    source.write_bytes(source.read_bytes().replace(b"\n", b"\r\n"))
    assert problems(package) == []
    source.write_text(source.read_text() + "\n# changed\n")
    assert {"another source" in sentence for sentence in problems(package)} == {True}
    done = _imported(package)
    assert done.returncode == 1
    assert "pyimpl.linalg.cholesky was compiled from another source" in done.stderr


def test_a_declaration_that_changed_makes_those_modules_stale_that_it_is_compiled_into(package):
    declaration = package / "linalg" / "batch.pxd"
    declaration.write_text(declaration.read_text() + "\n# changed\n")
    stale = {sentence.split(": ")[1].split()[0] for sentence in problems(package)}
    # conditional cimports elimination, whose declarations cimport batch
    assert {"pyimpl.linalg.batch", "pyimpl.linalg.cholesky", "pyimpl.posterior.conditional"} <= stale
    assert stale.isdisjoint({"pyimpl.linalg.columns", "pyimpl.likelihood.engine"})


def test_what_a_module_is_compiled_with_is_found_however_it_is_written(tmp_path):
    (tmp_path / "pyimpl" / "a").mkdir(parents=True)
    sources = {
        "a/one.py": "from cython.cimports.pyimpl.a.two import (\n    f,\n    g,\n)\nfrom pyimpl.a import seven\n",
        "a/one.pxd": "from pyimpl.a cimport three, four as other\n",
        "a/two.pxd": "cimport pyimpl.a.five\n",
        "a/five.pxd": "from pyimpl.a.one cimport h\n",
        **dict.fromkeys(("a/three.pxd", "a/four.pxd", "a/six.pxd", "a/seven.pxd"), ""),
    }
    for name, text in sources.items():
        (tmp_path / "pyimpl" / name).write_text(text)
    found = declarations(tmp_path / "pyimpl", "pyimpl.a.one")
    assert found == [f"pyimpl.a.{name}" for name in ("five", "four", "one", "three", "two")]


def test_a_module_that_was_never_built_does_not_run_as_python(package):
    (package / "linalg" / "new.pxd").write_text("")
    (package / "linalg" / "new.py").write_text("import cython\n")
    assert "pyimpl.linalg.new was never built" in problems(package)[0]
    done = _imported(package, "pyimpl.linalg.new")
    assert "pyimpl.linalg.new was never built" in done.stderr


def test_a_missing_file_is_named(package):
    for file in RECORD["pyimpl.linalg.cholesky"]["files"]:
        (package.parent / file).unlink()
    assert all("cholesky" in sentence and "is not there" in sentence for sentence in problems(package))
    assert "is not there" in _imported(package).stderr


def _entry(**changes):
    entry = {"sources": "", "declarations": [], "files": {"pyimpl/a.so": {"size": 1, "digest": ""}}}
    return json.dumps({"pyimpl.a": {**entry, **changes}})


@pytest.mark.parametrize("place", ["linalg/cholesky.py", "linalg/cholesky.pxd", record_name()])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(package, place):
    (package / place).unlink()
    os.mkfifo(package / place)
    done = _imported(package)  # has a time limit
    assert done.returncode == 1
    assert "CompiledModulesError: pyimpl's compiled modules" in done.stderr


@pytest.mark.parametrize(
    "record",
    [
        None,
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"pyimpl.linalg.cholesky": 1}',
        '{"a": {"sources": ""}}',
        _entry(files={}),
        _entry(files={"pyimpl/a.so\0": {"size": 1, "digest": ""}}),
        _entry(files={"pyimpl/a.so": {"size": True, "digest": ""}}),
        _entry(declarations=[None]),
        _entry(declarations="pyimpl.a"),
    ],
)
def test_without_a_record_that_can_be_read_nothing_is_loaded(package, record):
    path = package / record_name()
    path.unlink() if record is None else path.write_text(record)
    (sentence,) = problems(package)
    assert ("were not built for this Python" if record is None else "cannot be read") in sentence
    done = _imported(package, "pyimpl")
    assert done.returncode == 1
    assert "CompiledModulesError" in done.stderr


def test_the_sentence_says_the_command_of_a_checkout_or_of_an_installation(package):
    (package / record_name()).unlink()
    assert "pip install --force-reinstall --no-deps mlmparity" in problems(package)[0]
    (package.parent / "setup.py").write_text("")
    assert f"pip install --no-deps --editable {package.parent}" in problems(package)[0]
    assert issubclass(CompiledModulesError, ImportError)


def test_every_processor_gets_the_same_numbers(package):
    files = list(RECORD["pyimpl.linalg.cholesky"]["files"])
    every = _imported(package, MLMPARITY_VARIANT="every")
    assert "variants" not in every.stdout, every.stderr
    if len(files) == 1:
        return
    program = (
        "import numpy as np; from pyimpl.linalg.cholesky import cholesky_factor, inverse_of_factored as i\n"
        "A = np.cov(np.random.default_rng(1).normal(size=(40, 90))); cholesky_factor(A); print(i(A).tobytes().hex())"
    )
    out = [
        subprocess.run(
            [sys.executable, "-c", program], cwd=PACKAGE.parent, env={**os.environ, "MLMPARITY_VARIANT": variant},
            capture_output=True, text=True, check=True,
        ).stdout
        for variant in ("every", "")
    ]  # fmt: skip
    assert out[0] == out[1]
    assert np.isfinite(np.frombuffer(bytes.fromhex(out[0].strip()))).all()
