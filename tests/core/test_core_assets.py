"""Assets and references to them: every form of Azure ML's, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.assets import KINDS, Asset, AssetFile, AssetReference, tag_of
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, SpecError
from lading.core.reference import Reference

words = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-])){0,20}", fullmatch=True)
places = st.sampled_from([{}, {"registry": "shared"}, {"workspace": "team-a"}])
ends = st.one_of(st.just({}), words.map(lambda one: {"version": one}), words.map(lambda one: {"label": one}))
ARM = "/subscriptions/0-0/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


@given(st.sampled_from(KINDS), words, ends, places)
def test_a_reference_is_read_as_it_was_printed(kind, name, end, place):
    reference = AssetReference(kind, name, **end, **place)
    assert AssetReference.parse(str(reference), kind) == reference


@given(st.text(max_size=60) | words.map(lambda one: f"azureml://{one}/models/{one}"), st.sampled_from(KINDS))
def test_any_text_is_a_reference_or_a_spec_error(text, kind):
    try:
        parsed = AssetReference.parse(text, kind)
    except SpecError:
        return
    assert AssetReference.parse(str(parsed), kind) == parsed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("azureml:my-model:3", {"version": "3"}),
        ("azureml:my-model:1.0-rc.2", {"version": "1.0-rc.2"}),
        ("azureml:my-model@latest", {"label": "latest"}),
        ("azureml:my-model", {}),
        ("my-model:3", {"version": "3"}),
        ("my-model@prod", {"label": "prod"}),
        ("azureml://registries/R/models/my-model/versions/3", {"version": "3", "registry": "R"}),
        ("azureml://registries/R/models/my-model/labels/latest", {"label": "latest", "registry": "R"}),
        (
            "azureml://locations/eu/workspaces/w/models/my-model/versions/3",
            {"version": "3", "workspace": "w"},
        ),
        ("azureml://locations/eu/workspaces/w/models/my-model", {"workspace": "w"}),
        ("azureml://models/my-model/versions/3", {"version": "3"}),
        (
            "azureml://subscriptions/0/resourcegroups/g/workspaces/w/models/my-model/versions/3",
            {"version": "3", "workspace": "w"},
        ),
        (f"azureml:{ARM}/models/my-model/versions/3", {"version": "3", "workspace": "w"}),
        (f"{ARM}/models/my-model/labels/prod", {"label": "prod", "workspace": "w"}),
    ],
)
def test_every_form_of_a_reference_is_read(text, expected):
    assert AssetReference.parse(text, "model") == AssetReference("model", "my-model", **expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no reference"),
        ("azureml:", "is no reference"),
        ("a b:1", "got name 'a b'"),
        ("a..b:1", "got name 'a..b'"),
        ("a:.1", "got version '.1'"),
        ("a:1:2", "got version '1:2'"),
        ("azureml:{{MODEL}}:1", "is a placeholder"),
        ("models/a/versions/1", "is no reference"),
        ("azureml://registries/R/environments/a/versions/1", "refers to environments, expected models"),
        ("azureml://registries/R/models/a/versions", "is no reference"),
        ("azureml://registries/R/models/a/b/1", "has the part 'b'"),
        ("runs:/0/model", "is no reference"),
    ],
)
def test_what_is_no_reference_is_refused(text, said):
    with pytest.raises(SpecError, match=said):
        AssetReference.parse(text, "model")


@given(words, words)
def test_the_tag_of_a_version_is_a_tag_and_tells_it(name, version):
    tag = tag_of(name, version)
    assert str(Reference.parse(f"assets/models:{tag}").tag) == tag
    assert tag.split("..", 1) == [name, version]


def test_an_asset_is_read_as_it_was_written():
    files = (
        AssetFile("m/a.bin", Digest.of(b"a"), 1),
        AssetFile("m/run", Digest.of(b"b"), 1, is_executable=True),
    )
    asset = Asset(
        "model", "m", "1", "words", {"a": "b"}, {}, {"type": "custom_model"}, files, "2026", archived=True
    )
    assert Asset.from_json(asset.to_json(), "asset") == asset


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "", "a\0b"])
def test_a_path_that_leads_out_of_an_asset_is_refused(path):
    asset = Asset("model", "m", "1", files=(AssetFile(path, Digest.of(b"a"), 1),))
    with pytest.raises(IntegrityError, match="expected one below"):
        Asset.from_json(asset.to_json(), "asset")


@pytest.mark.parametrize(
    ("paths", "size", "said"),
    [("aa", 1, "'a' twice"), (("a", "a/b"), 1, "'a' is a file"), ("a", -1, "got -1")],
)
def test_files_that_cannot_lie_beside_each_other_are_refused(paths, size, said):
    asset = Asset("model", "m", "1", files=tuple(AssetFile(one, Digest.of(b"a"), size) for one in paths))
    with pytest.raises(IntegrityError, match=said):
        Asset.from_json(asset.to_json(), "asset")


def test_what_may_be_edited_is_not_content():
    asset = Asset("model", "m", "1", document={"type": "custom_model"})
    edited = Asset(
        "model", "m", "2", "words", {"a": "b"}, {"c": "d"}, asset.document, (), "2026", archived=True
    )
    assert edited.content == asset.content
    assert Asset("model", "m", "1", document={"type": "mlflow_model"}).content != asset.content
