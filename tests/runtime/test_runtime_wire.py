import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading_runtime import wire


@given(st.binary(max_size=50), st.lists(st.binary(max_size=40), max_size=4))
def test_a_message_is_read_as_it_was_written(header, buffers):
    message = b"".join(wire.frame(header, buffers))
    header_bytes, body_bytes = wire.lengths(message[: wire.PREFIX.size])
    body = memoryview(message)[wire.PREFIX.size + header_bytes :]
    assert len(body) == body_bytes
    assert message[wire.PREFIX.size :][:header_bytes].startswith(header)
    entries = [wire.tensor(str(i), "UINT8", [len(one)], one) for i, one in enumerate(buffers)]
    assert [bytes(data) for _, data in wire.split(entries, body)] == buffers


@given(st.binary(max_size=50))
def test_tensors_begin_at_a_multiple_of_eight_bytes(header):
    prefix, padded = wire.frame(header, [])
    assert (len(prefix) + len(padded)) % 8 == 0


def test_an_absurd_length_is_refused():
    with pytest.raises(wire.WireError):
        wire.lengths(struct.pack("<QQ", 1 << 62, 5))


@pytest.mark.parametrize("size", [-1, 3, 5, 1 << 40])
def test_tensors_that_do_not_add_up_are_refused(size):
    entry = {"name": "x", "parameters": {"binary_data_size": size}}
    with pytest.raises(wire.WireError):
        list(wire.split([entry], memoryview(b"four")))
