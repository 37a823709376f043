"""Recorded references on disk: one JSON file a case, one CSV with its schema a data set; nothing in them executes.

A file is written beside its place and moved there in one step, under a lock: a reader sees the old one or the new one,
and two writers at once wait for each other.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd

from validation.checks import Side
from validation.contract import LinearMixedFit
from validation.errors import NoReferenceError
from validation.files import FileError, make_folder, plain_name, read_bytes, read_json, write_atomically
from validation.quantities import columns_of
from validation.references.as_json import (
    default_from_json,
    default_to_json,
    lmer_from_json,
    lmer_to_json,
    plain,
    stan_from_json,
    stan_to_json,
)
from validation.references.provenance import data_hash
from validation.references.recorded import ReportedFit
from validation.references.reference import Reference
from validation.references.whole import check_recorded_default, check_recorded_lmer, check_recorded_stan

__all__ = [
    "DIRECTORY",
    "SCHEMA",
    "DamagedReferenceError",
    "Record",
    "content_hash",
    "find",
    "load",
    "load_data",
    "locked",
    "model_hash",
    "names",
    "save",
    "save_data",
]

#: Version of the files' layout.
SCHEMA = 1

#: Keys of a record's file.
_HEADER = frozenset({"schema", "name", "formula", "kind", "reml", "model_hash", "provenance", "fit", "default", "hash"})

#: Where the package's own references are.
DIRECTORY = Path(__file__).parent / "data"


class DamagedReferenceError(ValueError):
    """A file of references cannot be read, has another schema, or does not match its own hash."""


@dataclass(frozen=True)
class Record:
    """A recorded case.

    Attributes
    ----------
    name, formula : str
    kind : {"likelihood", "bayes"}
    reml : bool
    model_hash : str
        :func:`model_hash` of the data it was fitted to.
    fit : RecordedLmerFit or RecordedStanFit
        Tight lme4, or rstanarm.
    default : ReportedFit or None
        lme4 with its default optimizer.
    provenance : mapping
    """

    name: str
    formula: str
    kind: str
    reml: bool
    model_hash: str
    fit: Any
    default: ReportedFit | None
    provenance: Mapping[str, object]

    @property
    def side(self) -> Side:
        """As the reference of a comparison."""
        package = "lme4" if self.kind == "likelihood" else "rstanarm"
        version = self.provenance.get(package, "")
        return Side(f"recorded {package} {version}".strip(), "recorded-r", self.provenance)


# ---------------------------------------------------------------------------------------------------- files


#: What says that another writer has the lock; on Windows a file that is just being removed is refused, too.
_HELD = (BlockingIOError, FileExistsError, *((PermissionError,) if os.name == "nt" else ()))


@contextlib.contextmanager
def locked(directory: Path, timeout: float = 60.0, wait: float = 0.05) -> Iterator[None]:
    """Hold the directory's lock: one writer at a time, in whatever process.

    The lock is the operating system's where there is one (it goes with its process, however that ends), and a file
    that only one can create elsewhere.

    Raises
    ------
    FileError
        Another writer held it for longer than ``timeout`` seconds, or the folder cannot be written to.
    """
    make_folder(directory)
    path = directory / ".lock"
    deadline = time.monotonic() + timeout
    while True:
        try:
            release = _lock(path)
            break
        except _HELD as error:
            if time.monotonic() > deadline:
                raise FileError(f"another process has been writing references in {directory} for long") from error
            time.sleep(wait)
        except OSError as error:
            raise FileError(f"the folder {str(directory)!r} cannot be written to: {error.strerror}") from error
    try:
        yield
    finally:
        release()


def _lock(path: Path) -> Callable[[], None]:
    """Take the lock or raise at once; returns what gives it back."""
    if os.name == "nt":
        created = os.open(path, os.O_CREAT | os.O_EXCL)

        def remove() -> None:
            os.close(created)
            path.unlink(missing_ok=True)

        return remove
    import fcntl

    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(handle)
        raise
    return lambda: os.close(handle)


# ---------------------------------------------------------------------------------------------------- JSON values


def names(directory: Path | None = None) -> list[str]:
    """Names of the recorded cases."""
    folder = (directory or DIRECTORY) / "cases"
    return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []


def content_hash(content: Mapping[str, object]) -> str:
    """SHA-256 of what a file of references says, but for its own hash: the values, not their spacing or order."""
    rest = {key: value for key, value in content.items() if key != "hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def save(record: Record, directory: Path | None = None) -> Path:
    """Write a record; the file is whole or not there."""
    header = {
        "schema": SCHEMA,
        "name": record.name,
        "formula": record.formula,
        "kind": record.kind,
        "reml": record.reml,
        "model_hash": record.model_hash,
        "provenance": plain(dict(record.provenance)),
    }
    if record.kind == "likelihood":
        header["fit"] = lmer_to_json(record.fit)
        if record.default is not None:
            header["default"] = default_to_json(record.default)
    else:
        header["fit"] = stan_to_json(record.fit)
    header["hash"] = content_hash(header)
    path = (directory or DIRECTORY) / "cases" / f"{plain_name(record.name)}.json"
    # One key a line: a changed reference shows in a diff as what it is.
    parts = [
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in header.items() if key != "fit"
    ]
    fit = ",\n".join(
        f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in header["fit"].items()
    )
    text = "{\n" + ",\n".join([*parts, '"fit": {\n' + fit + "\n}"]) + "\n}\n"
    with locked(directory or DIRECTORY):
        write_atomically(path, text)
    return path


def load(name: str, directory: Path | None = None) -> Record:
    """Read a record.

    Raises
    ------
    LookupError
        Nothing was recorded under this name.
    DamagedReferenceError
        The file cannot be read, has another schema, does not have the hash of its content, or lacks a part.
    """
    try:
        path = (directory or DIRECTORY) / "cases" / f"{plain_name(name)}.json"
    except FileError as error:  # no file of the folder can have this name
        raise LookupError(f"no reference was recorded for it: {error}") from None
    try:
        header = cast("dict[str, Any]", read_json(path))
    except FileNotFoundError:
        recorded = ", ".join(names(directory)) or "none"
        raise LookupError(f"no reference was recorded for {name!r}; recorded are: {recorded}") from None
    except FileError as error:
        raise DamagedReferenceError(f"{error}; `mlmparity record` rewrites it") from None
    if not isinstance(header, dict) or repr(header.get("schema")) != repr(SCHEMA):
        found = header.get("schema") if isinstance(header, dict) else None
        raise DamagedReferenceError(
            f"{path.name} has schema {found!r}, this version reads {SCHEMA}; `mlmparity record` rewrites it"
        )
    try:
        unchanged = header.get("hash") == content_hash(header)
    except (ValueError, RecursionError):  # a number beyond all, nested without end: nothing that was ever written
        unchanged = False
    if not unchanged:
        raise DamagedReferenceError(
            f"{path.name} does not match the hash recorded with it: it was changed by hand or damaged; "
            "`mlmparity record` rewrites it"
        )
    unknown = sorted(header.keys() - _HEADER)
    if unknown:
        raise DamagedReferenceError(
            f"{path.name} has {unknown[0]!r}, which no record has; `mlmparity record` rewrites it"
        )
    if header.get("name") != name:
        raise DamagedReferenceError(f"{path.name} holds the reference of {header.get('name')!r}, not of {name!r}")
    try:
        default = None
        words = {key: header[key] for key in ("formula", "kind", "model_hash")}
        if not all(isinstance(word, str) for word in words.values()):
            raise ValueError(f"{words} are no texts")
        if header["kind"] not in ("likelihood", "bayes") or not isinstance(header["reml"], bool):
            raise ValueError("neither a likelihood nor a posterior, or it does not say by which criterion")
        if not isinstance(header["provenance"], dict):
            raise ValueError("it does not say where it comes from")
        if header["kind"] == "bayes" and not header["reml"]:
            raise ValueError("a posterior by maximum likelihood")
        told = header["provenance"].get("arguments")
        if isinstance(told, dict) and told.get("REML", header["reml"]) is not header["reml"]:
            raise ValueError("its arguments name another criterion than it was fitted by")
        if header["kind"] == "likelihood":
            fit: Any = lmer_from_json(header["fit"], header)
            check_recorded_lmer(fit)
            _demand_as_written(header["fit"], lmer_to_json(fit))
            if "default" in header:
                default = default_from_json(header["default"])
                check_recorded_default(default, fit)
                _demand_as_written(header["default"], default_to_json(default))
        else:
            fit = stan_from_json(header["fit"], header)
            check_recorded_stan(fit)
            _demand_as_written(header["fit"], stan_to_json(fit))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise DamagedReferenceError(f"{path.name} is incomplete ({error!r}); `mlmparity record` rewrites it") from error
    return Record(
        header["name"],
        header["formula"],
        header["kind"],
        header["reml"],
        header["model_hash"],
        fit,
        default,
        header["provenance"],
    )


def _demand_as_written(found: Mapping[str, object], written: Mapping[str, object]) -> None:
    """Refuse what would not be written as it was found: parts that nobody reads, text for a number, lists in lists."""
    for key, value in found.items():
        if key not in written or _canonical(value) != _canonical(written[key]):
            raise ValueError(f"{key} is not as it is written")


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def model_hash(formula: str, data: pd.DataFrame) -> str:
    """Hash of the columns that a formula names (of all, where it has ``.``)."""
    columns = columns_of(formula, data)
    if re.search(r"(?<![\w.])\.(?![\w.])", formula) or not columns:
        columns = list(data.columns)
    return data_hash(data[sorted(columns, key=str)])


def find(
    formula: str,
    data: pd.DataFrame,
    kind: str,
    reml: bool,
    name: str | None = None,
    why: str = "",
    directory: Path | None = None,
) -> Reference:
    """The recorded reference of a model and its data.

    Parameters
    ----------
    formula, data, kind, reml
        What was asked for.
    name : str, optional
        The case's name; all records are searched where not given, or where none has it.
    why : str
        Why a recorded reference is wanted, for the message.

    Raises
    ------
    validation.errors.NoReferenceError
        There is none, or it was recorded on other data.
    """
    wanted = model_hash(formula, data)
    squeezed = re.sub(r"\s+", "", formula)
    available = names(directory)
    candidates = [name] if name in available else available
    near: list[str] = []
    for candidate in candidates:
        record = load(candidate, directory)
        same_model = (
            record.kind == kind
            and re.sub(r"\s+", "", record.formula) == squeezed
            and (kind == "bayes" or record.reml == reml)
        )
        if not same_model:
            continue
        if record.model_hash == wanted:
            side = record.side
            noted = Side(side.label, side.kind, {**side.provenance, "why": why})
            return Reference(record.fit, noted, cast("LinearMixedFit | None", record.default), data)
        near.append(candidate)
    criterion = "posterior" if kind == "bayes" else "REML" if reml else "ML"
    detail = f" {', '.join(near)} has this formula, but was recorded on other data." if near else ""
    raise NoReferenceError(
        f"{why}, and no reference was recorded for {formula} ({criterion}) on these data.{detail} "
        "Install R (`mlmparity doctor` says how), or record one where R is: `mlmparity record`."
    )


# ---------------------------------------------------------------------------------------------------- data sets


def save_data(name: str, data: pd.DataFrame, directory: Path | None = None) -> Path:
    """Write a data set as CSV with its schema (types, levels and their order, hash) beside it."""
    name = plain_name(name)
    schema: dict[str, Any] = {"schema": SCHEMA, "name": name, "hash": data_hash(data), "columns": []}
    codes = pd.DataFrame(index=data.index)
    for column in data.columns:
        values = data[column]
        entry: dict[str, Any] = {"name": str(column)}
        if isinstance(values.dtype, pd.CategoricalDtype):
            entry |= {
                "type": "factor",
                "ordered": bool(values.cat.ordered),
                "levels": [str(level) for level in values.cat.categories],
            }
            codes[column] = values.astype(object)
        elif pd.api.types.is_integer_dtype(values.dtype):
            entry |= {"type": "integer"}
            codes[column] = values
        elif pd.api.types.is_numeric_dtype(values.dtype):
            entry |= {"type": "number"}
            codes[column] = [None if pd.isna(value) else repr(float(value)) for value in values]
        else:
            entry |= {"type": "text"}
            codes[column] = values
        schema["columns"].append(entry)
    folder = (directory or DIRECTORY) / "datasets"
    with locked(directory or DIRECTORY):
        write_atomically(folder / f"{name}.csv", codes.to_csv(index=False, lineterminator="\n"))
        write_atomically(folder / f"{name}.json", json.dumps(schema, indent=1) + "\n")
    return folder / f"{name}.csv"


def load_data(name: str, directory: Path | None = None) -> pd.DataFrame:
    """Read a recorded data set, exactly as it was.

    Raises
    ------
    LookupError
        It was not recorded.
    DamagedReferenceError
        The values do not have the hash that was recorded with them.
    """
    folder = (directory or DIRECTORY) / "datasets"
    try:
        plain_name(name)
    except FileError as error:
        raise LookupError(f"no such data set was recorded: {error}") from None
    try:
        schema = cast("dict[str, Any]", read_json(folder / f"{name}.json"))
    except FileNotFoundError:
        raise LookupError(f"the data set {name!r} was not recorded; `mlmparity record` records it where R is") from None
    except FileError as error:
        raise DamagedReferenceError(f"{error}; `mlmparity record` rewrites it") from None
    try:
        data = _table(read_bytes(folder / f"{name}.csv"), schema["columns"])
        matches = data_hash(data) == schema["hash"]
    except (FileNotFoundError, KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise DamagedReferenceError(
            f"{name}.csv and {name}.json do not fit each other ({error!r}); `mlmparity record` rewrites them"
        ) from error
    if not matches:
        raise DamagedReferenceError(
            f"{name}.csv does not match the hash recorded with it; `mlmparity record` rewrites it"
        )
    data.attrs["name"] = name
    return data


def _table(content: bytes, columns: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The columns of a data set, of the types that its schema gives."""
    text = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False, na_values=[""])
    data = pd.DataFrame(index=text.index)
    for entry in columns:
        values = text[entry["name"]]
        if entry["type"] == "factor":
            data[entry["name"]] = pd.Categorical(values, categories=entry["levels"], ordered=entry["ordered"])
        elif entry["type"] == "integer":
            data[entry["name"]] = values.astype("int64") if values.notna().all() else values.astype("Int64")
        elif entry["type"] == "number":
            data[entry["name"]] = values.map(float, na_action="ignore").astype(float)
        else:
            data[entry["name"]] = values
    return data
