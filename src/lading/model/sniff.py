"""Which files pickle could load: a file goes in, yes or no comes out.

Pickles of protocols 0 and 1 have no magic number, and whoever wants to hide one may begin it with anything
that pickle reads. So a file counts as soon as pickle would get from its first byte to a call.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from lading.core.errors import ModelError
from lading.core.model import ModelFile
from lading.model.compression import open_source
from lading.model.opcodes import Operand, instructions
from lading.model.source import Source

_TEXT_PICKLE = re.compile(rb"(?:c|\(i)[A-Za-z_][\w.]*\n[A-Za-z_]\w*\n")
"""How protocols 0 and 1 begin with an object; they have no magic number."""
_SNIFFED_BYTES = 256
_SUFFIXES = frozenset({".cloudpickle", ".dill", ".joblib", ".pickle", ".pkl", ".sav"})
_MOST_SNIFFED = 100_000
"""Instructions: what reads as a pickle for so long is walked as one. Other data fails at the first few."""

_EFFECTS = {
    **dict.fromkeys(("PROTO", "FRAME"), (0, 0)),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "TUPLE1", "READONLY_BUFFER"), (1, 1)),
    **dict.fromkeys(("TUPLE2", "APPEND"), (2, 1)),
    **dict.fromkeys(("TUPLE3", "SETITEM"), (3, 1)),
    "POP": (1, 0),
    "DUP": (1, 2),
    "BINPERSID": (1, 1),
}
"""What an instruction takes from the stack and puts there; all others put one thing."""
_TO_MARK = frozenset({"POP_MARK", "TUPLE", "LIST", "DICT", "FROZENSET", "APPENDS", "ADDITEMS", "SETITEMS"})
_ON_TARGET = frozenset({"APPENDS", "ADDITEMS", "SETITEMS"})
_CALLS = {"REDUCE": 2, "BUILD": 2, "NEWOBJ": 2, "NEWOBJ_EX": 3, "STACK_GLOBAL": 2}
_WRITES = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_READS = frozenset({"GET", "BINGET", "LONG_BINGET"})


def is_pickled(file: ModelFile) -> bool:
    """Tell by its first bytes whether a file is a pickle as picklers write them, plain or compressed."""
    try:
        with open_source(file.source, file.path) as (source, _):
            source.ensure(_SNIFFED_BYTES)
            start = source.data[:_SNIFFED_BYTES]
    except ModelError:
        return False
    return _has_magic(start) or _TEXT_PICKLE.match(start) is not None


def could_be_loaded(file: ModelFile) -> bool:
    """Tell whether loading a file with pickle could do anything, or its name asks for that."""
    named = not _SUFFIXES.isdisjoint(suffix.lower() for suffix in PurePosixPath(file.path).suffixes)
    return file.size_bytes > 0 and (named or reads_as_pickle(file))


def reads_as_pickle(file: ModelFile) -> bool:
    """Tell by its content whether loading a file with pickle could do anything."""
    try:
        with open_source(file.source, file.path) as (source, _):
            source.ensure(2)
            return _has_magic(source.data) or _calls_something(source)
    except ModelError:
        return False


def _has_magic(start: bytes) -> bool:
    return start[:1] == b"\x80" and start[1:2] <= b"\x05"


def _calls_something(source: Source) -> bool:
    """Tell whether pickles, one behind the other, get to a call; raise ModelError where pickle stops."""
    source.lenient = True
    stack = _Depths()
    left = _MOST_SNIFFED
    while True:
        for _, opcode, operand in instructions(source):
            left -= 1
            if not left or stack.follow(opcode, operand):
                return True
        if stack.named:
            return True
        if source.at_end():
            return False
        stack = _Depths()


class _Depths:
    """How much stands on the stack and where its marks are; what stands there is of no interest."""

    def __init__(self) -> None:
        self.depth = 0
        self.marks: list[int] = []
        self.remembers = False
        self.named = False

    def follow(self, opcode: str, operand: Operand) -> bool:
        """Follow one instruction; tell whether it calls something."""
        if opcode in _CALLS:
            self.take(_CALLS[opcode])
            return True
        if opcode in {"GLOBAL", "INST"}:
            # GLOBAL alone imports; text files may begin so, but they do not go on to a call
            self.named = True
            if not _is_name(operand):
                raise _NoPickleError
        if opcode in _WRITES:
            self.remembers = True
        if opcode in _READS and not self.remembers:
            raise _NoPickleError
        if opcode in {"INST", "OBJ"} or opcode in _TO_MARK:
            self.to_mark(opcode)
            return opcode in {"INST", "OBJ"}
        if opcode == "MARK":
            self.marks.append(self.depth)
        elif opcode == "POP" and self.marks and self.marks[-1] == self.depth:
            self.marks.pop()
        elif opcode == "STOP":
            self.take(1)
        else:
            taken, put = _EFFECTS.get(opcode, (0, 1))
            self.take(taken)
            self.depth += put
        return False

    def take(self, count: int) -> None:
        self.depth -= count
        if self.depth < (self.marks[-1] if self.marks else 0):
            raise _NoPickleError

    def to_mark(self, opcode: str) -> None:
        if not self.marks:
            raise _NoPickleError
        self.depth = self.marks.pop()
        if opcode in _ON_TARGET:
            self.take(1)
        self.depth += opcode != "POP_MARK"


class _NoPickleError(ModelError):
    """No reader of pickles would go on."""


def _is_name(operand: Operand) -> bool:
    if not isinstance(operand, tuple) or not all(isinstance(one, str) for one in operand):
        return False
    return all(part.isidentifier() for one in operand for part in one.split("."))


class _Start:
    """The first bytes of something longer."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.is_used_up = False

    def read(self, _: int, /) -> bytes:
        data, self._data = self._data, b""
        self.is_used_up = not data
        return data

    def skip(self, _: int, /) -> bool:
        self.is_used_up = True
        return False


def may_be_pickle(start: bytes) -> bool:
    """Tell whether what begins so could be a pickle that does anything, as far as its beginning tells."""
    stream = _Start(start)
    try:
        return _has_magic(start) or _calls_something(Source(stream, ""))
    except ModelError:
        return stream.is_used_up
