"""Recorded references on disk: one JSON file a case, one a data set; nothing in them executes.

A file is written beside its place and moved there in one step: a reader sees the old one or the new one, and of two
writers at once the last one's stays.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast, get_type_hints

import numpy as np
import pandas as pd

from validation.comparison import Reference, Side
from validation.contract import LinearMixedFit
from validation.errors import NoReferenceError
from validation.files import FileError, plain_name, read_json, write_atomically
from validation.plain import misfit
from validation.quantities import columns_of
from validation.references.as_json import default_from_json, lmer_from_json, plain, stan_from_json, to_json
from validation.references.provenance import data_hash
from validation.references.recorded import ReportedFit
from validation.references.whole import check_recorded_default, check_recorded_lmer, check_recorded_stan

#: Where the package's own references are.
DIRECTORY = Path(__file__).parent / "data"


class DamagedReferenceError(ValueError):
    """A file of references cannot be read, has another schema, or does not match its own hash."""


@dataclass(frozen=True)
class Record:
    """A recorded case."""

    name: str
    formula: str
    kind: str  # "likelihood" or "bayes"
    reml: bool
    model_hash: str  # :func:`model_hash` of the data that it was fitted to
    fit: Any  # RecordedLmerFit of tight lme4, or RecordedStanFit
    default: ReportedFit | None  # lme4 with its default optimizer
    provenance: Mapping[str, object]

    @property
    def side(self) -> Side:
        """As the reference of a comparison."""
        package = "lme4" if self.kind == "likelihood" else "rstanarm"
        version = self.provenance.get(package, "")
        return Side(f"recorded {package} {version}".strip(), "recorded-r", self.provenance)


# ---------------------------------------------------------------------------------------------------- JSON values


def content_hash(content: Mapping[str, object]) -> str:
    """SHA-256 of what a file of references says, but for its own hash: the values, not their spacing or order."""
    rest = {key: value for key, value in content.items() if key != "hash"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Shelf:
    """A folder of JSON files that nobody edits by hand: each has the version of its layout and a hash of the rest."""

    folder: str  # its name, below that of the references
    schema: int  # the version
    what: str  # what was done to have such a file, for messages: "reference was recorded"
    command: str  # what writes one anew
    says: type | None = None  # the TypedDict of what a file says besides its version and hash

    def names(self, directory: Path | None = None) -> list[str]:
        """Names of the files, without their ending."""
        return sorted(path.stem for path in ((directory or DIRECTORY) / self.folder).glob("*.json"))

    def write(self, name: str, content: Mapping[str, object], directory: Path | None = None) -> Path:
        """Write a file in one step: whoever reads it, or writes it too, has the old one or the new one."""
        path = (directory or DIRECTORY) / self.folder / f"{plain_name(name)}.json"
        content = {"schema": self.schema, **content}
        write_atomically(path, _in_lines({**content, "hash": content_hash(content)}))
        return path

    def read(self, name: str, directory: Path | None = None) -> dict[str, object]:
        """What a file says: a LookupError that lists those there are, or a DamagedReferenceError, where that fails."""
        try:
            path = (directory or DIRECTORY) / self.folder / f"{plain_name(name)}.json"
            content = read_json(path)
        except FileNotFoundError:
            there = ", ".join(self.names(directory)) or "none"
            raise LookupError(f"no {self.what} for {name!r}; {self.what.split()[-1]} are: {there}") from None
        except FileError as error:
            if name not in self.names(directory):  # no file of the folder can have this name
                raise LookupError(f"no {self.what} for it: {error}") from None
            raise self.damaged(str(error)) from None
        schema = content.pop("schema", None) if isinstance(content, dict) else None
        if not isinstance(content, dict) or repr(schema) != repr(self.schema):
            raise self.damaged(f"{path.name} has schema {schema!r}, this version reads {self.schema}")
        try:
            unchanged = content.pop("hash", None) == content_hash({"schema": schema, **content})
        except (ValueError, RecursionError):  # a number beyond all, nested without end: nothing that was ever written
            unchanged = False
        if not unchanged:
            raise self.damaged(
                f"{path.name} does not match the hash recorded with it: it was changed by hand or damaged"
            )
        if content.get("name") != name:
            raise self.damaged(f"{path.name} holds what is called {content.get('name')!r}, not {name!r}")
        if self.says is not None:
            unknown = sorted(content.keys() - get_type_hints(self.says).keys())
            wrong = f"it has {unknown[0]!r}, which no such file has" if unknown else misfit(content, self.says)
            if wrong:
                raise self.damaged(f"{path.name} is incomplete ({wrong})")
        return content

    def damaged(self, why: str) -> DamagedReferenceError:
        """The error, with what to do."""
        return DamagedReferenceError(f"{why}; {self.command} rewrites it")


def _in_lines(content: Mapping[str, object]) -> str:
    """JSON, a key or a row of a table a line: what was changed shows in a diff as what it is."""

    def lines(value: object, depth: int) -> str:
        pad = " " * depth
        if isinstance(value, Mapping) and value and depth < 2:
            inner = [f"{json.dumps(key)}: {lines(item, depth + 1)}" for key, item in value.items()]
            return "{\n" + ",\n".join(f" {pad}{line}" for line in inner) + f"\n{pad}}}"
        if isinstance(value, list | tuple) and value and depth < 2:
            return "[\n" + ",\n".join(f" {pad}{json.dumps(item, ensure_ascii=False)}" for item in value) + f"\n{pad}]"
        return json.dumps(value, ensure_ascii=False)

    return lines(content, 0) + "\n"


# ---------------------------------------------------------------------------------------------------- recorded fits


class _Header(TypedDict):
    """What a record's file says."""

    name: str
    formula: str
    kind: str
    reml: bool
    model_hash: str
    provenance: dict[str, object]
    fit: dict[str, object]
    default: NotRequired[dict[str, object]]


_CASES = Shelf("cases", 1, "reference was recorded", "`mlmparity record`", _Header)


def names(directory: Path | None = None) -> list[str]:
    """Names of the recorded cases."""
    return _CASES.names(directory)


def save(record: Record, directory: Path | None = None) -> Path:
    """Write a record; the file is whole or not there."""
    content = {**vars(record), "fit": to_json(record.fit), "provenance": plain(dict(record.provenance))}
    del content["default"]
    if record.default is not None:
        content["default"] = to_json(record.default)
    return _CASES.write(record.name, content, directory)


def load(name: str, directory: Path | None = None) -> Record:
    """Read a record: a LookupError where there is none, a DamagedReferenceError where it is not whole and unchanged."""
    return _record(_header(name, directory))


def _header(name: str, directory: Path | None) -> _Header:
    return cast("_Header", _CASES.read(name, directory))


def _record(header: _Header) -> Record:
    """The record that a file holds, of which every part has been looked at."""
    found: dict[str, Any] = {"default": None}
    try:
        if header["kind"] not in ("likelihood", "bayes"):
            raise ValueError(f"{header['kind']!r} is neither a likelihood nor a posterior")
        if header["kind"] == "bayes" and not header["reml"]:
            raise ValueError("a posterior by maximum likelihood")
        told = header["provenance"].get("arguments")
        if isinstance(told, dict) and told.get("REML", header["reml"]) is not header["reml"]:
            raise ValueError("its arguments name another criterion than it was fitted by")
        if header["kind"] == "bayes":
            found["fit"] = stan_from_json(header["fit"], header)
            check_recorded_stan(found["fit"])
        else:
            found["fit"] = lmer_from_json(header["fit"], header)
            check_recorded_lmer(found["fit"])
            if "default" in header:
                found["default"] = default_from_json(header["default"])
                check_recorded_default(found["default"], found["fit"])
                _demand_as_written(header["default"], to_json(found["default"]))
        _demand_as_written(header["fit"], to_json(found["fit"]))
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise _CASES.damaged(f"{header['name']}.json is incomplete ({error!r})") from error
    return Record(**{**header, **found})


def _demand_as_written(found: Mapping[str, object], written: Mapping[str, object]) -> None:
    """Refuse what would not be written as it was found: parts that nobody reads, text for a number, lists in lists."""
    for key, value in found.items():
        if key not in written or json.dumps(value, sort_keys=True) != json.dumps(written[key], sort_keys=True):
            raise ValueError(f"{key} is not as it is written")


def model_hash(formula: str, data: pd.DataFrame) -> str:
    """Hash of the columns that a formula names (of all, where it has ``.``)."""
    columns = columns_of(formula, data)
    if re.search(r"(?<![\w.])\.(?![\w.])", formula) or not columns:
        columns = list(data.columns)
    return data_hash(data[sorted(columns, key=str)])


def matching(
    formula: str, data: pd.DataFrame, reml: bool, kept: Iterable[Mapping[str, object]]
) -> tuple[Mapping[str, object] | None, list[str]]:
    """What is kept of a model, a criterion and these data; and the names of the same on other data.

    Each that is kept has a ``name``, ``formula``, ``reml`` and ``model_hash``.
    """
    wanted, squeezed = model_hash(formula, data), "".join(formula.split())
    near: list[str] = []
    for one in kept:
        if "".join(str(one["formula"]).split()) == squeezed and one["reml"] == reml:
            if one["model_hash"] == wanted:
                return one, near
            near.append(str(one["name"]))
    return None, near


def find(
    formula: str,
    data: pd.DataFrame,
    kind: str,
    reml: bool,
    name: str | None = None,
    why: str = "",
    directory: Path | None = None,
) -> Reference:
    """The recorded reference of a model and its data; ``why`` it is wanted is said in messages.

    Of the case's ``name``, where there is a record of it; all records are searched otherwise. A NoReferenceError where
    there is none, or only one of other data.
    """
    reml = reml or kind == "bayes"
    available = names(directory)
    headers = (_header(one, directory) for one in ([name] if name in available else available))
    found, near = matching(formula, data, reml, (header for header in headers if header["kind"] == kind))
    if found is not None:
        record = _record(cast("_Header", found))
        side = Side(record.side.label, record.side.kind, {**record.provenance, "why": why})
        return Reference(record.fit, side, cast("LinearMixedFit | None", record.default), data)
    criterion = "posterior" if kind == "bayes" else "REML" if reml else "ML"
    detail = f" {', '.join(near)} has this formula, but was recorded on other data." if near else ""
    raise NoReferenceError(
        f"{why}, and no reference was recorded for {formula} ({criterion}) on these data.{detail} "
        "Install R (`mlmparity doctor` says how), or record one where R is: `mlmparity record`."
    )


# ---------------------------------------------------------------------------------------------------- data sets


class _Column(TypedDict):
    """A column of a data set; a factor's values are the numbers of its levels, -1 where one is missing."""

    name: str
    type: str
    values: list[object]
    ordered: NotRequired[bool]
    levels: NotRequired[list[str]]


class _DataSet(TypedDict):
    """What a data set's file says."""

    name: str
    columns: list[_Column]


_DATASETS = Shelf("datasets", 2, "data set was recorded", "`mlmparity record`", _DataSet)


def save_data(name: str, data: pd.DataFrame, directory: Path | None = None) -> Path:
    """Write a data set, with the types of its columns and the order of their levels."""
    columns = []
    for column in data.columns:
        values = data[column]
        entry: dict[str, object] = {"name": str(column)}
        if isinstance(values.dtype, pd.CategoricalDtype):
            levels = [str(level) for level in values.cat.categories]
            entry |= {"type": "factor", "ordered": bool(values.cat.ordered), "levels": levels}
            values = values.cat.codes
        elif pd.api.types.is_integer_dtype(values.dtype):
            entry["type"] = "integer"
        elif pd.api.types.is_numeric_dtype(values.dtype):
            entry["type"] = "number"
            values = values.astype(float)
        else:
            entry["type"] = "text"
        columns.append({**entry, "values": plain(values)})
    return _DATASETS.write(name, {"name": name, "columns": columns}, directory)


def load_data(name: str, directory: Path | None = None) -> pd.DataFrame:
    """Read a recorded data set, exactly as it was: a LookupError where there is none, else as :func:`load`."""
    content = cast("_DataSet", _DATASETS.read(name, directory))
    try:
        data = pd.DataFrame({entry["name"]: _column(entry) for entry in content["columns"]})
        if any(len(entry["values"]) != len(data) for entry in content["columns"]):
            raise ValueError("its columns have different lengths")
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise _DATASETS.damaged(f"{name}.json is no table ({error!r})") from error
    data.attrs["name"] = name
    return data


def _column(entry: _Column) -> pd.Series:
    values = entry["values"]
    if entry["type"] == "factor":
        codes = np.array(values, dtype=np.int64)
        return pd.Series(pd.Categorical.from_codes(codes, pd.Index(entry["levels"]), ordered=entry["ordered"]))
    if entry["type"] == "integer":
        return pd.Series(values, dtype="Int64" if None in values else "int64")
    if entry["type"] == "number":
        return pd.Series(np.array(values, dtype=float))  # null becomes NaN, "inf" infinite
    if not all(value is None or isinstance(value, str) for value in values):
        raise ValueError(f"{entry['name']} is no column of text")
    return pd.Series(values)


def dataset_names() -> list[str]:
    """Return the names of the data sets that come with mlmparity.

    Examples
    --------
    >>> from mlmparity import dataset_names
    >>> "Gcsemv" in dataset_names()
    True
    """
    return _DATASETS.names()


def load_dataset(name: str) -> pd.DataFrame:
    """Return a data set that comes with mlmparity, exactly as R has it: factor levels in R's order. No R is needed.

    Parameters
    ----------
    name : str
        R's name of it: ``"Gcsemv"`` and ``"Exam"`` of mlmRev; ``"sleepstudy"``, ``"Dyestuff"``, ``"Penicillin"`` and
        others of lme4. :func:`dataset_names` lists them.

    Returns
    -------
    pandas.DataFrame
        ``attrs["name"]`` is the data set's name: what a fit's summary shows as ``Data:``.

    Raises
    ------
    LookupError
        No such data set comes with mlmparity: the message lists those that do.

    Examples
    --------
    >>> from mlmparity import load_dataset
    >>> load_dataset("Gcsemv").shape
    (1905, 5)
    """
    known = dataset_names()
    if name in known:
        return load_data(name)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise LookupError(
        f"no data set {name!r} comes with mlmparity{hint} There are {', '.join(known)}. Any other data set of an R "
        "package comes from R itself, as in mlmparity.mlmRev.Chem97(); a file of your own from mlmparity.read_data"
    )
