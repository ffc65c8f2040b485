"""The pickle machine's instructions: a `Source` goes in, `(position, name, operand)` come out.

Every opcode of protocols 0 to 5 (CPython, Lib/pickletools.py) is in the table. Long byte strings are skipped
and come out as `Raw`, so that a file of any size is read in little memory. What is no instruction is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from lading.model.source import CHUNK_BYTES, Source
from lading.model.symbols import Raw

_LONGEST_NUMBER_BYTES = 1024
Operand = object
_Reader = Callable[[Source], Operand]


def _unsigned(width: int) -> _Reader:
    return lambda source: int.from_bytes(source.take(width), "little")


def _signed4(source: Source) -> int:
    return int.from_bytes(source.take(4), "little", signed=True)


def _float8(source: Source) -> float:
    value: float = struct.unpack(">d", source.take(8))[0]
    return value


def _counted(width: int, *, codec: str | None = None) -> _Reader:
    """Read a byte string after its length; as text with a codec."""

    def read(source: Source) -> Operand:
        size = int.from_bytes(source.take(width), "little")
        if codec is None or size > CHUNK_BYTES:
            source.skip(size)
            return Raw(size)
        return _decoded(source, source.take(size), codec)

    return read


def _long(width: int) -> _Reader:
    """Read a two's-complement number after its length; one of absurd length becomes `Raw`."""

    def read(source: Source) -> Operand:
        size = int.from_bytes(source.take(width), "little")
        if size > _LONGEST_NUMBER_BYTES:
            source.skip(size)
            return Raw(size)
        return int.from_bytes(source.take(size), "little", signed=True)

    return read


def _decoded(source: Source, data: bytes, codec: str) -> Operand:
    try:
        # lone surrogates are how pickle writes text that is no Unicode
        return data.decode(codec, "surrogatepass" if codec == "utf-8" else "strict")
    except ValueError as error:
        if source.lenient or (source.old_texts and codec == "ascii"):
            return Raw(len(data))
        what = f"text that is not {codec}"
        raise source.refused(what, "a pickle of Python 2 must be loaded and saved again") from error


def _number_line(convert: Callable[[str], Operand]) -> _Reader:
    def read(source: Source) -> Operand:
        line = source.line()
        if line is None or len(line) > _LONGEST_NUMBER_BYTES:
            if source.lenient and line and line.strip(b"+-L").isdigit():
                return Raw(len(line))
            raise source.refused("a number of absurd length")
        try:
            return convert(line.decode("ascii"))
        except ValueError as error:
            raise source.refused(f"got {line[:40]!r}, expected a number") from error

    return read


def _integer(text: str) -> Operand:
    return {"00": False, "01": True}[text] if text in {"00", "01"} else int(text, 10)


def _long_integer(text: str) -> int:
    return int(text.removesuffix("L"), 10)


def _index(text: str) -> int:
    index = int(text, 10)
    if index < 0:
        raise ValueError(text)
    return index


def _string_line(source: Source) -> Operand:
    """Read STRING: a quoted Python 2 string literal; escapes are kept as they stand."""
    line = source.line()
    if line is None:
        return Raw(CHUNK_BYTES)
    quoted = len(line) >= 2 and line[:1] == line[-1:] and line[:1] in {b'"', b"'"}
    if not quoted or (b"\\" in line and not source.lenient):
        raise source.refused("a string that is not quoted plainly")
    return _decoded(source, line[1:-1], "ascii")


def _unicode_line(source: Source) -> Operand:
    line = source.line()
    return Raw(CHUNK_BYTES) if line is None else _decoded(source, line, "raw-unicode-escape")


def _name_line(source: Source) -> Operand:
    line = source.line()
    if line is None:
        raise source.refused("a name of absurd length")
    return _decoded(source, line, "utf-8")


def _two_names(source: Source) -> tuple[Operand, Operand]:
    return _name_line(source), _name_line(source)


_u1, _u2, _u4, _u8 = _unsigned(1), _unsigned(2), _unsigned(4), _unsigned(8)
_index_line = _number_line(_index)

TABLE: dict[int, tuple[str, _Reader | None]] = {
    0x28: ("MARK", None),
    0x29: ("EMPTY_TUPLE", None),
    0x2E: ("STOP", None),
    0x30: ("POP", None),
    0x31: ("POP_MARK", None),
    0x32: ("DUP", None),
    0x42: ("BINBYTES", _counted(4)),
    0x43: ("SHORT_BINBYTES", _counted(1)),
    0x46: ("FLOAT", _number_line(float)),
    0x47: ("BINFLOAT", _float8),
    0x49: ("INT", _number_line(_integer)),
    0x4A: ("BININT", _signed4),
    0x4B: ("BININT1", _u1),
    0x4C: ("LONG", _number_line(_long_integer)),
    0x4D: ("BININT2", _u2),
    0x4E: ("NONE", None),
    0x50: ("PERSID", _name_line),
    0x51: ("BINPERSID", None),
    0x52: ("REDUCE", None),
    0x53: ("STRING", _string_line),
    0x54: ("BINSTRING", _counted(4, codec="ascii")),
    0x55: ("SHORT_BINSTRING", _counted(1, codec="ascii")),
    0x56: ("UNICODE", _unicode_line),
    0x58: ("BINUNICODE", _counted(4, codec="utf-8")),
    0x5D: ("EMPTY_LIST", None),
    0x61: ("APPEND", None),
    0x62: ("BUILD", None),
    0x63: ("GLOBAL", _two_names),
    0x64: ("DICT", None),
    0x65: ("APPENDS", None),
    0x67: ("GET", _index_line),
    0x68: ("BINGET", _u1),
    0x69: ("INST", _two_names),
    0x6A: ("LONG_BINGET", _u4),
    0x6C: ("LIST", None),
    0x6F: ("OBJ", None),
    0x70: ("PUT", _index_line),
    0x71: ("BINPUT", _u1),
    0x72: ("LONG_BINPUT", _u4),
    0x73: ("SETITEM", None),
    0x74: ("TUPLE", None),
    0x75: ("SETITEMS", None),
    0x7D: ("EMPTY_DICT", None),
    0x80: ("PROTO", _u1),
    0x81: ("NEWOBJ", None),
    0x82: ("EXT1", _u1),
    0x83: ("EXT2", _u2),
    0x84: ("EXT4", _u4),
    0x85: ("TUPLE1", None),
    0x86: ("TUPLE2", None),
    0x87: ("TUPLE3", None),
    0x88: ("NEWTRUE", None),
    0x89: ("NEWFALSE", None),
    0x8A: ("LONG1", _long(1)),
    0x8B: ("LONG4", _long(4)),
    0x8C: ("SHORT_BINUNICODE", _counted(1, codec="utf-8")),
    0x8D: ("BINUNICODE8", _counted(8, codec="utf-8")),
    0x8E: ("BINBYTES8", _counted(8)),
    0x8F: ("EMPTY_SET", None),
    0x90: ("ADDITEMS", None),
    0x91: ("FROZENSET", None),
    0x92: ("NEWOBJ_EX", None),
    0x93: ("STACK_GLOBAL", None),
    0x94: ("MEMOIZE", None),
    0x95: ("FRAME", _u8),
    0x96: ("BYTEARRAY8", _counted(8)),
    0x97: ("NEXT_BUFFER", None),
    0x98: ("READONLY_BUFFER", None),
}


def instructions(source: Source) -> Iterator[tuple[int, str, Operand]]:
    """Read one pickle, up to and with STOP; leave the source behind it.

    Raises ModelError for an unknown opcode, a broken operand, an instruction across the end of a frame
    (readers disagree about those) and an end before STOP.
    """
    source.frame_end = 0
    while True:
        if not source.ensure(1):
            raise source.truncated()
        start = source.base + source.index
        code = source.data[source.index]
        source.index += 1
        if code not in TABLE:
            raise source.refused(f"got byte 0x{code:02x}, expected a pickle instruction", position=start)
        name, read = TABLE[code]
        operand = read(source) if read else None
        if not source.lenient and start < source.frame_end < source.base + source.index:
            raise source.refused(f"{name} reaches over the end of its frame", position=start)
        if name == "FRAME" and not source.lenient:
            _enter_frame(source, start, operand)
        yield start, name, operand
        if name == "STOP":
            return


def _enter_frame(source: Source, start: int, size: Operand) -> None:
    if start < source.frame_end:
        raise source.refused("a frame within a frame", position=start)
    assert isinstance(size, int)
    source.frame_end = source.position + size
