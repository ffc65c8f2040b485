"""What the front makes of one request against one signature, as the tables of docs/signatures.md have it."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from lading_runtime.front import forms
from lading_runtime.front.decode import parse_json
from lading_runtime.front.messages import Refusal
from lading_runtime.front.render import _values
from lading_runtime.front.schema import read

PAGE = Path(__file__).parents[1] / "docs" / "signatures.md"
NESTED = {
    "array": {"items": {"type": "long"}},
    "map": {"values": {"type": "double"}},
    "object": {
        "properties": {"a": {"type": "long", "required": True}, "b": {"type": "string", "required": False}}
    },
}


def given(signature, body, *, lenient=False):
    """Return what the model is given, as JSON text of tensors by name and parameters, or the status."""
    schema = read(signature)
    try:
        found = forms.read(schema, parse_json(body.encode()), lenient=lenient)
    except Refusal as refusal:
        return str(refusal.status)
    made = {}
    for entry, buffer in found.tensors:
        values = list(_values(entry["datatype"], memoryview(buffer)))
        if entry["name"] == "matrix":
            width = len(found.columns)
            made |= {name: values[at::width] for at, name in enumerate(found.columns)}
        else:
            made[entry["name"]] = folded(values, entry["shape"])
    if found.params is not None:
        made["params"] = {key: str(one) if hasattr(one, "year") else one for key, one in found.params.items()}
    return text(made)


def folded(values, shape):
    for size in reversed(shape[1:]):
        values = [values[at : at + size] for at in range(0, len(values), size)] if size else []
    return values if shape else values[0]


def text(value):
    """Print JSON on one line, floats as floats are read."""
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


def column(kind, *, required=True):
    return {"type": kind, "name": kind, "required": required, **NESTED.get(kind, {})}


def of_value(kind, value, *, lenient=False, key="dataframe_split"):
    """Return what becomes of a value of a column of a type, in one of the forms."""
    if key == "inputs":
        body = f'{{"inputs": {{"{kind}": [{value}]}}}}'
    else:
        body = f'{{"dataframe_split": {{"columns": ["{kind}"], "data": [[{value}]]}}}}'
    found = given({"inputs": [column(kind)]}, body, lenient=lenient)
    return found if found.isdigit() else text(json.loads(found)[kind][0])


def tensor(words, name=None):
    """Read `float32 [-1, 2]`."""
    dtype, _, shape = words.partition(" ")
    named = {} if name is None else {"name": name}
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": json.loads(shape)}, **named}


def table(title) -> Iterator[list[str]]:
    """Yield the rows of the table below a heading, without the marks of code."""
    lines = PAGE.read_text(encoding="utf-8").partition(f"### {title}\n")[2].splitlines()
    rows = []
    for line in lines:
        if line.startswith("#"):
            break
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            rows.append([cell.strip("`") for cell in cells])
    yield from rows[2:]
