"""What could run code is found in whatever it hides in; what is fine passes."""

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path

import joblib
import numpy as np
import onnx
import pytest
import skops.io as skops
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from lading.core.digest import Digest
from lading.core.errors import ModelError
from lading.core.ports import ignore
from lading.core.scan import Policy
from lading.scan import scan


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


EVIL = pickle.dumps(Evil())
OBJECTS = np.array([Evil()], dtype=object)
SYSTEM = f"{os.system.__module__}.system"


def zipped(data, name="inner.pkl", **options):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **options) as archive:
        archive.writestr(name, data)
        archive.writestr("readme.txt", "hello")
    return out.getvalue()


def tarred(data, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.GNU_FORMAT) as archive:
        entry = tarfile.TarInfo("inner")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def array(value):
    out = io.BytesIO()
    np.save(out, value, allow_pickle=True)
    return out.getvalue()


def respelt(descr):
    """Return an array of objects whose type is written as numpy reads it and does not write it."""
    header = repr({"descr": descr, "fortran_order": False, "shape": (1,)}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + EVIL


def zstd(data):
    if sys.version_info >= (3, 14):
        from compression import zstd as library
    else:
        from backports import zstd as library
    return library.compress(data)


def look(path, policy=None):
    return scan(path, policy or Policy(), second_opinion=False, events=ignore)


HIDES = {
    "plain": EVIL,
    "protocol 0": pickle.dumps(Evil(), 0),
    "behind another pickle": pickle.dumps([1, 2]) + EVIL,
    "zip": zipped(EVIL),
    "zip, deflated": zipped(EVIL, compression=zipfile.ZIP_DEFLATED),
    "zip, by another name": zipped(EVIL, name="weights/0.bin"),
    "zip in zip": zipped(zipped(EVIL), name="model.dat"),
    "zip behind a pickle": pickle.dumps({}) + zipped(EVIL),
    "tar": tarred(EVIL),
    "tar.gz": tarred(EVIL, "w:gz"),
    "tar.xz": tarred(EVIL, "w:xz"),
    "gzip": gzip.compress(EVIL),
    "gzip of zip": gzip.compress(zipped(EVIL)),
    "bz2": bz2.compress(EVIL),
    "xz": lzma.compress(EVIL),
    "lzma": lzma.compress(EVIL, format=lzma.FORMAT_ALONE),
    "zlib": zlib.compress(EVIL),
    "zstd": zstd(EVIL),
    "npy": array(OBJECTS),
    "npz": zipped(array(OBJECTS), name="a.npy"),
    "npy, its type spelt otherwise": respelt("object"),
    "npy, its type within another": respelt([("a", "object")]),
    "npy, behind another": array(np.zeros(3)) + array(OBJECTS),
    "npy, a pickle behind it": array(np.array([("a", 1)], dtype=[("x", "U1"), ("y", "i2", (1,))])) + EVIL,
    "tar behind a tar": tarred(b"hello") + tarred(EVIL),
    "tar behind blocks of zeros": bytes(1024) + tarred(EVIL),
    "joblib array": None,
}


@pytest.mark.parametrize("way", HIDES)
def test_a_call_is_found_wherever_it_hides(tmp_path, way):
    file = tmp_path / "model.bin"
    data = HIDES[way]
    joblib.dump({"a": OBJECTS}, file) if data is None else file.write_bytes(data)
    found = look(file)
    assert not found.passed
    assert SYSTEM in {one.name for one in found.findings}
    assert all(one.file == "model.bin" for one in found.findings)
    assert found.digests == {"model.bin": Digest.of(file.read_bytes())}


def test_what_is_fine_passes(tmp_path):
    model = LogisticRegression().fit(np.eye(4), [0, 1, 0, 1])
    for name, compress in (("plain", 0), ("zlib", 3), ("xz", ("xz", 3)), ("lz4", ("lz4", 1))):
        joblib.dump(model, tmp_path / f"{name}.joblib", compress=compress)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    (tmp_path / "ordered.pickle").write_bytes(pickle.dumps(OrderedDict(a=1)))
    np.savez(tmp_path / "arrays.npz", a=np.zeros((100, 100)), b=np.array(["x"]))
    np.savez_compressed(tmp_path / "small.npz", a=np.arange(1000))
    (tmp_path / "weights.tar").write_bytes(tarred(array(np.zeros(9))))
    (tmp_path / "notes.json").write_text('{"auto_map": null}')
    (tmp_path / "model.pmml").write_text('<?xml version="1.0"?><PMML version="4.4"/>')
    (tmp_path / "empty.pkl").touch()
    (tmp_path / "data.csv").write_text("x,y\n1,2\n")
    (tmp_path / "notes.txt").write_text("BZ is short for Belize")
    (tmp_path / "own.json").write_text('{"class_name": "Boat", "fields": [{"class_name": "os.system"}]}')
    found = look(tmp_path)
    assert found.passed, found.findings
    assert found.files == 15


def test_a_matrix_by_the_name_that_old_numpy_has_for_it_is_fine(tmp_path):
    data = pickle.dumps(np.zeros((1, 2)).view(np.matrix), 2)
    assert b"cnumpy\nmatrix\n" in data
    (tmp_path / "a.pkl").write_bytes(
        data.replace(b"cnumpy\nmatrix\n", b"cnumpy.matrixlib.defmatrix\nmatrix\n")
    )
    assert look(tmp_path).passed


@given(st.binary(max_size=400))
def test_any_bytes_end_in_a_verdict(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("any") / "x"
    file.write_bytes(data + b".")
    look(file)


def encrypted():
    data = bytearray(zipped(EVIL))
    entry = data.find(b"PK\x01\x02")
    data[entry + 8] |= 1
    return bytes(data)


def unlisted():
    data = zipped(EVIL)
    directory = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", directory + 1)
    end = data.index(b"PK\x05\x06")
    numbers = struct.pack("<HHII", 1, 1, end - second, directory)
    return data[:directory] + data[second:end] + data[end : end + 8] + numbers + b"\0\0"


def deep():
    data = EVIL
    for _ in range(12):
        data = zipped(data)
    return data


UNREADABLE = {
    "7-Zip": b"7z\xbc\xaf\x27\x1c" + bytes(40),
    "RAR": b"Rar!\x1a\x07\x00" + bytes(40),
    "marked as encrypted": encrypted(),
    "cut short": EVIL[:-3],
    "begins as a zip": zipped(EVIL)[:-30],
    "archives within archives": deep(),
    "its directory does not list": unlisted(),
    "shape": array(np.zeros(3)).replace(b"(3,), ", b"(-3,),", 1),
    "header": b"\x93NUMPY\x01\x00" + struct.pack("<H", 9) + b"{'descr':",
    "implausible": zipped(b"\x80\x04" + bytes(1 << 20), compression=zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("way", UNREADABLE)
def test_what_cannot_be_followed_fails(tmp_path, way):
    file = tmp_path / "model.bin"
    file.write_bytes(UNREADABLE[way])
    assert not look(file).passed


def test_configurations_and_compiled_code_are_told(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "modeling.Net"}}))
    (tmp_path / "native.so").write_bytes(b"\x7fELF" + bytes(60))
    (tmp_path / "weights.bin").write_bytes(b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0")
    (tmp_path / "readme.txt").write_bytes(b"MZ is how programs begin. " * 9)
    (tmp_path / "module.pyc").write_bytes(b"\xa7\x0d\x0d\x0a" + bytes(12))
    (tmp_path / "model.pmml").write_text(
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///b">]><a/>'
    )
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {loader_module: mine, code: code}}\n")
    found = look(tmp_path)
    by_rule = {}
    for one in found.findings:
        by_rule.setdefault(one.rule.id, []).append(one.file)
    assert by_rule == {
        "compiled-code": ["module.pyc", "native.so", "weights.bin"],
        "mlflow-code": ["MLmodel", "MLmodel"],
        "remote-code": ["config.json"],
        "xml-entity": ["model.pmml"],
    }


def test_a_policy_allows_and_denies_by_global_and_by_digest(tmp_path):
    (tmp_path / "evil.pkl").write_bytes(EVIL)
    (tmp_path / "fine.pkl").write_bytes(pickle.dumps(OrderedDict(a=1)))
    evil, fine = (Digest.of((tmp_path / name).read_bytes()) for name in ("evil.pkl", "fine.pkl"))
    assert look(tmp_path, Policy(allow_globals=(SYSTEM,))).passed
    assert look(tmp_path, Policy(allow_digests=(evil,))).passed
    assert not look(tmp_path, Policy(allow_globals=(SYSTEM,), deny_globals=("posix.*", "nt.*"))).passed
    denied = look(tmp_path, Policy(allow_digests=(evil,), deny_digests=(fine,)))
    assert [(one.rule.id, one.file) for one in denied.findings] == [("denied", "fine.pkl")]
    denied = look(tmp_path, Policy(allow_digests=(evil,), deny_globals=("collections.*",)))
    assert [(one.rule.id, one.name) for one in denied.findings] == [("denied", "collections.OrderedDict")]


def test_a_policy_allows_no_file_for_its_name(tmp_path):
    (tmp_path / "mine.pkl").write_bytes(pickle.dumps(1)[:-1] + b"\xff")
    assert not look(tmp_path, Policy(allow_globals=("mine.*",))).passed


def test_a_policy_denies_what_a_checkpoint_or_a_skops_file_names(tmp_path):
    denied = look(SAMPLES / "state.pth", Policy(deny_globals=("collections.*",))).findings
    assert [(one.rule.id, one.name) for one in denied] == [("denied", "collections.OrderedDict")]
    skops.dump(LogisticRegression(), tmp_path / "a.skops")
    name = "sklearn.linear_model._logistic.LogisticRegression"
    denied = look(tmp_path, Policy(deny_globals=(name,))).findings
    assert [(one.rule.id, one.name) for one in denied] == [("denied", name)]


def test_links_that_lead_elsewhere_are_followed(tmp_path):
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (elsewhere / "evil").write_bytes(EVIL)
    (here := tmp_path / "here").mkdir()
    (here / "model.pkl").symlink_to(elsewhere / "evil")
    assert {(one.file, one.name) for one in look(here).findings} == {("model.pkl", SYSTEM)}
    (here / "model.pkl").unlink()
    (here / "folder").symlink_to(elsewhere)
    assert [(one.rule.id, one.file) for one in look(here).findings] == [("unreadable", "folder")]


def test_nothing_to_scan_is_told(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ModelError):
            look(path)


SAMPLES = Path(__file__).parents[1] / "model" / "samples"


def test_models_of_every_format_are_followed_as_packing_follows_them():
    found = look(SAMPLES)
    assert {(one.rule.id, one.file) for one in found.findings} == {
        ("keras-code", "lambda.h5"),
        ("keras-code", "lambda.keras"),
        ("pickle-name", "net.pth"),
    }
    assert found.files > 20


def rewritten(drop=(), comment=b"", **more):
    """Return the sample with a Lambda, zipped otherwise, as Keras loads it all the same."""
    out = io.BytesIO()
    with zipfile.ZipFile(SAMPLES / "lambda.keras") as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            if entry.filename not in drop:
                target.writestr(entry, source.read(entry))
        for name, data in more.items():
            target.writestr(name, data)
        target.comment = comment
    return out.getvalue()


def config():
    with zipfile.ZipFile(SAMPLES / "lambda.keras") as archive:
        return archive.read("config.json")


def user_block():
    data = (SAMPLES / "lambda.h5").read_bytes()
    return bytes(1024) + data


LAMBDAS = {
    "with a comment": rewritten(comment=b"hello"),
    "without metadata": rewritten(drop=("metadata.json",)),
    "behind something": b"#!/bin/sh\n" + rewritten(),
    "its config alone": config(),
    "its config, among others": json.dumps({"a": [json.loads(config())]}).encode(),
    "its config, in UTF-16": config().decode().encode("utf-16"),
    "HDF5 with a user block": user_block(),
}


@pytest.mark.parametrize("way", LAMBDAS)
def test_code_in_a_network_of_keras_is_found_however_it_lies(tmp_path, way):
    (tmp_path / "model").write_bytes(LAMBDAS[way])
    assert "lambda" in {one.name for one in look(tmp_path).findings if one.rule.id == "keras-code"}


def test_what_a_network_is_trained_by_is_looked_at_too(tmp_path):
    loss = {"module": "shutil", "class_name": "function", "config": "rmtree", "registered_name": "function"}
    model = {"class_name": "Sequential", "module": "keras", "config": {}, "compile_config": {"loss": loss}}
    (tmp_path / "config.json").write_text(json.dumps(model))
    assert [one.name for one in look(tmp_path).findings] == ["shutil.rmtree"]


def test_types_of_skops_are_told(tmp_path):
    skops.dump([Evil(), os.system], tmp_path / "a.skops")
    found = {(one.rule.id, one.name) for one in look(tmp_path).findings}
    assert found == {("skops-type", SYSTEM), ("skops-type", f"{Evil.__module__}.Evil")}


def field(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


NODE = field(1, b"n") + field(2, b"Identity") + field(2, b"PyFunc")
META = field(1, field(4, b"serve")) + field(2, field(1, NODE))
GRAPHS = {
    "saved_model.pb": field(2, META) + b"\x08\x01",
    "frozen.pb": field(1, NODE),
    "model.ckpt.meta": META,
    "saved_model.pbtxt": b'meta_graphs { graph_def { node { name: "n" op: "PyFunc" } } }',
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_of_tensorflow_is_followed_in_any_form(tmp_path, name):
    """Of a field that is there twice, readers take the last; their order is anybody's."""
    (tmp_path / name).write_bytes(GRAPHS[name])
    (tmp_path / "model.zip").write_bytes(zipped(GRAPHS[name], name=name))
    found = {(one.rule.id, one.name, one.file) for one in look(tmp_path).findings}
    assert found == {("tensorflow-op", "PyFunc", one) for one in (name, "model.zip")}


@pytest.mark.parametrize(
    ("op", "attribute", "is_told"),
    [
        *(("ImmutableConst", b"", 1), ("RegisterDatasetV2", b"", 1), ("DebugIdentityV3", b"grpc://a", 1)),
        *(("DebugIdentityV3", b"", 0), ("PrintV2", b"stderr", 0), ("PrintV2", b"file:///x", 1)),
    ],
)
def test_operators_that_reach_out_are_told(tmp_path, op, attribute, is_told):
    node = field(1, b"n") + field(2, op.encode()) + field(5, attribute)
    meta = field(1, field(4, b"serve")) + field(2, field(1, node))
    (tmp_path / "saved_model.pb").write_bytes(field(2, meta) + b"\x08\x01")
    assert len(look(tmp_path).findings) == is_told


def test_a_pickle_by_the_name_of_a_graph_is_a_pickle(tmp_path):
    (tmp_path / "frozen.pb").write_bytes(EVIL)
    assert [one.name for one in look(tmp_path).findings] == [SYSTEM]


def test_code_beside_a_savedmodel_of_keras_is_found(tmp_path):
    layer = b'{"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {}}}}'
    (tmp_path / "keras_metadata.pb").write_bytes(field(1, field(5, layer)))
    assert [(one.rule.id, one.name) for one in look(tmp_path).findings] == [("keras-code", "lambda")]


def test_code_beside_the_weights_of_a_checkpoint_is_found(tmp_path):
    """What PyTorch itself would not read is still read by whoever looks into the archive."""
    file = tmp_path / "model.pth"
    with zipfile.ZipFile(SAMPLES / "state.pth") as source, zipfile.ZipFile(file, "w") as target:
        for entry in source.infolist():
            target.writestr(entry, source.read(entry))
        target.writestr("extra/hook.bin", EVIL)
    assert SYSTEM in {one.name for one in look(file).findings}


def graph(operator="Tokenise", domain="com.example", weights=None, functions=()):
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node(operator, ["x"], ["y"], domain=domain)
    ends = [helper.make_tensor_value_info(name, kind, [1]) for name in ("x", "y")]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    made = helper.make_graph([node], "g", ends[:1], ends[1:], [weights] if weights else [])
    return helper.make_model(made, opset_imports=opsets, functions=functions).SerializeToString()


def test_an_operator_of_a_library_of_ones_own_is_told(tmp_path):
    (tmp_path / "model.onnx").write_bytes(graph())
    (finding,) = look(tmp_path).findings
    assert (finding.rule.id, finding.name) == ("onnx-custom-op", "com.example")
    # readers pass over fields that they do not know
    (tmp_path / "model.onnx").write_bytes(b"\xa2\x06\x03abc" + graph())
    assert look(tmp_path).findings == (finding,)


def test_a_function_of_a_graph_hides_no_operator_beside_it(tmp_path):
    helper = onnx.helper
    inner = [helper.make_node("Identity", ["a"], ["b"])]
    own = helper.make_function("com.example", "Mine", ["a"], ["b"], inner, [helper.make_opsetid("", 18)])
    (tmp_path / "model.onnx").write_bytes(graph("Mine", functions=[own]))
    assert look(tmp_path).passed
    (tmp_path / "model.onnx").write_bytes(graph("Tokenise", functions=[own]))
    assert [one.name for one in look(tmp_path).findings] == ["com.example"]


def test_weights_of_a_graph_that_lie_elsewhere_are_told(tmp_path):
    weights = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    weights.external_data.add(key="location", value="../../etc/passwd")
    (tmp_path / "model.onnx").write_bytes(graph("Identity", "", weights))
    assert [one.name for one in look(tmp_path).findings] == ["../../etc/passwd"]
