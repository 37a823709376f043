"""What ``make_dialects.R`` recorded on each stack: data, and what R prints, names and says."""

import gzip
import json
from functools import cache
from pathlib import Path

import pandas as pd

from r_scripts.dialect import PACKAGES, STACKS, Dialect

DATA = Path(__file__).parent / "data"


def _read(name):
    return json.loads(gzip.decompress((DATA / f"dialect-{name}.json.gz").read_bytes()))


SHARED = _read("cases")
for _case in SHARED["cases"]:  # R writes an empty list as []
    _case["extra"] = {name.replace(".", "_"): value for name, value in dict(_case["extra"]).items()}
RECORDS = {stack: _read(stack) for stack in STACKS}


def dialect_of_record(stack):
    """The dialect of what is recorded, from its own versions."""
    return Dialect.of({name: v for name, v in RECORDS[stack]["versions"].items() if name in PACKAGES})


@cache
def frame(name):
    columns = {}
    for label, column in SHARED["frames"][name].items():
        if "codes" in column:
            codes = [-1 if code is None else code for code in column["codes"]]
            columns[label] = pd.Categorical.from_codes(codes, column["levels"], ordered=column["ordered"])
        else:
            values = pd.Series(column["values"])
            columns[label] = values if values.dtype in (bool, object) or column["integer"] else values.astype(float)
    out = pd.DataFrame(columns)
    out.attrs["name"] = name
    return out
