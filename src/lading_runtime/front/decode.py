"""A request's bytes in, JSON values or table cells out; everything that cannot be read is refused."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import csv
import io
import json
import math
from array import array
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec

from lading_runtime.front.messages import Refusal, invalid, listed, quote, repeated
from lading_runtime.front.schema import Schema

# lists and objects within one another: one server's contracts all share the limit
_limits = {"depth": 100, "rows": 1_000_000}
_media_types: dict[bytes, tuple[str, dict[str, str]]] = {}
_MOST_REMEMBERED = 256
_MAX_DIGITS = 400
_SMALL_BYTES = 1024
LARGE_BYTES = 1 << 20
"""A body of more takes so long to read that others' requests come between."""
# lists and objects per row that is allowed: of all that JSON has, they cost the most time and memory
_LISTS_PER_ROW = 4
_NO_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
# an opening bracket as 1, a closing one as -1 in a signed byte
_STEPS = bytes(1 if one == ord("[") else 255 for one in range(256))
_TRUTH = {"true": True, "false": False}
_scan = msgspec.json.Decoder(msgspec.Raw).decode


def limit(*, depth: int, rows: int) -> None:
    """Set how deeply JSON may be nested, and for how many rows it may have lists, from now on."""
    _limits.update(depth=depth, rows=rows)


def media_type(headers: Mapping[bytes, bytes]) -> tuple[str, dict[str, str]]:
    """Read the content type, without one JSON; refuse compressed bodies and charsets but UTF-8."""
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        raise Refusal(415, f"got content-encoding {coding.decode('latin-1')!r}, expected none")
    given = headers.get(b"content-type", b"")
    known = _media_types.get(given)
    if known is None:
        known = _read_media_type(given)
        # clients name few, and one that makes up others cannot fill the memory
        if len(_media_types) < _MOST_REMEMBERED:
            _media_types[given] = known
    return known


def _read_media_type(given: bytes) -> tuple[str, dict[str, str]]:
    kind, *rest = (given.decode("latin-1") or "application/json").split(";")
    parameters = {}
    for one in rest:
        key, _, value = one.partition("=")
        parameters[key.strip().lower()] = value.strip().strip('"').lower()
    if parameters.get("charset", "utf-8") not in {"utf-8", "utf8"}:
        raise Refusal(415, f"got charset {parameters['charset']!r}, expected 'utf-8'")
    return kind.strip().lower(), parameters


def is_json(kind: str) -> bool:
    """Tell whether a media type is JSON's own or ends in +json (RFC 6839)."""
    return kind == "application/json" or kind.endswith("+json")


def parse_json(body: bytes, depth_limit: int | None = None) -> Any:
    """Read JSON; NaN and Infinity, which it does not have, are understood."""
    if len(body) > LARGE_BYTES:
        _check_lists(body, _LISTS_PER_ROW * _limits["rows"])
    _check_depth(body, depth_limit or _limits["depth"])
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _require_unicode(_parse_leniently(body, error))
    except RecursionError:
        raise Refusal(400, "got JSON that is nested too deeply") from None


def check_json(body: bytes, depth_limit: int | None = None) -> bytes:
    """Return a JSON text unchanged, having made sure that it is one."""
    _check_depth(body, depth_limit or _limits["depth"])
    try:
        _scan(body)
        body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _parse_leniently(body, error)
    except RecursionError:
        raise Refusal(400, "got JSON that is nested too deeply") from None
    return body


def _check_depth(body: bytes, limit: int) -> None:
    """Refuse deep nesting before anything is made of it; a small body has not as many brackets in all."""
    if len(body) < _SMALL_BYTES and body.count(b"[") + body.count(b"{") <= limit:
        return
    if _depth(_brackets(body)) > limit:
        raise Refusal(400, f"got JSON nested more than {limit} deep (LADING_DEPTH_LIMIT)")


def _check_lists(body: bytes, most: int) -> None:
    """Refuse more lists and objects than any request has that is within its rows, before they are made."""
    number = _lists(body)
    if number > most:
        number = _lists(_brackets(body))
    if number > most:
        what = f"got JSON of {number} lists and objects, expected at most {most}"
        raise Refusal(413, f"{what}, {_LISTS_PER_ROW} times the rows allowed (LADING_ROW_LIMIT)")


def _lists(body: bytes) -> int:
    return body.count(b"[") + body.count(b"{")


def _brackets(body: bytes) -> bytes:
    """Return the brackets of a JSON text, without those in its strings."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = body.translate(_ONE_KIND, _NO_BRACKETS)
    if b'"' not in marks:
        return marks
    outside = []
    is_string = False
    for start in range(0, len(marks), LARGE_BYTES):  # by pieces, for there may be as many strings as bytes
        texts = marks[start : start + LARGE_BYTES].split(b'"')
        outside += texts[is_string::2]
        is_string ^= len(texts) % 2 == 0
    return b"".join(outside)


def _depth(brackets: bytes) -> int:
    brackets = brackets.replace(b"[]", b"")  # the innermost, which are most, at once
    return 1 + max(accumulate(array("b", brackets.translate(_STEPS))), default=0)


def _parse_leniently(body: bytes, first: Exception) -> Any:
    try:
        return json.loads(body, parse_int=_integer, parse_float=_float)
    except RecursionError:
        raise Refusal(400, "got JSON that is nested too deeply") from None
    except ValueError as error:
        if not body.strip():
            raise Refusal(400, "got an empty body, expected JSON") from None
        strict = isinstance(error, (json.JSONDecodeError, UnicodeDecodeError))
        raise Refusal(400, f"got a body that is not JSON: {first if strict else error}") from None


def _require_unicode(value: Any) -> Any:
    """Refuse a lone surrogate, which JSON's escapes can spell but no message here can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refusal(400, "got a lone surrogate in a string, expected Unicode") from None
    except RecursionError:
        raise Refusal(400, "got JSON that is nested too deeply") from None
    return value


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        message = f"a number of {len(text)} digits"
        raise ValueError(message)
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        message = f"{text[:40]} is too large for a number"
        raise ValueError(message)
    return value


def parse_csv(
    body: bytes, schema: Schema, header: str | None, texts: Collection[str] = ()
) -> tuple[list[str] | None, list[list[Any]]]:
    """Read CSV; return the columns' names, None where there is no header, and rows of typed cells.

    `header` is the media type's parameter (RFC 4180): `present`, `absent` or None. With None a first line of
    numbers is data, and one of the model's column names is a header. Columns that `texts` names stay text,
    whatever it looks like.
    """
    if header not in {None, "present", "absent"}:
        raise Refusal(415, f"content-type: got header={quote(header)}, expected 'present' or 'absent'")
    lines = _lines(body)
    names = list(map(str.strip, lines[0])) if _has_header(lines[0], schema, header) else None
    data = lines[1:] if names is not None else lines
    if names is not None:
        _check_names(names, is_all=not data and not (header or schema.named))
    width = len(lines[0])
    for row, cells in enumerate(data):
        if len(cells) != width:
            raise invalid(f"row {row}: got {len(cells)} cells, expected {width} as in the first line")
    kinds = _kinds(schema, names, width, texts)
    columns = [
        _typed(kind, cells, f"column {names[at] if names else str(at)!r}")
        for at, (kind, cells) in enumerate(zip(kinds, zip(*data)))  # noqa: B905 - rows were measured
    ]
    return names, list(map(list, zip(*columns)))  # noqa: B905


def _lines(body: bytes) -> list[list[str]]:
    """Cut a text into lines of cells; empty lines are none."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refusal(400, f"got CSV that is not UTF-8 at byte {error.start}, expected UTF-8") from None
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # the body's own limit is what counts
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        what = "a quote that is not closed" if "unexpected end" in str(error) else str(error)
        raise Refusal(400, f"line {reader.line_num}: got a body that is not CSV: {what}") from None
    if not lines:
        raise Refusal(400, "got an empty CSV, expected at least one line")
    return lines


def _check_names(names: Sequence[str], *, is_all: bool) -> None:
    """Refuse a header with a name twice, and one that is `is_all` there is and may well be a row."""
    twice = repeated(names)
    if twice:
        raise invalid(f"line 1: got the columns {listed(twice)} more than once, expected each name once")
    if is_all:
        what = f"got one line, {listed(names)}, which was taken for a header, expected rows below it"
        raise invalid(f"{what}; the content type may say 'text/csv; header=absent'")


def _has_header(first: Sequence[str], schema: Schema, header: str | None) -> bool:
    if header in {"present", "absent"}:
        return header == "present"
    if all(_is_number(cell) for cell in first if cell.strip()):
        return False
    known = [column.name for column in schema.columns] if schema.named else []
    required = {column.name for column in schema.columns if column.required}
    given = set(map(str.strip, first))
    if not known or (required <= given and not given.isdisjoint(known)):
        return True
    message = f"line 1: got {listed(first)}, expected the columns {listed(known)} or a row of numbers"
    raise Refusal(400, f"{message}; the content type may say 'text/csv; header=absent'")


def _kinds(
    schema: Schema, names: Sequence[str] | None, width: int, texts: Collection[str]
) -> list[str | None]:
    if names is not None and schema.named:
        known = {column.name: column.kind for column in schema.columns}
        return [known.get(name) for name in names]
    if len(schema.columns) == width:
        return [column.kind for column in schema.columns]
    return ["string" if name in texts else None for name in names] if names and texts else [None] * width


def _typed(kind: str | None, cells: Sequence[str], where: str) -> list[Any]:
    """Read a column's cells; one that does not fit stays text, to be refused where its row is known.

    A column without a type is of numbers, or of true and false, where all its cells are, else of texts.
    """
    if kind in {"string", "binary", "datetime"}:
        return [cell or None for cell in cells]
    if kind == "BOOL":
        return [_TRUTH.get(cell.strip().lower(), cell) for cell in cells]
    numbers = [_number(cell) if cell.strip() else None for cell in cells]
    if kind is not None:
        return [
            cell if number is None and cell.strip() else number
            for cell, number in zip(cells, numbers)  # noqa: B905 - one number was made per cell
        ]
    strange = [row for row, (cell, one) in enumerate(zip(cells, numbers)) if one is None and cell.strip()]  # noqa: B905
    if not strange:
        return numbers
    words = {cell.strip().lower() for cell in cells if cell.strip()}
    if words <= _TRUTH.keys():
        return [_TRUTH.get(cell.strip().lower()) for cell in cells]
    if all(_is_number(cells[row]) for row in strange):
        got = cells[strange[0]].strip()
        raise invalid(
            f"{where}, row {strange[0]}: got {quote(got)}, expected a number that a double can hold"
        )
    return [cell or None for cell in cells]


def _number(text: str) -> float | None:
    """Read a number; None of what is none, or larger than a double can hold."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        return None
    if "_" in text or not text.isascii():
        return None
    if text.lstrip("+-").isdecimal() and len(text) <= _MAX_DIGITS:
        return int(text)
    return None if math.isinf(number) and "inf" not in text.lower() else number


def _is_number(text: str) -> bool:
    """Tell whether a text is spelled as a number, be it too large; Python's own spelling is not CSV's."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text and text.isascii()
