"""An `Accept` header in, a media type out; a worker's answer in, its body in that media type out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from lading_runtime import log
from lading_runtime.front import npy, outputs
from lading_runtime.front.channel import Answer
from lading_runtime.front.messages import Refusal
from lading_runtime.front.render import bare, decode, predictions
from lading_runtime.front.schema import Schema

JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"
NPY, NPZ = "application/x-npy", "application/x-npz"
TABLES = (CSV, LINES, NPY, NPZ)
TYPES = (JSON, *TABLES)
# other names of JSON lines, which no registry has settled
SAME = dict.fromkeys(("application/x-jsonlines", "application/jsonl", "application/x-ndjson"), LINES)
_COMMON = {None, b"", b"*/*", b"application/json"}


def by_default(asked: str) -> str:
    """Return the one of TYPES that a client without a wish is given; log a setting that is none of them."""
    kind = asked.partition(";")[0].strip().lower()
    kind = SAME.get(kind, kind)
    if kind in TYPES:
        return kind
    if kind != "*/*":
        variables = "LADING_DEFAULT_ACCEPT or SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"
        log.write("warning", f"{variables}: ignored {asked!r}: expected one of {', '.join(TYPES)}")
    return JSON


def choose(headers: Mapping[bytes, bytes], default: str) -> str | None:
    """Return the one of TYPES that a client likes best, None where it takes none of them."""
    accept = headers.get(b"accept")
    if accept in _COMMON:
        return JSON if accept == b"application/json" else default
    ranked = _ranked(accept or b"")
    refused = {SAME.get(kind, kind) for quality, kind in ranked if quality <= 0}
    for quality, kind in ranked:
        if quality <= 0:
            break
        if kind in TYPES or kind in SAME:
            return SAME.get(kind, kind)
        family, _, rest = kind.partition("/")
        if rest == "*":  # the default, if it is one of them; else what of them is most usual
            for one in (default, *TYPES):
                if one not in refused and family in {"*", one.partition("/")[0]}:
                    return one
    return None


def render(answer: Answer, *, kind: str, schema: Schema) -> bytes:
    """Render one of TYPES; refuse with 406 what it has no form for."""
    if kind == JSON:
        return predictions(answer)
    if kind in {NPY, NPZ}:
        tensors = outputs.read(answer, schema)
        return npy.write_all(tensors) if kind == NPZ else npy.write(npy.stacked(tensors))
    values = decode(memoryview(bare(answer)))
    rows = values if isinstance(values, list) else [values]
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows) if kind == LINES else _csv(rows)


def _csv(rows: Iterable[Any]) -> bytes:
    """Write a line per row, without a header, as SageMaker's own containers do."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    for row in rows:
        cells = list(row.values()) if isinstance(row, dict) else row if isinstance(row, list) else [row]
        if any(isinstance(cell, (dict, list)) for cell in cells):
            raise Refusal(406, f"accept: the answer is no table, expected {JSON!r}")
        writer.writerow([_cell(cell) for cell in cells])
    return target.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _ranked(accept: bytes) -> list[tuple[float, str]]:
    """Return media types and their `q`, the highest first (RFC 9110, 12.5.1)."""
    ranked = []
    for one in accept.decode("latin-1").lower().split(","):
        kind, *parameters = (part.strip() for part in one.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            ranked.append((max(0.0, float(quality)), kind))  # of no number this is 0 too
        except ValueError:
            ranked.append((0.0, kind))
    return sorted(((quality, kind) for quality, kind in ranked if kind), key=lambda one: -one[0])
