"""Files are whole or not there; what stands in the way is said in our words."""

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from validation.files import FileError, explained, make_folder, plain_name, write_atomically
from validation.references import store


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
