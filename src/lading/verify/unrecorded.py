"""A package of which no example is recorded → a row made up by its signature, and what came of sending it.

That a server is healthy proves that the model was loaded, not that it predicts: what was saved with other
versions of its libraries often fails no earlier than that. Made-up values prove less than recorded ones.
A model may refuse them with good reason, so a refusal fails a package only where it is not of the values.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from lading.core.bill import Bill
from lading.core.ports import Running
from lading.core.report import Check
from lading.core.signature import Field
from lading.core.spec import Example
from lading.verify.client import NoAnswerError

UNPROVED = "unproved"
"""The check whose detail is a warning: nothing recorded was compared."""
_MOST_VALUES = 1 << 20
_LOG_S = 0.5
_VALUES: dict[str, Any] = {
    "boolean": False,
    "integer": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "string": "text",
    "binary": "AAAA",
    "datetime": "2024-01-31T12:00:00",
    "array": [],
    "object": {},
    "map": {},
}
_DTYPES = {
    "b": False,
    "i": 0,
    "u": 0,
    "f": 0.0,
    "s": "text",
    "<": "text",
    "o": "text",
    "d": _VALUES["datetime"],
}
_OF_LIBRARIES = re.compile(r"\b(?:ModuleNotFoundError|ImportError)\b")
_OF_VERSIONS = re.compile(r"\b(?:AttributeError|TypeError|NameError|NotImplementedError)\b")
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception): .*$", re.MULTILINE)
"""The last line of a traceback in a log."""
_RECORD = (
    "record what it is to answer with 'example:' in lading.yaml, or by --sample-request of "
    "`lading package create`, or save the model with an input example"
)


class Asker(Protocol):
    """What an example is asked of."""

    def ask(self, example: Example) -> object:
        """Return the predictions; raise NoAnswerError."""
        ...


def checks(bill: Bill, drift: Sequence[str], asker: Asker | None, running: Running) -> Iterator[Check]:
    """Send a made-up row to a server that runs, and judge what came of it; None may not be asked."""
    example = made_up(bill) if asker else None
    apart = "; ".join(drift)
    if example is None or asker is None:
        detail = "no examples are recorded: the model loads"
        yield Check("predictions", passed=True, detail=detail)
        yield Check(
            UNPROVED, passed=True, detail=_join("nothing was predicted: that it loads proves little", apart)
        )
        return
    before = len(running.output())
    try:
        asker.ask(example)
    except NoAnswerError as error:
        raised = _raised(running, before)
        said = f"{error} ({raised[:300]})" if raised and raised not in str(error) else str(error)
        broken = _OF_LIBRARIES.search(said) or (drift and _OF_VERSIONS.search(said))
        what = f"no examples are recorded, and a row made up by the signature fails: {said}"
        if broken:
            yield Check("predictions", passed=False, detail=f"{what}; {apart}" if apart else what)
            return
        yield Check("predictions", passed=True, detail="no examples are recorded: the model loads")
        detail = f"nothing was predicted: a row made up by the signature was refused, {said}"
        yield Check(UNPROVED, passed=True, detail=_join(detail, apart))
        return
    yield Check("predictions", passed=True, detail="no examples are recorded: a made-up row is answered")
    if drift:
        yield Check(UNPROVED, passed=True, detail=_join("no recorded prediction was compared", apart))


def _raised(running: Running, before: int) -> str:
    """Find in what a server has written since how its traceback ends; it may arrive later than the answer."""
    until_s = time.monotonic() + _LOG_S
    while not (found := _RAISED.findall(running.output()[before:])) and time.monotonic() < until_s:
        time.sleep(_LOG_S / 10)
    return str(found[-1]) if found else ""


def _join(what: str, apart: str) -> str:
    return f"{what}; {apart}; {_RECORD}" if apart else f"{what}; {_RECORD}"


def made_up(bill: Bill) -> Example | None:
    """Make one row that the model's signature lets through; None where code takes a form of its own."""
    signature = bill.model.signature
    if signature is None or not signature.inputs or (bill.code and bill.code.entry):
        return None
    inputs = signature.inputs
    if any(one.type == "tensor" for one in inputs):
        sizes = [[1 if size < 0 else size for size in one.shape or ()] for one in inputs]
        if sum(map(math.prod, sizes)) > _MOST_VALUES:
            return None
        tensors = {one.name: _filled(one, shape) for one, shape in zip(inputs, sizes, strict=True)}
        return Example({"inputs": tensors if inputs[0].name else next(iter(tensors.values()))})
    row = [_VALUES.get(one.type, 0.0) for one in inputs]
    if inputs[0].name is None:
        return Example({"instances": [row]})
    return Example({"dataframe_split": {"columns": [one.name for one in inputs], "data": [row]}})


def _filled(field: Field, shape: Sequence[int]) -> Any:  # noqa: ANN401 - any JSON value
    value: Any = _DTYPES.get((field.dtype or "f")[0].lower(), 0.0)
    for size in reversed(shape):
        value = [value] * size
    return value
