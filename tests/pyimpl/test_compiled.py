"""Kernels: machine code only for arguments of the declared kinds, rebuilt where sources change, the same numbers."""

import importlib
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pyimpl
from pyimpl import compiled, precompile
from pyimpl.compiled import GROUPS, Kernel, Signature
from pyimpl.linalg.dqrdc2 import end_products

KERNELS = [
    value
    for modules in GROUPS.values()
    for module in modules
    for value in vars(importlib.import_module(module)).values()
    if isinstance(value, Kernel) and value.__module__ == module
]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("f", (1.5,)),
        ("f", (np.float64(1.5),)),
        ("i b", (3, True)),
        ("f1 i2", (np.zeros(3), np.zeros((2, 2), dtype=np.int64))),
        ("w1 b1", (np.zeros(3, dtype=np.int32), np.zeros(2, dtype=bool))),
        ("(f1 (i f2)) f", ((np.zeros(1), (2, np.zeros((1, 1)))), 0.0)),
        ("f1", (np.frombuffer(bytes(24)),)),
        ("f2", (pickle.loads(pickle.dumps(np.zeros((2, 2)))),)),
    ],
)
def test_arguments_of_the_declared_kinds_are_admitted(text, values):
    assert Signature(text).admits(values)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("f", (1,)),
        ("i", (1.0,)),
        ("i", (True,)),
        ("f", (None,)),
        ("f f", (1.0,)),
        ("f1", ([1.0],)),
        ("f1", (np.zeros(3, dtype=np.float32),)),
        ("f1", (np.zeros(3, dtype=">f8"),)),
        ("i1", (np.zeros(3),)),
        ("f1", (np.zeros((3, 1)),)),
        ("f1", (np.frombuffer(bytes(25), offset=1),)),
        ("f1", (np.zeros(6)[::2],)),
        ("f2", (np.asfortranarray(np.ones((2, 3))),)),
        ("f2", (np.ma.masked_array(np.ones((2, 3))),)),
        ("(f1)", (np.zeros(3),)),
        ("(f1)", ((np.zeros(3), 1.0),)),
        ("(f1 i)", ((np.zeros(3), 1.0),)),
        ("(f1)", ([np.zeros(3)],)),
    ],
)
def test_anything_else_is_not(text, values):
    assert not Signature(text).admits(values)


@pytest.mark.parametrize("text", ["g", "f9", "f 1", "(f", "f)", "x1"])
def test_a_signature_that_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match=r"no kind of argument|not closed"):
        Signature(text)


def test_every_module_with_kernels_belongs_to_a_group():
    package = Path(pyimpl.__file__).parent
    found = {
        ".".join(["pyimpl", *path.relative_to(package).with_suffix("").parts])
        for path in package.rglob("*.py")
        if re.search(r"^@kernel\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == {module for modules in GROUPS.values() for module in modules}


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.exported_name)
def test_a_kernel_calls_only_kernels_that_its_group_looks_at(kernel):
    # else a change there would leave old machine code here
    (group,) = (group for group, modules in GROUPS.items() if kernel.__module__ in modules)
    scope = kernel.function.__globals__
    called = [scope[name] for name in kernel.function.__code__.co_names if isinstance(scope.get(name), Kernel)]
    assert {other.__module__ for other in called} <= set(compiled.modules_inside(group))


@pytest.mark.parametrize("kernel", [k for k in KERNELS if k.signature], ids=lambda kernel: kernel.exported_name)
def test_a_signature_has_a_word_for_each_argument(kernel):
    assert len(kernel.signature.arguments) == kernel.function.__code__.co_argcount


def test_array_in_another_order_gives_the_same_result(monkeypatch):
    monkeypatch.setattr(compiled, "_STRICT", False)
    A = np.array([[4.0, 0.0, 0.0], [2.0, 3.0, 0.0], [1.0, 0.5, 2.0]])
    np.testing.assert_array_equal(end_products(np.asfortranarray(A)), end_products(A))


def test_tests_hear_of_arguments_that_machine_code_is_not_given(monkeypatch):
    monkeypatch.setattr(compiled, "_STRICT", True)
    with pytest.raises(TypeError, match=r"end_products.*f2\[not contiguous\] are not f2"):
        end_products(np.asfortranarray(np.eye(2)))


def test_kernels_can_be_pickled():
    assert pickle.loads(pickle.dumps(end_products)) is end_products


def test_other_sources_are_another_extension_module(monkeypatch, tmp_path):
    source = tmp_path / "kernels.py"
    source.write_text("x = 1")
    monkeypatch.setattr(compiled, "sources", lambda group: [source])
    first = compiled.extension_stem("sparse")
    os.utime(source, (1, 1))  # a copy, a checkout: the same source
    assert compiled.extension_stem("sparse") == first
    source.write_text("x = 2")
    assert compiled.extension_stem("sparse") != first


def _damaged(code):
    """Ways in which a file's content may be another than what was written."""
    flipped = bytearray(code)
    flipped[len(code) // 3 : len(code) // 3 + 64] = bytes(255 - byte for byte in flipped[len(code) // 3 :][:64])
    return {
        "empty": b"", "half": code[: len(code) // 2], "end cut": code[:-1], "longer": code + b"x",
        "zeros": bytes(len(code)), "flipped": bytes(flipped),
    }  # fmt: skip


def test_damaged_machine_code_is_noticed_before_it_is_loaded(monkeypatch, tmp_path):
    code = os.urandom(10_000)
    monkeypatch.setattr(compiled, "folders", lambda: [tmp_path, tmp_path / "none"])
    path = tmp_path / compiled.finished_name("sparse", code)
    path.write_bytes(code)
    assert compiled.find_extension("sparse") == (path, [])
    before = path.stat()
    assert compiled.intact(path)  # by its time of change, without being read
    for what, content in _damaged(code).items():
        path.write_bytes(content)
        assert compiled.find_extension("sparse") == (None, [path]), what
        assert precompile.missing() == list(GROUPS), what
        path.write_bytes(code)
        assert compiled.intact(path), what
        assert path.stat().st_mtime_ns == before.st_mtime_ns
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert compiled.find_extension("sparse") == (None, [path])
    path.unlink()
    path.mkdir()
    assert compiled.find_extension("sparse") == (None, [path])
    path.rmdir()
    assert compiled.find_extension("sparse") == (None, [])


def test_damage_is_named_and_numba_takes_over(monkeypatch, tmp_path):
    monkeypatch.delenv("MLMPARITY_JIT", raising=False)
    monkeypatch.setattr(compiled, "folders", lambda: [tmp_path])
    (tmp_path / compiled.finished_name("sparse", b"cut")).write_bytes(b"cu")
    with pytest.warns(pyimpl.errors.PyimplWarning, match=r"damaged.*not what was written.*-m pyimpl\.precompile"):
        assert compiled._extension.__wrapped__("sparse") is None
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / compiled.finished_name("sparse", b"no library")).write_bytes(b"no library")
    with pytest.warns(pyimpl.errors.PyimplWarning, match="damaged"):
        assert compiled._extension.__wrapped__("sparse") is None


_FITS = """
import json, sys, warnings
import numpy as np, pandas as pd
from pyimpl import lmer, stan_lmer
warnings.simplefilter("ignore")
rng = np.random.default_rng(5)
g, h = np.repeat(np.arange(9), 8), np.tile(np.arange(6), 12)
x = rng.normal(size=72)
y = x + rng.normal(size=9)[g] + rng.normal(size=6)[h] + rng.normal(size=72)
data = pd.DataFrame({"y": y, "x": x, "g": g.astype(str), "h": h.astype(str)})
out = []
for formula in ("y ~ x + (1 | g)", "y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | h)"):
    fit = lmer(formula, data)
    again = fit.refit(y + 0.1 * x)
    out += [fit.deviance(), *fit.getME("theta"), *fit.fixef(), again.deviance(), *again.ranef()["g"].iloc[:, 0]]
light = sorted({"numba", "llvmlite", "scipy.stats"} & set(sys.modules))
posterior = stan_lmer("y ~ x + (x | g)", data, seed=1, chains=2, iter=200)
out += [*posterior.fixef(), posterior.diagnostics["min_ess_bulk"]]
print(json.dumps({"light": light, "all": sorted({"numba"} & set(sys.modules)), "numbers": list(map(float, out))}))
"""


def _fits(**environment):
    done = subprocess.run(
        [sys.executable, "-c", _FITS],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow  # numba compiles every kernel in a process of its own: minutes
def test_what_is_compiled_ahead_of_time_needs_no_numba_and_gives_numbas_numbers():
    assert "as they are called" not in precompile.precompile()
    ahead = _fits(MLMPARITY_STRICT_KERNELS="1")
    assert ahead["light"] == []
    assert ahead["all"] == []
    called = _fits(MLMPARITY_JIT="1")
    assert called["light"] == ["llvmlite", "numba"]
    np.testing.assert_allclose(ahead["numbers"], called["numbers"], rtol=1e-9)


def test_without_a_compiler_numba_compiles_what_is_called(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(compiled, "folders", lambda: [tmp_path / "a", tmp_path / "b"])
    monkeypatch.setattr(precompile, "folders", compiled.folders)
    monkeypatch.setattr(precompile, "drop_stale_kernels", lambda: 0)
    fitted = []
    monkeypatch.setattr(precompile, "fit_each_kind", lambda: fitted.append(True))

    class Pool:
        def __init__(self, *arguments):
            raise OSError("command 'cc' failed: No such file or directory")

    monkeypatch.setattr(precompile, "ProcessPoolExecutor", Pool)
    said = precompile.precompile()
    assert fitted == [True]
    assert "A C compiler" in said or "a C compiler" in said
    assert "command 'cc' failed" in said
    assert "compiling" in capsys.readouterr().err


@pytest.mark.slow
def test_the_extension_module_is_built_whole_and_older_ones_go(monkeypatch, tmp_path):
    monkeypatch.setattr(precompile, "folders", lambda: [tmp_path, tmp_path / "cache"])
    old = tmp_path / f"pyimpl_sparse_kernels-0123456789abcdef-0123456789abcdef-0{compiled._SUFFIX}"
    old.touch()
    cut = tmp_path / compiled.finished_name("sparse", b"cut")
    cut.write_bytes(b"cu")
    path = precompile.build("sparse", tmp_path)
    assert list(tmp_path.iterdir()) == [path]
    assert compiled.intact(path)
    assert path == tmp_path / compiled.finished_name("sparse", path.read_bytes())
