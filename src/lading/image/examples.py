"""A recorded example → the file that verification replays, and its line in the bill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lading.core import canonical
from lading.core.bill import BilledExample
from lading.core.digest import Digest
from lading.core.spec import Example

EXAMPLES_PATH = "/opt/lading/examples"


def path(number: int) -> str:
    """Name the file of an example in the image."""
    return f"{EXAMPLES_PATH}/{number}.json"


def encode(example: Example) -> bytes:
    """Write `{"inputs": …, "outputs": …, "tolerance": …}`; raise IntegrityError for what JSON cannot say."""
    document = {"inputs": example.inputs, "outputs": example.outputs, "tolerance": float(example.tolerance)}
    return canonical.encode(document, allow_nan=True)


def bill(number: int, example: Example) -> BilledExample:
    """List an example."""
    digest = Digest.of(encode(example))
    tolerance = float(example.tolerance)
    return BilledExample(path(number), digest, rows(example.inputs), tolerance, example.outputs is not None)


def rows(inputs: Any) -> int:  # noqa: ANN401 (whatever a client may send)
    """Count the rows of a request to `/invocations`; what is of no known form is one row."""
    if isinstance(inputs, list):
        return len(inputs)
    match inputs:
        case {"dataframe_split": {"data": list(table)}} | {"dataframe_records": list(table)}:
            return len(table)
        case {"instances": found} | {"inputs": found}:
            # tensors by name: each has the rows
            first = next(iter(found.values()), None) if isinstance(found, Mapping) else found
            return len(first) if isinstance(first, list) else 1
        case _:
            return 1
