"""What readers disagree about is told, and hostile files cost little time and room."""

import pickle
import struct
import zipfile
import zlib

import pytest

from lading.core.ports import ignore
from lading.core.scan import Policy
from lading.scan import scan


def found(tmp_path, data):
    (tmp_path / "model.bin").write_bytes(data)
    return scan(tmp_path, Policy(), second_opinion=False, events=ignore).findings


def entry(name, packed, at, raw_bytes, crc):
    plain = (20, 0, 8, 0, 0, crc, len(packed), raw_bytes, len(name), 0)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", *plain) + name + packed
    return local, struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *plain, 0, 0, 0, 0, at) + name


def end(count, directory_bytes, at, comment=b""):
    return struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, directory_bytes, at, len(comment)) + comment


def deflated(raw):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(raw) + packer.flush(), 0, len(raw), zlib.crc32(raw)


def test_a_zip_with_a_second_directory_behind_its_end_is_told(tmp_path):
    """PyTorch reads the one that the end names, zipfile the one before the end."""
    name = b"archive/data.pkl"
    good, told = entry(name, *deflated(pickle.dumps({})))
    shown = len(good) + 40 + len(told) + 22
    hidden = good + bytes(40)
    told = told[:42] + struct.pack("<I", shown - len(hidden)) + told[46:]
    data = hidden + told + end(1, len(told), shown, comment=bytes(len(told)))
    (tmp_path / "x.zip").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.namelist() == [name.decode()]
    assert any("where its end says" in one.why for one in found(tmp_path, data))


def test_members_that_lie_on_each_other_are_not_followed_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("lading.model.compression._ALWAYS_PLAUSIBLE_BYTES", 4 << 20)
    raw = b"{" + bytes(1 << 20)
    local, told = entry(b"a.json", *deflated(raw))
    count = 200
    data = local + told * count + end(count, len(told) * count, len(local))
    assert [one.why for one in found(tmp_path, data)] == ["more comes out of the file than is plausible"]


def nested(inside):
    """Return a pickle of pairs of pairs, which is small and would be printed for ever."""
    doubled = b"".join(b"h%ch%c\x86\x94" % (at, at) for at in range(60))
    return b"\x80\x04" + inside + b"K\x01\x94" + doubled + b"\x85R."


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "data",
    [
        b"<?xml version='1.0'?>" + b"<!DOCTYPE" * 110_000,
        b"<??>" * 250_000,
        nested(b"cnumpy\ndtype\n"),
    ],
)
def test_time_is_bounded(tmp_path, data):
    assert len(found(tmp_path, data)) <= 1


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("<!-- a > b -- c --><!DOCTYPE a SYSTEM 'x>y' [<!ATTLIST a b CDATA ''>]><a/>", True),
        ("<?xml version='1.0'?>" + " " * (1 << 20) + "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", True),
        ("<!DOCTYPE html><html>[1]</html>", False),
        ("<?xml version='1.0'?><a>[1]</a>", False),
    ],
)
def test_a_document_type_with_declarations_is_told(tmp_path, text, is_told):
    assert bool(found(tmp_path, text.encode())) is is_told
