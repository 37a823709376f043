"""``import mlmparity``: everything by one name, loaded when used; what is in its way is named."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mlmparity
import pyimpl
import validation
from mlmparity import rooms

ROOT = Path(__file__).resolve().parents[2]


def run(program: str, cwd: Path, *, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join(str(place) for place in (path, ROOT) if place is not None)
    return subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": places},
    )  # fmt: skip


def test_every_public_name_of_the_packages_is_there() -> None:
    assert {*pyimpl.__all__, *validation.__all__, "lme4", "rstanarm", "mlmRev"} <= set(mlmparity.__all__)
    for name in mlmparity.__all__:
        assert getattr(mlmparity, name) is not None, name
    assert mlmparity.lmer is pyimpl.lmer
    assert mlmparity.compare is validation.compare
    assert set(mlmparity.__all__) <= set(dir(mlmparity))
    with pytest.raises(AttributeError, match="glmer"):
        mlmparity.glmer  # noqa: B018


def test_a_star_import_gives_them_all() -> None:
    found: dict[str, object] = {}
    exec("from mlmparity import *", found)
    assert set(mlmparity.__all__) <= set(found)
    assert len(set(mlmparity.__all__)) == len(mlmparity.__all__)


def test_type_checkers_see_the_names_that_are_there(tmp_path: Path) -> None:
    """What mypy takes for public is what is public: names of pyimpl, validation and bridge keep their types."""
    tree = ast.parse(Path(mlmparity.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    named = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names} - {"*"}
    stars = {node.module for node in block.body if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"}
    assert stars == {"pyimpl", "validation"}
    assert named | {"__version__", *pyimpl.__all__, *validation.__all__} == set(mlmparity.__all__)


def test_importing_it_loads_nothing_else(tmp_path: Path) -> None:
    done = run(
        "import sys, mlmparity\n"
        "big = {'numpy', 'pandas', 'scipy', 'pyimpl', 'bridge', 'validation'} & set(sys.modules)\n"
        "assert not big, big\n"
        "mlmparity.lmer('course ~ 1 + (1 | school)', mlmparity.load_dataset('Gcsemv'))\n"
        "big = {'pymc', 'matplotlib', 'rpy2', 'jinja2', 'nutpie', 'pyarrow'} & set(sys.modules)\n"
        "assert not big - {'pyarrow'}, big\n",  # pandas loads pyarrow where it is installed
        tmp_path,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("shadow", "use"),
    [
        ("validation.py", "mlmparity.compare"),
        ("validation/__init__.py", "mlmparity.load_dataset"),
        ("bridge.py", "mlmparity.lme4"),
        ("bridge.py", "mlmparity.compare"),
        ("pyimpl.py", "mlmparity.lmer"),
        ("r_scripts.py", "mlmparity.stan_lmer"),
    ],
)
def test_a_file_in_the_way_is_named_in_one_sentence(shadow: str, use: str, tmp_path: Path) -> None:
    file = tmp_path / shadow
    file.parent.mkdir(exist_ok=True)
    file.write_text("raise SystemExit('the user\\'s own code ran')\n", encoding="utf-8")
    done = run(f"import mlmparity\ntry:\n    {use}\nexcept ImportError as e:\n    print(e)", tmp_path, path=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(file) in done.stdout
    assert "another name" in done.stdout
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("shadow", "use"),
    [
        ("pandas.py", "from mlmparity import lmer"),
        ("numpy/__init__.py", "from mlmparity import load_dataset"),
        ("json.py", "from mlmparity import lmer"),
        ("typer.py", "from mlmparity import compare"),
    ],
)
def test_a_file_in_the_way_of_what_we_import_is_named(shadow: str, use: str, tmp_path: Path) -> None:
    """Python says "cannot import name 'lmer'" where it fails for want of pandas."""
    file = tmp_path / shadow
    file.parent.mkdir(exist_ok=True)
    file.write_text("x = 1\n", encoding="utf-8")
    script = tmp_path / "script.py"
    script.write_text(
        use
        if "typer" not in shadow
        else f"import typer\n{use}\nfrom mlmparity.rooms import load\nload('validation.cli')"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    last = done.stderr.splitlines()[-1]
    assert last.startswith("mlmparity.rooms.ShadowedPackageError: mlmparity's module")
    assert f"Python finds {file} where a module {shadow.split('.')[0].split('/')[0]!r} of another's is needed" in last


def test_a_module_that_cannot_be_imported_is_no_missing_name(tmp_path: Path) -> None:
    done = run("import pandas; del pandas.DataFrame\nfrom mlmparity import lmer", tmp_path)
    assert "mlmparity's module 'pyimpl' cannot be imported: " in done.stderr.splitlines()[-1]
    assert "DataFrame" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("package", ["mlmparity", "pyimpl", "bridge", "validation", "setup"])
def test_a_python_that_is_too_old_is_told_so(package: str, tmp_path: Path) -> None:
    code = f"import sys; sys.version_info = (3, 10, 2, 'final', 0); sys.path.insert(0, {str(ROOT)!r}); import {package}"
    done = run(code, tmp_path)
    assert "mlmparity needs Python 3.11 to 3.14; this is 3.10" in done.stderr.splitlines()[-1]
    assert package != "setup" or len(done.stderr.splitlines()) == 1  # what pip prints is its own lines and this one


def test_a_module_in_the_way_that_is_loaded_already_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "validation.py").write_text("mine = 1\n", encoding="utf-8")
    done = run("import validation, mlmparity\nmlmparity.compare", tmp_path, path=tmp_path)
    assert "ShadowedPackageError" in done.stderr
    # what needs no judge is not touched by it
    assert run("import validation, mlmparity\nmlmparity.lmer", tmp_path, path=tmp_path).returncode == 0


def test_a_package_that_is_missing_is_said() -> None:
    with pytest.raises(rooms.ShadowedPackageError, match="not installed beside it"):
        rooms.check("mlmparity_of_nobody")


def test_the_command_says_what_is_in_its_way_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "bridge.py").write_text("", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mlmparity", "cases"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: mlmparity has a package named 'bridge'")


_SCRIPT = "import sys; sys.argv[0] = '/bin/mlmparity'; from mlmparity.command import main; main(['cases'])"


@pytest.mark.parametrize("place", [None, "", ".", "../here"])
@pytest.mark.parametrize("start", [["-m", "mlmparity", "cases"], ["-P", "-c", _SCRIPT]])
def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, start: list[str], place: str | None) -> None:
    """Nor where PYTHONPATH has it but does not name it. Our packages lie below it, as those of a project's .venv do."""
    here, packages = tmp_path / "here", tmp_path / "here" / ".venv"
    packages.mkdir(parents=True)
    for name in ("mlmparity", "bridge", "pyimpl", "r_scripts", "validation"):
        (packages / name).symlink_to(ROOT / name)
    for name in ("typing", "json", "typer", "rich", "numpy", "pandas", "yaml", "r_scripts", "bridge", "validation"):
        (here / f"{name}.py").write_text("print('canary')\nraise SystemExit(7)\n", encoding="utf-8")
    named = [str(packages)] if place is None else [place, str(packages)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(named)}
    done = subprocess.run(
        [sys.executable, *start], cwd=here, capture_output=True, text=True, timeout=120, env=env, check=False
    )
    assert "canary" not in done.stdout
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr


def test_the_command_says_that_nothing_was_compiled_without_a_traceback(tmp_path: Path) -> None:
    for name in ("mlmparity", "bridge", "pyimpl", "r_scripts", "validation"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("data", "*.so", "compiled.*.json"))
    done = subprocess.run(
        [sys.executable, "-m", "mlmparity", "doctor"], cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: pyimpl's compiled modules: they were not built for this Python")
    assert done.stderr.count("\n") == 1


def test_a_project_with_its_own_validation_package_can_run_its_tests(tmp_path: Path) -> None:
    (tmp_path / "validation.py").write_text("def valid(): return True\n", encoding="utf-8")
    (tmp_path / "test_mine.py").write_text(
        "import validation\ndef test_it(): assert validation.valid()\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:mlmparity", "-p", "mlmparity.pytest_plugin", "test_mine.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "plugin is off" in done.stdout


def test_data_sets_come_without_r() -> None:
    data = mlmparity.load_dataset("Gcsemv")
    assert data.shape == (1905, 5)
    assert data.attrs["name"] == "Gcsemv"
    assert list(data["gender"].cat.categories) == ["F", "M"]
    for name in mlmparity.dataset_names():
        assert len(mlmparity.load_dataset(name)) > 10
    with pytest.raises(LookupError, match=r"did you mean 'Gcsemv'.*sleepstudy"):
        mlmparity.load_dataset("gcsemv")
    with pytest.raises(LookupError, match="no data set"):
        mlmparity.load_dataset("../../etc/passwd")
