"""Pickles that would run code: each must give a risk that names what would run, or a ModelError."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import struct
import zlib

import joblib
import lz4.frame
import numpy as np
import pytest

from lading.core.errors import ModelError
from lading.model import inspect, refuse
from lading.model.compression import open_source
from lading.model.walk import walk

CANARY = "touch /tmp/lading-canary"


def text(value: str) -> bytes:
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def call(module: str, attribute: str, *arguments: str) -> bytes:
    """Push the result of a call with texts as arguments."""
    return name(module, attribute) + b"(" + b"".join(map(text, arguments)) + b"tR"


def whole(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


SYSTEM = whole(call("os", "system", CANARY))
LOGISTIC = ("sklearn.linear_model._logistic", "LogisticRegression")
ESTIMATOR = name(*LOGISTIC) + b")\x81"
WRAPPER = name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81"
FLOAT8 = name("numpy", "dtype") + b"(" + text("f8") + b"\x89\x88tR"
OBJECT8 = name("numpy", "dtype") + b"(" + text("O8") + b"\x89\x88tR"


def wrapped(dtype: bytes, count: int) -> bytes:
    """Push joblib's wrapper of an array; its bytes have to follow."""
    state = (
        *(text("subclass"), name("numpy", "ndarray"), text("shape"), b"K" + bytes([count]) + b"\x85"),
        *(text("order"), text("C"), text("dtype"), dtype, text("allow_mmap"), b"\x89"),
    )
    return WRAPPER + b"}(" + b"".join(state) + b"ub"


class Evil:
    """An element of an object array that runs a command when it is loaded."""

    def __reduce__(self):
        import os

        return os.system, (CANARY,)


GLOBALS = {
    "protocol 0": (b"cos\nsystem\n(S'" + CANARY.encode() + b"'\ntR.", "os.system"),
    "posix": (whole(call("posix", "system", CANARY)), "posix.system"),
    "eval": (whole(call("builtins", "eval", "1")), "builtins.eval"),
    "exec": (whole(call("builtins", "exec", "1")), "builtins.exec"),
    "compile": (whole(call("builtins", "compile", "1", "x", "exec")), "builtins.compile"),
    "getattr": (whole(call("builtins", "getattr", "a", "b")), "builtins.getattr"),
    "type": (whole(call("builtins", "type", "a")), "builtins.type"),
    "__import__": (whole(call("builtins", "__import__", "os")), "builtins.__import__"),
    "open": (whole(call("builtins", "open", "/etc/passwd")), "builtins.open"),
    "map": (whole(call("builtins", "map", "a")), "builtins.map"),
    "python 2 eval": (b"c__builtin__\neval\n(S'1'\ntR.", "builtins.eval"),
    "python 2 commands": (b"ccommands\ngetoutput\n(S'ls'\ntR.", "subprocess.getoutput"),
    "importlib": (whole(call("importlib", "import_module", "os")), "importlib.import_module"),
    "subprocess": (whole(call("subprocess", "Popen", "ls")), "subprocess.Popen"),
    "runpy": (whole(call("runpy", "run_path", "x.py")), "runpy.run_path"),
    "pty": (whole(call("pty", "spawn", "sh")), "pty.spawn"),
    "marshal": (whole(call("marshal", "loads", "x")), "marshal.loads"),
    "function from code": (whole(call("types", "FunctionType", "x")), "types.FunctionType"),
    "code object": (whole(call("types", "CodeType", "x")), "types.CodeType"),
    "methodcaller": (whole(call("operator", "methodcaller", "system")), "operator.methodcaller"),
    "attrgetter": (whole(call("operator", "attrgetter", "system")), "operator.attrgetter"),
    "file handler": (whole(call("logging", "FileHandler", "/tmp/x")), "logging.FileHandler"),
    "web browser": (whole(call("webbrowser", "open", "http://x")), "webbrowser.open"),
    "ctypes": (whole(call("ctypes", "CDLL", "libc.so.6")), "ctypes.CDLL"),
    "shutil": (whole(call("shutil", "rmtree", "/")), "shutil.rmtree"),
    "breakpoint": (whole(call("pdb", "run", "1")), "pdb.run"),
    "timeit": (whole(call("timeit", "timeit", "1")), "timeit.timeit"),
    "ssl": (whole(call("ssl", "get_server_certificate", "x")), "ssl.get_server_certificate"),
    "extension registry": (whole(call("copyreg", "add_extension", "os", "system")), "copyreg.add_extension"),
    "joblib.load": (whole(call("joblib.numpy_pickle", "load", "x")), "joblib.numpy_pickle.load"),
    "old joblib array": (
        whole(call("joblib.numpy_pickle", "ZNDArrayWrapper", "x")),
        "joblib.numpy_pickle.ZNDArrayWrapper",
    ),
    "cloudpickle": (
        whole(call("cloudpickle.cloudpickle", "_builtin_type", "CodeType")),
        "cloudpickle.cloudpickle._builtin_type",
    ),
    "numpy.load": (whole(call("numpy", "load", "x")), "numpy.load"),
    "numpy runstring": (
        whole(call("numpy.testing._private.utils", "runstring", "x")),
        "numpy.testing._private.utils.runstring",
    ),
    "numpy vectorize": (whole(call("numpy", "vectorize", "x")), "numpy.vectorize"),
    "numpy memmap truncates": (whole(call("numpy", "memmap", "/tmp/x", "u1", "w+")), "numpy.memmap"),
    "numpy builtins": (whole(name("numpy", "__builtins__")), "numpy.__builtins__"),
    "sklearn data": (
        whole(call("sklearn.datasets._base", "load_files", "/")),
        "sklearn.datasets._base.load_files",
    ),
    "sklearn download": (
        whole(call("sklearn.datasets._openml", "fetch_openml", "x")),
        "sklearn.datasets._openml.fetch_openml",
    ),
    "sklearn joblib": (whole(call("sklearn.externals.joblib", "load", "x")), "sklearn.externals.joblib.load"),
    "pandas pickle": (whole(call("pandas.io.pickle", "read_pickle", "x")), "pandas.io.pickle.read_pickle"),
    "pandas eval": (
        whole(call("pandas.core.computation.eval", "eval", "1")),
        "pandas.core.computation.eval.eval",
    ),
    "scipy distribution": (
        whole(call("scipy.stats._distn_infrastructure", "rv_continuous")),
        "scipy.stats._distn_infrastructure.rv_continuous",
    ),
    "dotted": (
        whole(name("collections", "OrderedDict.__init__.__globals__")),
        "collections.OrderedDict.__init__.__globals__",
    ),
    "listed class, other module": (
        whole(name("sklearn.linear_model", "LogisticRegression")),
        "sklearn.linear_model.LogisticRegression",
    ),
    "old style instance": (b"(S'" + CANARY.encode() + b"'\nios\nsystem\n.", "os.system"),
    "OBJ": (b"(cos\nsystem\nS'x'\no.", "os.system"),
    "NEWOBJ": (whole(name("subprocess", "Popen") + b"(" + text("ls") + b"t\x81"), "subprocess.Popen"),
    "NEWOBJ_EX": (whole(name("subprocess", "Popen") + b"(" + text("ls") + b"t}\x92"), "subprocess.Popen"),
    "name from the memo": (
        whole(text("system") + b"\x940" + text("os") + b"\x940" + b"h\x01h\x00\x93(" + text(CANARY) + b"tR"),
        "os.system",
    ),
    "thrown away": (whole(call("os", "system", CANARY) + b"0" + ESTIMATOR), "os.system"),
    "in an attribute": (
        whole(ESTIMATOR + b"}" + text("coef_") + call("os", "system", "x") + b"sb"),
        "os.system",
    ),
    "a listed function is called": (
        whole(call("sklearn.metrics._classification", "accuracy_score", "a")),
        "sklearn.metrics._classification.accuracy_score",
    ),
    "numpy object array": (
        whole(ESTIMATOR + b"}" + text("coef_") + pickle.dumps(np.array([Evil()]), 4)[2:-1] + b"sb"),
        "posix.system",
    ),
    "joblib object array": (
        whole(wrapped(OBJECT8, 1))[:-1] + pickle.dumps(np.array([Evil()]), 5) + b".",
        "posix.system",
    ),
}

REFUSED = {
    "computed name": (whole(text("os") + call("builtins", "str", "system") + b"\x93"), "computed"),
    "computed module": (whole(b"]" + text("system") + b"\x93"), "computed"),
    "extension 1": (whole(b"\x82\x01"), "extension code"),
    "extension 2": (whole(b"\x83\x01\x00"), "extension code"),
    "extension 4": (whole(b"\x84\x01\x00\x00\x00"), "extension code"),
    "persistent id": (b"Psome\n.", "persistent id"),
    "binary persistent id": (whole(text("x") + b"Q"), "persistent id"),
    "out-of-band buffer": (b"\x80\x05\x97.", "out-of-band"),
    "unknown instruction": (whole(b"\xff"), "0xff"),
    "unknown protocol": (b"\x80\x06N.", "protocol 6"),
    "memo read before written": (whole(b"h\x05"), "memo 5"),
    "empty stack": (whole(b"0"), "stack"),
    "no mark": (whole(b"t"), "mark"),
    "two results": (whole(b"NN"), "2 objects"),
    "a second pickle": (whole(ESTIMATOR) + SYSTEM, "behind the end"),
    "a call of a result": (whole(ESTIMATOR + b"(" + text("x") + b"tR"), "computed"),
    "computed arguments": (whole(name("builtins", "list") + b"]R"), "computed"),
    "a second state": (whole(ESTIMATOR + b"}b}b"), "second state"),
    "a special method in the state": (
        whole(ESTIMATOR + b"}" + text("__setstate__") + name("numpy", "exp") + b"sb"),
        "special methods",
    ),
    "a special method in the slots": (
        whole(ESTIMATOR + b"N}" + text("__setstate__") + name("numpy", "exp") + b"s\x86b"),
        "special methods",
    ),
    "a computed state": (whole(ESTIMATOR + call("collections", "OrderedDict") + b"b"), "computed state"),
    "state for a class": (whole(name(*LOGISTIC) + b"}b"), "no instance"),
    "append on an instance": (whole(ESTIMATOR + text("x") + b"a"), "no list"),
    "add to what is no set": (whole(b"](N\x90"), "no set"),
    "items on a list": (whole(b"]NNs"), "no dict"),
    "a key without a value": (whole(b"}(Nu"), "key without"),
    "a function for a function": (
        whole(
            name("numpy.random._pickle", "__generator_ctor")
            + name("numpy", "exp")
            + name("numpy", "exp")
            + b"\x86R"
        ),
        "handed to a function",
    ),
    "a function for a class": (
        whole(name("sklearn.neighbors._kd_tree", "KDTree") + name("numpy", "exp") + b"\x85R"),
        "handed",
    ),
    "reconstructor of a function": (
        whole(
            name("copyreg", "_reconstructor") + name("numpy", "exp") + name("builtins", "object") + b"N\x87R"
        ),
        "handed to a function",
    ),
    "partial": (whole(name("functools", "partial") + name("numpy", "exp") + b"\x85R"), "may not be bound"),
    "partial whose function is swapped": (
        whole(
            name("functools", "partial")
            + name("sklearn.utils.validation", "check_array")
            + b"\x85R"
            + b"("
            + name("numpy", "exp")
            + b")}Ntb"
        ),
        "may not be bound",
    ),
    "another encoding": (whole(call("_codecs", "encode", "x", "rot13")), "encoding"),
    "a frame within a frame": (
        b"\x80\x04\x95" + struct.pack("<Q", 20) + b"\x95" + struct.pack("<Q", 1) + b"N.",
        "frame",
    ),
    "an instruction across a frame's end": (
        b"\x80\x04\x95" + struct.pack("<Q", 2) + text("abc") + b".",
        "frame",
    ),
    "a frame beyond the end": (b"\x80\x04\x95" + struct.pack("<Q", 99) + b"N.", "frame"),
    # joblib reads the array behind the frame, a naive reader right behind the wrapper
    "an array inside of a frame": (
        b"\x80\x04\x95" + struct.pack("<Q", 999) + wrapped(FLOAT8, 1) + b"x" * 8 + b".",
        "frame",
    ),
    "a dtype that contradicts itself": (
        whole(wrapped(OBJECT8 + b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb", 1)),
        "contradicts",
    ),
    "an array of unknown length": (whole(wrapped(text("f8"), 1)), "dtype"),
    "a wrapper with another class": (
        whole(WRAPPER + b"}" + text("subclass") + name(*LOGISTIC) + b"sb"),
        "no numpy array",
    ),
    "a wrapper built twice": (whole(WRAPPER + b"\x94}" + text("x") + b"Nsb"), "does not write"),
    "a negative memo index": (b"\x80\x02Np-1\n.", "number"),
    "an endless number": (b"I" + b"9" * 5000 + b"\n.", "absurd length"),
    "a name that is no name": (whole(name("os\nsystem", "x;y")), "dotted name"),
    "text of Python 2": (b"\x80\x02U\x02\xff\xfe.", "Python 2"),
}


def walked(path):
    with open_source(path, path.name) as (source, _):
        return walk(source)


@pytest.mark.parametrize("kind", GLOBALS)
def test_what_would_run_is_named(kind, write):
    data, expected = GLOBALS[kind]
    risks = walked(write("model.pkl", data)).risks
    assert expected in risks
    assert risks[expected].where.startswith("model.pkl:")


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_followed_is_refused(kind, write):
    data, expected = REFUSED[kind]
    with pytest.raises(ModelError, match=expected) as caught:
        walked(write("model.pkl", data))
    assert caught.value.issues[0].where.startswith("model.pkl:")


@pytest.mark.parametrize(
    "compress",
    [zlib.compress, gzip.compress, bz2.compress, lzma.compress, lz4.frame.compress],
    ids=lambda one: one.__module__,
)
def test_compression_hides_nothing(compress, write):
    assert "os.system" in walked(write("model.pkl", compress(SYSTEM))).risks


@pytest.mark.parametrize(
    "body",
    [
        b"(" + b"]" * 3_000_000 + b"t",
        b"](" + b"]" * 3_000_000 + b"e",
        b"N" + b"\x94" * 3_000_000,
        b"](" + (b"X" + struct.pack("<I", 200_000) + b"a" * 200_000) * 800 + b"e",
        b"](" + b"}(K\x01Nu" * 500_000 + b"e",
    ],
    ids=["stack", "list", "memo", "texts", "dicts"],
)
def test_a_small_file_cannot_take_much_memory(body, write):
    with pytest.raises(ModelError, match="more memory than a file of"):
        walked(write("model.pkl", zlib.compress(whole(body))))


def test_bytes_behind_the_compressed_stream_are_refused(write):
    with pytest.raises(ModelError, match="behind"):
        walked(write("model.pkl", gzip.compress(whole(ESTIMATOR)) + gzip.compress(SYSTEM)))


def test_code_in_the_bytes_of_an_array_is_no_code_for_joblib(write):
    payload = call("os", "system", CANARY).ljust(80, b"0")
    facts = inspect(
        write("m", whole(ESTIMATOR + b"}" + text("coef_") + wrapped(FLOAT8, 10) + payload + b"sb"))
    )
    assert facts.risks == ()
    # pickle would take the bytes for instructions, so the bill must say that joblib has to load it
    assert facts.loader_options["serialization"] == "joblib"


def test_refusal_lists_every_risk_and_how_to_allow_them(write):
    body = (
        name(*LOGISTIC)
        + b")\x81}("
        + text("a")
        + call("os", "system", "x")
        + text("b")
        + call("pty", "spawn", "x")
        + b"ub"
    )
    facts = inspect(write("model.pkl", whole(body)))
    with pytest.raises(ModelError) as caught:
        refuse(facts, ())
    assert len(caught.value.issues) == 2
    assert "--allow-unsafe os.system --allow-unsafe pty.spawn" in str(caught.value)
    refuse(facts, {"os.system", "pty.spawn"})
    with pytest.raises(ModelError) as caught:
        refuse(facts, ["os.system"])
    assert [issue.what.split(":")[0] for issue in caught.value.issues] == ["pty.spawn"]


def test_a_cloudpickled_function_is_a_risk(write):
    import cloudpickle
    from sklearn.preprocessing import FunctionTransformer

    facts = inspect(write("model.pkl", cloudpickle.dumps(FunctionTransformer(lambda rows: rows))))
    assert "cloudpickle.cloudpickle._make_function" in {risk.name for risk in facts.risks}
    assert facts.loader_options["serialization"] == "cloudpickle"
    assert any(one.text.startswith("cloudpickle") for one in facts.requirements)


def test_a_class_of_a_script_is_a_risk_that_says_what_to_do(write):
    facts = inspect(write("model.pkl", whole(name("__main__", "Mine") + b")\x81")))
    assert "ship that as code" in facts.risks[0].why


def test_an_unknown_module_is_a_risk_that_says_what_to_do(write):
    facts = inspect(write("model.pkl", whole(name("mypkg_not_here.transforms", "Mine") + b")\x81")))
    assert facts.risks[0].name == "mypkg_not_here.transforms.Mine"
    assert facts.missing == ("mypkg_not_here",)
    with pytest.raises(ModelError, match="'mypkg_not_here': ship it as code, or name the library"):
        refuse(facts, ())


def test_a_package_given_in_place_of_its_folder_is_told(write):
    model = write("model.pkl", whole(name("mypkg_not_here.transforms", "Mine") + b")\x81"))
    write("src/mypkg_not_here/transforms.py", "class Mine: ...")
    code = write("src/mypkg_not_here/__init__.py", "").parent
    with pytest.raises(ModelError, match="is the package itself: give the folder that it lies in as code"):
        refuse(inspect(model, code=code), ())
    assert inspect(model, code=code.parent).risks == ()


def test_a_module_that_the_author_ships_is_no_risk(write):
    model = write("model.pkl", whole(name("mypkg.transforms", "Mine") + b")\x81"))
    code = write("src/mypkg/transforms.py", "class Mine: ...").parent.parent
    facts = inspect(model, code=code)
    assert facts.risks == ()
    assert facts.code == code
    assert facts.format == "sklearn"


@pytest.mark.parametrize("attacked", ["logging", "os"])
def test_a_folder_of_the_author_does_not_hide_the_standard_library(attacked, write):
    model = write("model.pkl", whole(ESTIMATOR + b"}" + text("x") + call(attacked, "anything", "x") + b"sb"))
    write(f"src/{attacked}/x.py", "")
    code = write(f"src/{attacked}.py", "").parent
    assert [risk.name for risk in inspect(model, code=code).risks] == [f"{attacked}.anything"]


def test_a_folder_without_python_is_no_module(write):
    model = write("model.pkl", whole(name("mypkg.transforms", "Mine") + b")\x81"))
    code = write("src/mypkg/data.csv", "a,b").parent.parent
    assert [risk.name for risk in inspect(model, code=code).risks] == ["mypkg.transforms.Mine"]


def test_joblib_writes_what_the_wrapper_in_these_tests_imitates(tmp_path):
    joblib.dump(np.ones(3), tmp_path / "x")
    assert walked(tmp_path / "x").padded_arrays
