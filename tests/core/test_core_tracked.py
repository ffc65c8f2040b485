"""The URIs of models that a tracking server keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.errors import SpecError
from lading.core.tracked import ModelURI, is_tracked

ID = "m-" + "0a" * 16
WORDS = st.text("abcXYZ019 ._-é", min_size=1).filter(lambda text: text not in {".", ".."})


@pytest.mark.parametrize(
    ("text", "asked", "name", "which", "path"),
    [
        ("models:/iris/3", "version", "iris", "3", ""),
        ("models:/team iris/12/sub/file", "version", "team iris", "12", "sub/file"),
        ("models:/iris@champion", "alias", "iris", "champion", ""),
        ("models:/iris@champion/sub", "alias", "iris", "champion", "sub"),
        ("models:/iris/latest", "latest", "iris", "latest", ""),
        ("models:/iris/Latest", "latest", "iris", "Latest", ""),
        ("models:/iris/Production", "stage", "iris", "Production", ""),
        (f"models:/{ID}", "model_id", "", ID, ""),
        (f"models:/{ID}/sub", "model_id", "", ID, "sub"),
        ("models:/m-of-my-own/3", "version", "m-of-my-own", "3", ""),
        ("runs:/0a1b/model", "run", "", "0a1b", "model"),
        ("runs:/0a1b", "run", "", "0a1b", ""),
        ("mlflow-artifacts:/0/models/x", "artifacts", "", "", "0/models/x"),
        ("mlflow-artifacts://files.example.com:5500/0/x", "artifacts", "", "files.example.com:5500", "0/x"),
    ],
)
def test_a_uri_tells_what_is_asked_for(text, asked, name, which, path):
    uri = ModelURI.parse(text)
    assert (uri.asked, uri.name, uri.which, uri.path) == (asked, name, which, path)
    assert is_tracked(text)
    assert str(uri) == text


@pytest.mark.parametrize(
    "text",
    [
        *("models:/", "models://iris/3", "models:/@champion", "models:/iris@", "models:/iris//3", "runs:/"),
        *(
            "runs:/../x",
            "models:/../1",
            "runs:/0a/../../etc",
            "mlflow-artifacts:/",
            "mlflow-artifacts:/a/../b",
            "mlflow-artifacts://host",
        ),
        *(
            "models:/iris/3\nx",
            "runs:/0a/a\\..\\b",
            "mlflow-artifacts:///",
            "mlflow-artifacts://me:pw@host/x",
        ),
    ],
)
def test_what_is_no_uri_is_refused_with_the_forms(text):
    with pytest.raises(SpecError, match="is no URI of a model") as caught:
        ModelURI.parse(text)
    assert "pw@" not in str(caught.value)


@given(WORDS, WORDS)
def test_a_uri_prints_as_it_was_written(name, below):
    for text in (f"models:/{name}@{below}", f"runs:/{name}/{below}", f"models:/{name}/7/{below}"):
        assert str(ModelURI.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["./runs", "/models/iris", "C:/models", "model.pkl", "azureml:iris:3", "s3://a/b"]
)
def test_a_path_is_none(text):
    assert not is_tracked(text)
