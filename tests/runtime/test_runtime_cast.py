import json
import math
import struct
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading_runtime.front.cast import Misfit, infer, pack
from lading_runtime.wire import ARRAY_CODES

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


def unpack(kind, data):
    values = array(ARRAY_CODES[kind])
    values.frombytes(data)
    return values.tolist()


@pytest.mark.parametrize("kind", [*ARRAY_CODES, "string", "binary", "datetime"])
@given(values=st.lists(SCALARS, max_size=6))
def test_a_cast_loses_nothing_or_is_refused(kind, values):
    try:
        datatype, data = pack(kind, values)
    except Misfit as misfit:
        with pytest.raises(Misfit):
            pack(kind, [values[misfit.index]])  # the one that is named is refused alone too
        return
    back = json.loads(data) if datatype == "JSON" else unpack(kind, data)
    for value, cast in zip(values, back, strict=True):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            assert cast is None or math.isnan(cast)
        elif kind == "FP32":
            nearest = struct.unpack("<f", struct.pack("<f", value))[0]
            assert cast == nearest
        elif kind not in {"binary", "datetime"}:
            assert cast == value


def test_a_text_that_is_missing_may_be_nan():
    assert pack("string", [math.nan, "a"]) == ("JSON", b'[null,"a"]')


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("INT64", 1.7),
        ("INT64", None),
        ("INT64", "1"),
        ("INT64", True),
        ("INT64", 1 << 63),
        ("INT64", 1e300),
        ("INT64", math.nan),
        ("INT32", 3e10),
        ("UINT8", -1),
        ("BOOL", "abc"),
        ("BOOL", None),
        ("BOOL", 1),
        ("FP64", "1.0"),
        ("FP64", True),
        ("FP64", (1 << 53) + 1),
        ("FP64", 10**400),
        ("FP64", [1.0]),
        ("FP32", 3e39),
        ("FP32", 16777217),
        ("FP32", 1e-50),
        ("string", 1),
        ("binary", "no base64!"),
        ("datetime", "yesterday"),
        ("datetime", 17),
    ],
)
def test_what_would_lose_something_is_refused_with_its_place(kind, value):
    fitting = {"BOOL": True, "string": "a", "binary": "QQ==", "datetime": "2026-01-02"}.get(kind, 1)
    with pytest.raises(Misfit) as caught:
        pack(kind, [fitting, value])
    assert caught.value.index == 1
    assert ", expected " in str(caught.value)


def test_a_long_float_that_is_refused_is_not_told_to_be_no_whole_number():
    with pytest.raises(Misfit) as caught:
        pack("INT64", [1e18])
    assert "beyond 2^53 without a point or an exponent" in str(caught.value)


def test_a_whole_float_is_a_whole_number():
    assert pack("INT64", [3.0, -2])[1] == array("q", [3, -2]).tobytes()


def test_a_time_is_brought_to_utc():
    moments = ["2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+01:00", None]
    expected = ["2026-01-02T00:00:00", "2026-01-02T03:04:05", "2026-01-02T02:04:05", None]
    assert json.loads(pack("datetime", moments)[1]) == expected


@pytest.mark.parametrize(
    ("values", "datatype"),
    [
        ([1, 2], "INT64"),
        ([1, 1 << 63], "UINT64"),
        ([-1, 1 << 63], "JSON"),
        ([1 << 64], "JSON"),
        ([1, 2.5], "FP64"),
        ([1, None], "FP64"),
        ([None], "FP64"),
        ([], "FP64"),
        ([True], "BOOL"),
        ([True, None], "JSON"),
        ([True, 1], "JSON"),
        (["a"], "JSON"),
        ([[1]], "JSON"),
    ],
)
def test_a_column_without_a_type_gets_the_one_a_frame_would_give_it(values, datatype):
    assert infer(values) == datatype


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(Misfit) as caught:
        pack("INT64", ["x" * 10_000])
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2020-01-01T00:00:00.123456789", "2020-01-01T00:00:00.123456789"),
        ("2020-01-01T00:00:00.123456789000Z", "2020-01-01T00:00:00.123456789"),
        ("2020-01-01 02:00:00.5+02:00", "2020-01-01T00:00:00.5"),
        ("2262-04-11T23:47:16.854775807", "2262-04-11T23:47:16.854775807"),
        ("1677-09-21T00:12:43.145224193", "1677-09-21T00:12:43.145224193"),
        ("2026-01-02", "2026-01-02T00:00:00"),
    ],
)
def test_a_time_is_kept_to_the_nanosecond(text, kept):
    assert json.loads(pack("datetime", [text])[1]) == [kept]
    assert str(np.datetime64(kept, "ns")).startswith(kept)


@pytest.mark.parametrize(
    "text",
    [
        "3000-01-01",
        "1600-01-01",
        "0001-01-01T00:00:00+05:00",
        "2262-04-11T23:47:16.854775808",
        "1677-09-21T00:12:43.145224192",
        "2020-01-01T00:00:00.1234567891",
    ],
)
def test_a_time_that_nanoseconds_cannot_hold_is_refused(text):
    with pytest.raises(Misfit, match="between 1677 and 2262"):
        pack("datetime", [text])
