"""A request that is answered part by part in, its parts out, no further ahead than its reader can follow.

Each part is a message with `more`; the last one has `end`, or `error`. While it goes on, the front tells by
messages of its own that parts have been taken (`credit`), or that nobody reads on (`cancel`).
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from lading_runtime import wire
from lading_runtime.worker import console, failure, inputs, results

if TYPE_CHECKING:  # Python 3.8 could not evaluate it
    Write = Callable[[Mapping[str, Any], Sequence[Any]], None]


def is_asked(header: Mapping[str, Any]) -> bool:
    """Tell whether a request wants its answer in parts."""
    entries = header["inputs"]
    return bool(entries) and bool(entries[0]["parameters"].get("stream"))


def part(value: Any, more: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Make the message of one part."""
    content, tensors = results.encode(value)
    header = {"parameters": {"content": content}, "outputs": [entry for entry, _ in tensors], **more}
    return header, [data for _, data in tensors]


def answer(
    model: Any, header: Mapping[str, Any], body: memoryview, reader: Any, write: Write
) -> tuple[dict[str, Any], Sequence[bytes]]:
    """Write what a generator gives, or the one part that is all there is; return the last message."""
    console.begin(header["id"])
    result = None
    try:
        result = model.begin(inputs.Request(header, body))
        if isinstance(result, GeneratorType):
            _give(result, reader, write)
        else:
            write(*part(result, {"more": True}))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises
        return {"error": failure.told(error)}, []
    else:
        return {"end": True}, []
    finally:
        if isinstance(result, GeneratorType):
            result.close()


def _give(pieces: Any, reader: Any, write: Write) -> None:
    credit = wire.WINDOW
    while True:
        while not credit or reader.has_more():
            message = reader.read()
            if message is None:
                raise BrokenPipeError  # the front has gone
            if message[0].get("cancel"):
                pieces.close()
                return
            credit += int(message[0].get("credit", 0))
        try:
            piece = next(pieces)
        except StopIteration:
            return
        write(*part(piece, {"more": True}))
        credit -= 1
