"""Laws of the walk: broken bytes never crash it, and it sees every name that a real unpickler looks up."""

from __future__ import annotations

import contextlib
import io
import pickle
import pickletools
import subprocess
import sys
import textwrap

import joblib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lading.core.errors import ModelError
from lading.model import inspect
from lading.model.opcodes import TABLE
from lading.model.source import Source
from lading.model.walk import walk

ROWS = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]]
MODEL = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, ["a", "b", "a", "b"])
PICKLES = [pickle.dumps(MODEL, protocol) for protocol in range(6)]


def joblib_bytes(**options) -> bytes:
    stream = io.BytesIO()
    joblib.dump(MODEL, stream, **options)
    return stream.getvalue()


FILES = [*PICKLES, joblib_bytes(), joblib_bytes(compress=("zlib", 3)), joblib_bytes(compress=("xz", 3))]
OPCODES = sorted(TABLE)


class MemoryStream:
    """A file in memory."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def read(self, limit_bytes: int, /) -> bytes:
        return self.file.read(limit_bytes)

    def skip(self, count_bytes: int, /) -> bool:
        return len(self.file.read(min(count_bytes, 1 << 30))) == count_bytes


class Stub:
    """Stands for any class: takes every argument, state and item."""

    def __new__(cls, *_, **__):
        return object.__new__(cls)

    def __call__(self, *_, **__):
        return Stub()

    def __setstate__(self, _):
        pass

    def __setitem__(self, _, __):
        pass

    def __hash__(self):
        return 0

    def ignore(self, _):
        pass

    append = extend = add = ignore


class Recorder(pickle._Unpickler):
    """The real machine, which looks up names but gets stubs."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self.names: set[tuple[str, str]] = set()

    def find_class(self, module, name):
        if self.proto < 3:
            renamed = pickle._compat_pickle.IMPORT_MAPPING.get(module, module), name
            module, name = pickle._compat_pickle.NAME_MAPPING.get((module, name), renamed)
        self.names.add((module, name))
        return Stub


def broken(data: bytes, at: int, change: int, *, cut: bool) -> bytes:
    at %= len(data)
    return data[:at] if cut else data[:at] + bytes([change]) + data[at + 1 :]


positions = st.integers(0, 1 << 20)
changes = st.one_of(st.sampled_from(OPCODES), st.integers(0, 255))
relaxed = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@relaxed
@given(data=st.sampled_from(FILES), at=positions, change=changes, cut=st.booleans())
def test_broken_files_give_facts_or_a_model_error(tmp_path, data, at, change, cut):
    path = tmp_path / "model"
    path.write_bytes(broken(data, at, change, cut=cut))
    # whatever else were raised would fail the test
    with contextlib.suppress(ModelError):
        inspect(path)


@relaxed
@given(payload=st.binary(max_size=200))
def test_arbitrary_bytes_give_a_model_error(tmp_path, payload):
    path = tmp_path / "model"
    path.write_bytes(b"\x80\x04" + payload)
    with pytest.raises(ModelError):
        inspect(path)


@relaxed
@given(data=st.sampled_from(PICKLES), at=positions, change=changes)
def test_every_name_that_a_real_unpickler_looks_up_was_seen(data, at, change):
    data = broken(data, at, change, cut=False)
    try:
        walked = walk(Source(MemoryStream(data), "model"))
    except ModelError:
        return
    recorder = Recorder(data)
    with contextlib.suppress(Exception):  # stubs are not what the pickle expects; the names alone matter
        recorder.load()
    assert recorder.names <= walked.names.keys()


@pytest.mark.parametrize("data", PICKLES, ids=range(6))
def test_every_truncation_is_a_model_error(data):
    for size in range(0, len(data), 7):
        with pytest.raises(ModelError):
            walk(Source(MemoryStream(data[:size]), "model"))


def test_the_table_of_opcodes_is_pickletools():
    theirs = {ord(one.code): (one.name, one.arg is not None) for one in pickletools.opcodes}
    assert {code: (name, reader is not None) for code, (name, reader) in TABLE.items()} == theirs


@pytest.mark.parametrize("data", PICKLES, ids=range(6))
def test_the_names_are_those_that_the_real_unpickler_looks_up(data):
    recorder = Recorder(data)
    recorder.load()
    assert walk(Source(MemoryStream(data), "model")).names.keys() == recorder.names


def test_nothing_is_executed_for_a_pickle_that_would(tmp_path):
    canary = tmp_path / "canary"
    path = tmp_path / "model.pkl"
    path.write_bytes(b"cos\nmkdir\n(V" + str(canary).encode() + b"\ntR.")
    facts = inspect(path)
    assert facts.risks[0].name == "os.mkdir"
    assert not canary.exists()
    pickle.loads(path.read_bytes())
    assert canary.exists()  # it would have


BIG = textwrap.dedent("""
    import sys
    from pathlib import Path
    from lading.model import inspect
    facts = inspect(Path(sys.argv[1]))
    # of this image alone: getrusage would count the process that it was forked from
    status = Path("/proc/self/status").read_text()
    print(facts.flavour, facts.risks, int(status.split("VmHWM:")[1].split()[0]) // 1024)
""")


@pytest.mark.parametrize("container", ["pickle", "joblib"])
def test_an_array_of_eight_gigabytes_is_skipped(container, tmp_path):
    size = 8 << 30
    path = tmp_path / "model"
    head, tail = _around_an_array(container, size)
    with path.open("wb") as file:
        file.write(head)
        file.seek(size, io.SEEK_CUR)
        file.write(tail)
    done = subprocess.run(
        [sys.executable, "-c", BIG, path], capture_output=True, text=True, check=True, timeout=60
    )
    flavour, memory_mb = done.stdout.split(" () ")
    assert flavour == "sklearn LogisticRegression"
    assert int(memory_mb) < 100


def _around_an_array(container: str, size: int) -> tuple[bytes, bytes]:
    """Write an estimator with one attribute of so many bytes; return what stands before and behind them."""
    head = b"\x80\x05csklearn.linear_model._logistic\nLogisticRegression\n)\x81}\x8c\x05coef_"
    dtype = b"cnumpy\ndtype\n(\x8c\x02f8\x89\x88tR"
    count = b"\x8a\x05" + (size // 8).to_bytes(5, "little") + b"\x85"
    if container == "pickle":
        head += b"cnumpy._core.numeric\n_frombuffer\n(\x8e" + size.to_bytes(8, "little")
        return head, dtype + count + b"\x8c\x01CtRsb."
    state = (
        b"\x8c\x08subclasscnumpy\nndarray\n\x8c\x05shape"
        + count
        + b"\x8c\x05order\x8c\x01C\x8c\x05dtype"
        + dtype
    )
    return head + b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(" + state + b"ub", b"sb."
