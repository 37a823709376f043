"""Files are whole or not there; what stands in the way is said in our words."""

import errno
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from validation.conformance.deviations import DeviationError, read_deviations
from validation.conformance.output import SCHEMA, SCHEMA_VERSION, read_runs
from validation.errors import InputError
from validation.files import FileError, explained, make_folder, plain_name, read_json, write_atomically
from validation.reading import read_data
from validation.references import certified, store


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    write_atomically(path, "old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="the disk is full; the file is as it was"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]


def test_what_stands_in_the_way_is_said(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").touch()
    with pytest.raises(FileError, match="a folder is in its place"):
        write_atomically(tmp_path / "folder", "text")
    for folder in (Path(), Path(".."), Path("/")):
        with pytest.raises(FileError, match="a folder is in its place"):
            write_atomically(folder, "text")
    with pytest.raises(FileError, match="a part of its path is a file"):
        write_atomically(tmp_path / "folder" / "x" / "y.json", "text")
    with pytest.raises(FileError, match="null"):
        write_atomically(tmp_path / "a\0b", "text")
    with pytest.raises(FileError, match="too long"):
        write_atomically(tmp_path / ("x" * 300), "text")


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "target").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "target").read_text() == "kept"
    assert (tmp_path / "link").read_text() == "new"


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "../x", "a/b", "a\\b", "C:x", "nul", "COM1.json", "x.", "a\nb", "é" * 150]
)
def test_names_that_are_none(name):
    with pytest.raises(FileError, match="cannot be the name of a file"):
        plain_name(name)


@pytest.mark.parametrize("name", ["M1-ml", "a b", "é", "console", "x.y", "test_x[1-2]"])
def test_names_that_are_names(name):
    assert plain_name(name) == name


@pytest.mark.parametrize(
    ("number", "why"), [(errno.EROFS, "the file system is read-only"), (errno.EACCES, "may not be written to")]
)
def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch, number, why):
    """As the system says it: root, as which tests may run, is refused by no mode bits."""
    path = tmp_path / "report.json"
    path.write_text("old")

    def refused(*args, **more):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.mkstemp", refused)
    with pytest.raises(FileError, match=why):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]


def test_a_part_that_a_killed_writer_left_is_never_read(tmp_path):
    shutil.copytree(store.DIRECTORY / "cases", tmp_path / "cases")
    before = store.names(tmp_path)
    (tmp_path / "cases" / ".Dyestuff-reml.json.x1y2.part").write_text("{")
    (tmp_path / "cases" / "Dyestuff-reml.json.part").write_text("{")
    assert store.names(tmp_path) == before
    assert store.load("Dyestuff-reml", tmp_path).name == "Dyestuff-reml"


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomically(pipe, "seen")
        assert os.read(reader, 10) == b"seen"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="nobody reads from the pipe"):
        write_atomically(tmp_path / "pipe", "text")
    assert [item.name for item in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs Linux's /proc")
def test_what_the_system_keeps_is_never_replaced(tmp_path):
    """As /dev/stdout and /dev/full are: root could put a file in their place. Here nobody can."""
    with (tmp_path / "redirected").open("w+") as out:
        write_atomically(Path(f"/proc/self/fd/{out.fileno()}"), "seen")
        assert (tmp_path / "redirected").read_text() == "seen"
    with (
        open("/dev/full", "w") as full,
        pytest.raises(FileError, match="disk is full"),
    ):
        write_atomically(Path(f"/proc/self/fd/{full.fileno()}"), "much")


def test_a_folder_that_cannot_be_made_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="a part of its path is a file"):
        make_folder(tmp_path / "file" / "folder")
    with pytest.raises(FileError, match="cannot be written: the file system is read-only"), explained(tmp_path / "x"):
        raise OSError(errno.EROFS, "Read-only file system")


@pytest.fixture(
    params=[
        "folder",
        "pipe",
        "device",
        "loop",
        "long",
        "empty",
        "UTF-16",
        "BOM",
        "NUL",
        "deep",
        "twice",
        "NaN",
        "digits",
    ]
)
def unreadable(tmp_path, request, monkeypatch):
    """A file that is no JSON of anyone's."""
    path = tmp_path / "file.json"
    match request.param:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
        case "long":
            monkeypatch.setattr("validation.files._MOST_BYTES", 10)
            path.write_text("[" + "1," * 10 + "1]")
        case kind:
            written = {
                "empty": b"",
                "UTF-16": '{"a": 1}'.encode("utf-16"),
                "BOM": b'\xef\xbb\xbf{"a": 1}',
                "NUL": b"\0" * 9,
                "deep": b"[" * 10**5 + b"]" * 10**5,
                "twice": b'{"a": 1, "b": {"c": 1, "c": 1}}',
                "NaN": b'{"a": NaN}',
                "digits": b'{"a": ' + b"9" * 5000 + b"}",
            }
            path.write_bytes(written[kind])
    return path


def test_what_is_no_json_is_refused_and_not_waited_for(unreadable):
    with pytest.raises(FileError, match=r"cannot be read|is not readable JSON|a file is needed|has more than"):
        read_json(unreadable)


def test_it_is_so_wherever_json_is_read(unreadable):
    (unreadable.parent / "cases").mkdir()
    for folder, name in (("cases", "a"), ("datasets", "b"), ("certified", "c")):
        (unreadable.parent / folder).mkdir(exist_ok=True)
        (unreadable.parent / folder / f"{name}.json").symlink_to(unreadable)
    for read in (
        lambda: store.load("a", unreadable.parent),
        lambda: store.load_data("b", unreadable.parent),
        lambda: certified.load_certificate("c", unreadable.parent),
    ):
        with pytest.raises(store.DamagedReferenceError):
            read()
    with pytest.raises(FileError):
        read_runs([unreadable])


def test_a_file_that_is_gone_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "gone.json")
    with pytest.raises(FileError, match="there is no file"):
        read_runs([tmp_path / "gone.json"])


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content | {"columns": None},
        lambda content: content | {"columns": [3]},
        lambda content: content | {"more": 1},
        lambda content: [],
        lambda content: {name: value for name, value in content.items() if name != "columns"},
        lambda content: changed(content, type="number", values=["x"] * 30),
        lambda content: changed(content, values=[0] * 29),
        lambda content: changed(content, values=[99] * 30),
        lambda content: changed(content, values=[10**400] * 30),
        lambda content: changed(content, type="text", values=[1] * 30),
        lambda content: changed(content, type="integer", values=[0.5] * 30),
        lambda content: changed(content, levels=None),
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_a_recorded_data_set_that_is_no_table_is_damaged(tmp_path, change, sealed):
    (tmp_path / "datasets").mkdir()
    content = change(json.loads((store.DIRECTORY / "datasets" / "Dyestuff.json").read_text()))
    if sealed and isinstance(content, dict):
        content["hash"] = store.content_hash(content)
    (tmp_path / "datasets" / "Dyestuff.json").write_text(json.dumps(content))
    with pytest.raises(store.DamagedReferenceError):
        store.load_data("Dyestuff", tmp_path)


def changed(content, **parts):
    """A data set with another first column, which is a factor."""
    return content | {"columns": [content["columns"][0] | parts, *content["columns"][1:]]}


@pytest.mark.parametrize("run", [[], None, 3, {}, {"results": None}, {"results": [{}]}, {"schema_version": True}])
def test_a_run_of_another_shape_is_refused(tmp_path, run):
    base = {
        "schema": SCHEMA, "schema_version": SCHEMA_VERSION, "generator": {}, "date": "", "python": "", "reference": {},
        "candidate": {"name": "x", "versions": {}, "can": [], "missing": []}, "verdict": "", "deviation_problems": [],
        "results": [],
    }  # fmt: skip
    (tmp_path / "right.json").write_text(json.dumps(base))
    assert read_runs([tmp_path / "right.json"]) == [base]
    (tmp_path / "run.json").write_text(json.dumps(base | run if run and isinstance(run, dict) else run))
    with pytest.raises(FileError, match="no file of `mlmparity conformance --json`"):
        read_runs([tmp_path / "run.json"])


def test_a_pipe_to_which_nobody_writes_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "data.csv")
    with pytest.raises(InputError, match="is empty"):
        read_data(tmp_path / "data.csv")


@pytest.mark.parametrize(
    "written",
    [
        "deviation = [1]",
        "a" + ".a" * 10**5 + " = 1",
        "a = " + "[" * 10**5 + "]" * 10**5,
        "[[deviation]]\ncases = '*'\nreason = 'x'\nquantity = '*'\nat_most = " + "9" * 5000,
        "[[deviation]]\ncases = '*'\nreason = 'x'\nerror = ['KeyError']",
        "\udcff",
    ],
)
def test_a_file_of_deviations_that_is_none_is_refused(tmp_path, written):
    (tmp_path / "known.toml").write_text(written, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(DeviationError):
        read_deviations(tmp_path / "known.toml")
