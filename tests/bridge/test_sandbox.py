"""The third wall alone: raw R code in the worker, against the kernel. Nothing is imported from the current folder."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge import sandbox
from bridge.errors import BridgeError
from bridge.rhome import safe_path
from bridge.session import Session

HELD = sandbox.status()
needs_kernel = pytest.mark.skipif(not HELD.holds, reason=f"this system does not offer it: {HELD}")

RAW = "raw_code <- function(code) { value <- eval(parse(text = code), globalenv()); as.character(value)[1L] }\n"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A function that runs any R code in a worker: walls 1 and 2 are passed by."""
    script = tmp_path_factory.mktemp("raw") / "raw.R"
    script.write_text(RAW)
    with Session(scripts=[script]) as r:

        def run(code: str) -> None:
            # refused, or without a value: what counts is what was done
            with contextlib.suppress(BridgeError):
                r.call("raw_code", code=code)

        run.session = r  # type: ignore[attr-defined]
        yield run


@pytest.fixture
def victims(tmp_path):
    """Files and folders that must stay as they are."""
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_text("precious")
    (tmp_path / "file").chmod(0o640)
    os.utime(tmp_path / "file", (1, 1))
    return tmp_path


def picture(folder: Path) -> list[tuple]:
    """All that is there: names, contents, modes and times."""
    return sorted(
        (
            str(path),
            path.lstat().st_mode,
            path.lstat().st_mtime_ns if path.is_file() else 0,
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
        )
        for path in folder.rglob("*")
    )


ATTACKS = [
    "system('touch %/canary')",
    "system2('touch', '%/canary')",
    "system('touch %/canary', wait = FALSE)",
    "pipe('touch %/canary', 'w') |> close()",
    "cat('x', file = '|touch %/canary')",
    "readLines(pipe('touch %/canary'))",
    "shell <- get('sys' |> paste0('tem')); shell('touch %/canary')",
    "parallel::mcparallel(system('touch %/canary')) |> parallel::mccollect()",
    "parallel::mclapply(1:2, function(i) file.create('%/canary'), mc.cores = 2)",
    "file.create('%/canary')",
    "writeLines('x', '%/canary')",
    "writeLines('x', '%/file')",
    "cat('x', file = '%/file', append = TRUE)",
    "saveRDS(1, '%/canary')",
    "close(file('%/file', 'w'))",
    "close(gzfile('%/canary', 'w'))",
    "file.remove('%/file')",
    "unlink('%/folder', recursive = TRUE, force = TRUE)",
    "file.rename('%/file', '%/other')",
    "file.rename('%/file', tempfile())",
    "file.copy('%/file', '%/copy')",
    "file.copy('/etc/hostname', '%/file', overwrite = TRUE)",
    "file.symlink('/etc/hostname', '%/link')",
    "file.link('%/file', '%/link')",
    "file.append('%/file', '%/folder/inner')",
    "dir.create('%/made')",
    "Sys.chmod('%/file', '777')",
    "Sys.setFileTime('%/file', Sys.time())",
    "pdf('%/canary.pdf'); dev.off()",
    "setwd('%'); pdf(); plot(1); dev.off()",
    "sink('%/canary'); print(1); sink()",
    "dump('raw_code', '%/canary')",
    "download.file('file:///etc/hostname', '%/canary')",
    "utils::zip('%/canary.zip', '%/file')",
    "utils::tar('%/canary.tar', '%/file')",
    "utils::untar('%/file', exdir = '%')",
    "local({ f <- fifo('%/canary', 'w'); close(f) })",
    "{ link <- tempfile(); file.symlink('%', link); file.create(file.path(link, 'canary')) }",
    "{ link <- tempfile(); file.symlink('%/file', link); writeLines('x', link) }",
    "{ s <- tempfile(); writeLines('#!/bin/sh\\ntouch %/canary', s); Sys.chmod(s, '755'); system(s) }",
    "{ Sys.setenv(R_HOME = tempdir()); install.packages('x', lib = '%', repos = NULL) }",
    "base::quit(save = 'yes')",
    "Rprof('%/canary'); Rprof(NULL)",
    "local({ load <- dyn.load; load('%/file') })",
    "utils::edit(1, editor = 'touch %/canary #')",
    "browseURL('x', browser = 'touch %/canary #')",
    "options(pager = 'touch %/canary #'); file.show('%/file')",
    "socketConnection(port = 9, server = TRUE, timeout = 1)",
]


@pytest.mark.r
@needs_kernel
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_gets_out(raw, victims, attack):
    before = picture(victims)
    raw(attack.replace("%", str(victims)))
    assert picture(victims) == before


@pytest.mark.r
@needs_kernel
def test_the_scratch_folder_can_be_written_to(raw):
    session = raw.session
    assert session.information["sandbox"]["programs"]
    assert session.information["sandbox"]["files"]
    code = (
        "{ f <- tempfile(); writeLines('a', f); g <- tempfile(); file.rename(f, g); d <- tempfile(); dir.create(d);"
        " file.copy(g, d); unlink(d, recursive = TRUE); pdf(); plot(1); dev.off(); readLines(g) }"
    )
    assert session.call("raw_code", code=code).value == ["a"]


@pytest.mark.r
def test_the_attacks_do_work_without_it(victims, tmp_path_factory):
    """A canary that cannot die tells nothing: without the sandbox most of these leave a trace."""
    script = tmp_path_factory.mktemp("raw") / "raw.R"
    script.write_text(RAW)
    with Session(sandbox=False, scripts=[script]) as r:
        assert r.information["sandbox"]["detail"] == "switched off"
        for attack in ("system('touch %/canary')", "file.remove('%/file')", "Sys.chmod('%/folder/inner', '777')"):
            before = picture(victims)
            r.call("raw_code", code=attack.replace("%", str(victims)))
            assert picture(victims) != before


@pytest.mark.r
def test_it_is_switched_off_by_the_environment(monkeypatch):
    monkeypatch.setenv("MLMPARITY_SANDBOX", "off")
    assert not sandbox.wanted()
    with Session() as r:
        assert r.information["sandbox"]["detail"] == "switched off"
    monkeypatch.setenv("MLMPARITY_SANDBOX", "on")
    assert sandbox.wanted()


@pytest.mark.parametrize("abi", [0, 1, 2, 3, 5, 7])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_well_formed_on_every_kernel(machine, abi):
    """Every jump stays inside, and every path ends in a return."""
    program = list(sandbox._filter(sandbox._MACHINES[machine], abi))
    assert len(program) < 4096
    assert program[-1][0] == sandbox._RETURN
    for place, (code, true, false, _) in enumerate(program):
        if code & 0x07 == 0x05:
            assert place + 1 + max(true, false) < len(program)


def test_an_old_kernel_still_refuses_to_empty_files(tmp_path):
    """Landlock before its third version did not know truncation: the filter refuses it."""
    if not HELD.holds:
        pytest.skip(str(HELD))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    code = (
        "import json, os, sys; sys.path[:] = json.loads(sys.argv[1]); from bridge import sandbox\n"
        "sandbox._landlock_abi = lambda libc: 2\n"
        "os.mkdir(sys.argv[2] + '/s'); held = sandbox.restrict(sys.argv[2] + '/s'); assert held.holds, held\n"
        "for flags in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY):\n"
        "    try: os.open(sys.argv[2] + '/victim', flags | os.O_TRUNC); print('emptied')\n"
        "    except PermissionError: pass\n"
        "try: os.truncate(sys.argv[2] + '/victim', 0); print('emptied')\n"
        "except PermissionError: print('held')\n"
        "open(sys.argv[2] + '/s/x', 'w').write('y'); os.open(sys.argv[2] + '/s/x', os.O_RDWR | os.O_TRUNC)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(safe_path()), str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "held\n", done.stderr
    assert victim.read_text() == "precious"


def test_where_there_is_none_it_says_so(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    held = sandbox.restrict("/nowhere")
    assert not held.holds
    assert "neither Landlock nor seccomp" in str(held)


# -- the current folder ------------------------------------------------------------------------------------------------

MODULES = ("json", "rpy2", "numpy", "bridge_canary", "tempfile", "queue", "cffi", "sitecustomize", "usercustomize")


@pytest.fixture
def trap(tmp_path):
    """A folder in which every module and program that our processes use lies, and says so when it runs."""
    for name in MODULES:
        says = f"open({str(tmp_path / 'canary')!r}, 'a').write({name!r})\nraise ImportError\n"
        (tmp_path / f"{name}.py").write_text(says)
    for name in ("R", "Rscript", "uname", "cc", "gcc", "sed", "sh"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/canary\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".Rprofile").write_text(f"file.create('{tmp_path}/canary')\n")
    (tmp_path / ".Renviron").write_text(f"R_LIBS={tmp_path}\nCANARY=1\n")
    return tmp_path


@pytest.mark.r
@pytest.mark.parametrize("how", ["script", "doctor", "status"])
def test_nothing_is_imported_or_run_from_the_current_folder(trap, tmp_path_factory, how):
    script = tmp_path_factory.mktemp("elsewhere") / "script.py"
    script.write_text(
        {
            "script": "from bridge import session; print(session.default().information['R'])",
            "doctor": "from bridge.doctor import examine; print(examine()['rpy2'])",
            "status": "from bridge import sandbox; print(sandbox.status())",
        }[how]
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    env["PATH"] = os.pathsep.join([".", "", env["PATH"]])  # both mean the current folder
    env |= dict.fromkeys(("R_PROFILE", "R_PROFILE_USER", "R_TESTS"), str(trap / ".Rprofile"))
    env |= {"R_DEFAULT_PACKAGES": "NULL", "R_ARCH": "/none", "RHOME": str(trap)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=trap, env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "cannot start R" not in done.stdout
    assert not (trap / "canary").exists(), (trap / "canary").read_text()


@pytest.mark.r
@pytest.mark.parametrize("how", ["doctor", "session", "session, no sandbox"])
def test_the_name_of_the_temporary_folder_is_no_shell_code(tmp_path, how):
    """R ends with `rm -Rf` of its own temporary folder, unquoted: it removed `my` and ran `touch`."""
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "thesis.tex").touch()
    hostile = tmp_path / "my tmp $(touch canary)\n;touch canary;'\""
    hostile.mkdir()
    code = (
        "from bridge.doctor import examine; assert examine().ok"
        if how == "doctor"
        else f"from bridge.session import Session\nwith Session(sandbox={how == 'session'}) as r: r.call('echo', x=1)"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "TMPDIR": str(hostile)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "my" / "thesis.tex").exists()
    assert not list(tmp_path.rglob("canary"))
    assert not list(hostile.iterdir())


def test_no_place_for_a_temporary_folder_is_an_error(monkeypatch, tmp_path):
    from r_scripts import programs

    (tmp_path / "a b").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a b"))
    monkeypatch.setattr(programs, "_OTHERS", (str(tmp_path / "none"), str(tmp_path / "a b")))
    with pytest.raises(OSError, match="a shell, to which R hands it, takes for its own"):
        programs.new_scratch_folder("x-")
    (tmp_path / "none").mkdir()
    assert Path(programs.new_scratch_folder("x-")).parent == tmp_path / "none"


def test_the_path_keeps_what_was_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), ".", "/elsewhere"])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert safe_path()[0] == "/elsewhere"
    assert str(tmp_path) not in safe_path()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert safe_path()[:2] == [str(tmp_path), str(tmp_path)]


def test_of_python_s_places_those_count_that_are_named_outright(monkeypatch, tmp_path):
    from r_scripts.programs import named_places

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", ".", "beside", str(tmp_path), ""]))
    assert named_places() == [str(tmp_path)]
    monkeypatch.delenv("PYTHONPATH")
    assert named_places() == []
