"""Media types other than JSON: numpy's files against numpy, Parquet against pandas, SageMaker's Accept."""

import io
import json
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lading_runtime.front import media, npy
from lading_runtime.front.messages import Refusal
from lading_runtime.front.tensors import BYTES, Tensor

NPY, NPZ, PARQUET = "application/x-npy", "application/x-npz", "application/vnd.apache.parquet"
DTYPES = "?bBhHiIqQefd"


def saved(array):
    target = io.BytesIO()
    np.save(target, array, allow_pickle=False)
    return target.getvalue()


def plain(tensor):
    return np.array(tensor.listed()).reshape(tensor.shape)


@given(
    st.sampled_from([f"{order}{code}" for code in DTYPES for order in "<>"]).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0))
    ),
    st.booleans(),
)
def test_what_numpy_writes_is_read_as_it_was(array, fortran):
    tensor = npy.read(saved(np.array(array, order="F" if fortran else "C")))
    assert list(tensor.shape) == list(array.shape)
    assert np.array_equal(plain(tensor), array, equal_nan=array.dtype.kind == "f")


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=5), min_size=1))
def test_texts_are_read_and_written_as_numpy_has_them(texts):
    array = np.array(texts)
    assert npy.read(saved(array)).listed() == array.tolist()
    written = npy.write(Tensor("a", BYTES, [len(texts)], values=texts))
    assert np.load(io.BytesIO(written), allow_pickle=False).tolist() == array.tolist()


@given(
    arrays.arrays(st.sampled_from(["?", "<i4", "<i8", "<u2", "<f4", "<f8"]), arrays.array_shapes(min_dims=0))
)
def test_what_is_written_numpy_reads_as_it_was(array):
    written = npy.write(npy.read(saved(array)))
    read = np.load(io.BytesIO(written), allow_pickle=False)
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert read.tobytes() == array.tobytes()
    assert len(written) - array.nbytes == len(saved(array)) - array.nbytes


@given(st.binary(max_size=200))
def test_bytes_that_are_no_array_are_refused(data):
    with pytest.raises(Refusal):
        npy.read(data)
    with pytest.raises(Refusal):
        npy.read_all(data, 1000)


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused(at, byte):
    data = bytearray(saved(np.arange(12.0).reshape(3, 4)))
    data[at] = byte
    with suppress(Refusal):
        assert len(npy.read(bytes(data)).listed()) == 12


def test_objects_records_and_long_headers_are_refused():
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    for data in (
        pickled.getvalue(),
        saved(np.zeros(2, dtype=[("a", "<f8")])),
        saved(np.zeros(1, dtype="<c16")),
        saved(np.zeros(1, dtype="<M8[s]")),
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f",
        saved(np.zeros(3)).replace(b"(3,)", b"(9,)"),
    ):
        with pytest.raises(Refusal):
            npy.read(data)


def test_an_archive_is_unpacked_no_further_than_the_limit():
    target = io.BytesIO()
    np.savez_compressed(target, a=np.zeros(100_000))
    with pytest.raises(Refusal, match="LADING_BODY_LIMIT_BYTES"):
        npy.read_all(target.getvalue(), 100_000)
    (tensor,) = npy.read_all(target.getvalue(), 1_000_000)
    assert (tensor.name, list(tensor.shape)) == ("a", [100_000])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("text/html, */*;q=0.1", "application/json"),
        ("text/csv", "text/csv"),
        ("text/csv;q=0.1, application/x-npy", "application/x-npy"),
        ("application/json;q=0, text/*", "text/csv"),
        ("application/*", "application/json"),
        ("application/x-ndjson", "application/jsonlines"),
        ("application/xml", None),
        ("text/csv;q=x", None),
    ],
)
def test_a_client_is_given_what_it_likes_best(accept, expected):
    headers = {} if accept is None else {b"accept": accept.encode()}
    assert media.choose(headers, "application/json") == expected


def ask(served, body, kind="application/json", accept="*/*"):
    headers = {"content-type": kind, "accept": accept}
    status, answer, headers = served.ask("POST", "/invocations", body, headers)
    return status, answer, headers["content-type"]


def test_arrays_are_predicted_and_predictions_are_arrays(iris_server, named_model, iris):
    expected = named_model.predict(iris)
    for array in (iris.to_numpy(), np.asfortranarray(iris.to_numpy()), iris.to_numpy().astype(">f8")):
        status, answer, kind = ask(iris_server, saved(array), NPY, NPY)
        assert (status, kind) == (200, NPY)
        assert np.array_equal(np.load(io.BytesIO(answer)), expected)
    target = io.BytesIO()
    np.savez(target, iris.to_numpy())
    status, answer, _ = ask(iris_server, target.getvalue(), NPZ, NPZ)
    assert status == 200
    assert [array.tolist() for array in np.load(io.BytesIO(answer)).values()] == [expected.tolist()]


def test_predictions_are_csv_and_lines_where_they_are_asked_for(iris_server, named_model, iris):
    expected = [str(one) for one in named_model.predict(iris)]
    text = iris.to_csv(index=False, header=False)
    assert ask(iris_server, text, "text/csv", "text/csv") == (
        200,
        ("\n".join(expected) + "\n").encode(),
        "text/csv",
    )
    lines = iris.to_json(orient="records", lines=True, double_precision=15)
    status, answer, kind = ask(iris_server, lines, "application/jsonlines", "application/jsonlines")
    assert (status, answer.split(), kind) == (
        200,
        [one.encode() for one in expected],
        "application/jsonlines",
    )


def test_lines_that_are_none_are_refused_by_number(iris_server):
    status, answer, _ = ask(iris_server, "[1, 2, 3, 4]\n[1, 2,\n", "application/jsonlines")
    assert (status, json.loads(answer)["error"][:7]) == (400, "line 2:")
    assert ask(iris_server, "\n\n", "application/jsonlines")[0] == 400


def test_what_is_not_to_be_had_is_refused_with_406(iris_server):
    status, answer, _ = ask(iris_server, "[1, 2, 3, 4]", "application/json", "application/xml")
    assert status == 406
    assert "application/x-npy" in json.loads(answer)["error"]


def test_a_routines_answers_are_csv_where_they_are_tables(echo_server):
    assert (
        ask(echo_server, '[[1, 2.5, null], [true, false, "a,b"]]', accept="text/csv")[1]
        == b'1,2.5,\ntrue,false,"a,b"\n'
    )
    assert ask(echo_server, "[[1, [2]]]", accept="text/csv")[0] == 406
    assert (
        ask(echo_server, '{"a": 1}\n2\n', "application/jsonlines", "application/jsonlines")[1]
        == b'{"a":1}\n2\n'
    )


@pytest.fixture(scope="module")
def sagemaker(serve, bare_model):
    environ = {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv", "SAGEMAKER_MULTI_MODEL": "true"}
    with serve(bare_model, environ=environ) as served:
        yield served


def test_the_platform_may_set_what_is_answered(sagemaker):
    row = "5.1,3.5,1.4,0.2\n"
    assert sagemaker.ask("POST", "/invocations", row, {"content-type": "text/csv"})[1] == b"0\n"
    assert ask(sagemaker, row, "text/csv", "application/json")[1] == b'{"predictions":[0]}'


def test_batch_transform_is_told_how_to_send(sagemaker):
    assert json.loads(sagemaker.get("/execution-parameters")[1]) == {
        "MaxConcurrentTransforms": 16,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 6,
    }


def test_a_multi_model_endpoint_lists_and_invokes_the_one_model(sagemaker, iris_server):
    (model,) = json.loads(sagemaker.get("/models")[1])["models"]
    assert model["modelName"] == "iris"
    assert json.loads(sagemaker.get("/models/iris")[1]) == model
    assert sagemaker.post({"instances": [[5.1, 3.5, 1.4, 0.2]]}, "/models/iris/invoke")[0] == 200
    assert sagemaker.post({"model_name": "a", "url": "/opt/ml/models/a"}, "/models")[0] == 501
    assert iris_server.get("/models")[0] == 404


def parquet(frame, **more):
    target = io.BytesIO()
    frame.to_parquet(target, engine="pyarrow", **more)
    return target.getvalue()


def test_parquet_is_predicted_as_scikit_learn_does(iris_server, named_model, iris):
    expected = {"predictions": named_model.predict(iris).tolist()}
    shuffled = iris[iris.columns[::-1]].assign(other="x").set_index(iris.index[::-1])
    for frame in (iris, shuffled, iris.astype("float32").astype("float64")):
        status, answer, _ = ask(iris_server, parquet(frame), PARQUET)
        assert status == 200, answer
    assert json.loads(ask(iris_server, parquet(iris), PARQUET)[1]) == expected


SIGNATURE = {
    "inputs": [
        {"type": kind, "name": kind, "required": kind != "string"}
        for kind in ("long", "boolean", "string", "datetime", "binary")
    ]
}


@pytest.fixture(scope="module")
def typed(serve):
    from sklearn.preprocessing import FunctionTransformer

    more = {"bill_model": {"loader_options": {"file": "model.pkl", "method": "transform"}}}
    with serve(FunctionTransformer(), signature=SIGNATURE, **more) as served:
        yield served


def frame(**more):
    row = {
        "long": [2**53 + 1],
        "boolean": [True],
        "string": ["a"],
        "datetime": pd.to_datetime(["2020-01-01"]),
        "binary": [b"hi"],
    }
    return pd.DataFrame({**row, **more})


def test_parquets_types_are_the_signatures(typed):
    status, answer, _ = ask(typed, parquet(frame()), PARQUET)
    (record,) = json.loads(answer)["predictions"]
    assert (status, record["long"], record["boolean"], record["string"]) == (200, 2**53 + 1, True, "a")
    assert record["datetime"].startswith("2020-01-01T00:00:00")
    assert record["binary"] == "aGk="


@pytest.mark.parametrize("wrong", [{"long": [1.5]}, {"boolean": [None]}, {"string": [1]}, {"long": ["x"]}])
def test_parquet_is_cast_without_loss_or_refused_by_column_and_row(typed, wrong):
    status, answer, _ = ask(typed, parquet(frame(**wrong)), PARQUET)
    assert status == 400
    assert f"column {next(iter(wrong))!r}, row 0" in json.loads(answer)["error"]


@pytest.mark.parametrize("body", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_refused(iris_server, body):
    assert ask(iris_server, body, PARQUET)[0] == 400


def test_without_a_library_parquet_is_a_media_type_that_is_not_supported(serve):
    files = {
        "model.py": """
            import sys
            sys.modules["pyarrow"] = None
            class Model:
                n_features_in_ = 1
                def predict(self, data):
                    return data
        """
    }
    with serve(LAZY, files=files) as served:
        status, answer, _ = ask(served, b"PAR1", PARQUET)
    assert status == 415
    assert "pyarrow" in json.loads(answer)["error"]


# a pickle that imports `model.Model` where it is loaded, and only there
LAZY = b"cmodel\nModel\n)R."
