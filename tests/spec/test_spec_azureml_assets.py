"""The YAML of models and environments, as Azure ML writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.assets import AssetDraft
from lading.core.errors import SpecError
from lading.spec.azureml import environment, model

CONDA = "channels: [conda-forge]\ndependencies:\n  - python=3.11\n  - pip:\n    - scikit-learn==1.5.2\n"
ROUTES = (
    "{"
    + ", ".join(
        f"{one}_route: {{port: '8501', path: /{one}}}" for one in ("liveness", "readiness", "scoring")
    )
    + "}"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "conda.yaml").write_text(CONDA)
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def refused(dialect, text, folder, *overrides):
    with pytest.raises(SpecError) as caught:
        dialect.parse(text, folder / "asset.yml", overrides)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_model_is_read_with_its_type_its_tags_and_its_path(folder):
    text = (
        "$schema: https://example.com/latest/model.schema.json\nname: my-model\nversion: 1.0\n"
        "path: ./model\ntype: MLflow_Model\ntags: {a: 1}\nstage: Production\ndescription: words\n"
    )
    assert model.parse(text, folder / "model.yml") == AssetDraft(
        "model",
        "my-model",
        "1.0",
        "words",
        {"a": "1"},
        {},
        {"type": "mlflow_model", "stage": "Production"},
        folder / "model",
        folder / "model.yml",
    )


def test_overrides_come_before_validation(folder):
    found = model.parse(
        "name: m\ntype: x\n", folder / "m.yml", ["type=triton_model", "path=model", "tags.a=b"]
    )
    assert (found.document, found.path, found.tags) == (
        {"type": "triton_model"},
        folder / "model",
        {"a": "b"},
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: m\n", "path: is missing"),
        ('name: m\npath: ""\n', "asset.yml:2:7: path: got an empty text"),
        ("name: m\npath: nowhere\n", "asset.yml:2:7: path: No such file or directory: nowhere"),
        ("name: m\npath: model\ntype: onnx_model\n", "got 'onnx_model', expected 'custom_model'"),
        ("nmae: m\npath: model\n", "asset.yml:1:1: nmae: unknown key\n  fix: did you mean 'name'?"),
        ("name: m\npath: azureml://jobs/j/outputs/artifacts/paths/model/\n", "the output of a job"),
        ("name: m\npath: runs:/../model\n", "is no URI of a model"),
        ("name: m\npath: https://example.com/m\n", "a place elsewhere"),
        ("", "the file is empty"),
    ],
)
def test_a_model_that_cannot_be_is_refused(folder, text, said):
    assert said in refused(model, text, folder)


def test_a_conda_file_is_the_same_by_path_in_place_and_by_file(folder):
    indented = "".join(f"  {one}\n" for one in CONDA.splitlines())
    written = f"name: e\nimage: debian:bookworm\nconda_file:\n{indented}"
    by_path = environment.parse("name: e\nimage: debian:bookworm\nconda_file: conda.yaml\n", folder / "e.yml")
    by_file = environment.parse(
        "name: e\nimage: debian:bookworm\nconda_file: file:conda.yaml\n", folder / "e.yml"
    )
    assert environment.parse(written, folder / "e.yml") == by_path == by_file
    assert by_path.document["conda_file"]["dependencies"] == ["python=3.11", {"pip": ["scikit-learn==1.5.2"]}]


def test_flags_win_over_the_file(folder):
    given_ = environment.Given("debian:trixie", folder / "conda.yaml")
    found = environment.parse("name: e\nimage: debian:bookworm\n", folder / "e.yml", given=given_)
    assert found.document["image"] == "debian:trixie"
    assert "dependencies" in found.document["conda_file"]


def test_ports_of_routes_may_be_texts(folder):
    found = environment.parse(f"name: e\nimage: x/y:1\ninference_config: {ROUTES}\n", folder / "e.yml")
    assert found.document["inference_config"]["scoring_route"] == {"port": 8501, "path": "/scoring"}


def test_a_build_context_is_what_is_uploaded(folder):
    found = environment.parse("name: e\nbuild: {path: context}\n", folder / "e.yml")
    assert (found.path, found.document) == (folder / "context", {"build": {"dockerfile_path": "Dockerfile"}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image: x/y:1\n", "Environment name is required"),
        ("name: e\n", "Docker image or Dockerfile is required for environments"),
        ("name: e\nimage: x/y:1\nbuild: {path: context}\n", "should be provided not both"),
        ("name: e\nimage: x/y:1\nconda_file: no.yaml\n", "No such file or directory: no.yaml"),
        ("name: e\nimage: x/y:1\nconda_file: {name: c}\n", "has no list of 'dependencies'"),
        (
            "name: e\nimage: x/y:1\nconda_file: {dependencies: [{pip: [-r more.txt]}]}\n",
            "asset.yml:3:13: conda_file: '-r more.txt' includes another file",
        ),
        (
            "name: e\nbuild: {path: context, dockerfile_path: ../model}\n",
            "got '../model', expected a path below",
        ),
        (CONDA, "It looks like you are trying to specify a conda file for the --file/-f argument"),
        ("name: e\nbuild: {path: nowhere}\n", "No such file or directory: nowhere"),
        ("name: e\nbuild: {path: model}\n", "there is no 'Dockerfile' in model"),
        ("name: e\nbuild: {path: https://example.com/x.git}\n", "is not on this machine"),
        ("name: e\nimage: x/y:1\nos_type: windows\n", "packages are for Linux"),
        (
            "name: e\nimage: x/y:1\ninference_config: {scoring_route: {port: 1, path: /}}\n",
            "liveness_route: is missing",
        ),
        ("name: e\nimage: x/y:1\nimgae: z\n", "did you mean 'image'?"),
    ],
)
def test_an_environment_that_cannot_be_is_refused(folder, text, said):
    assert said in refused(environment, text, folder)


words = st.text("abcZ09 :{}'\"#-é\n", min_size=1, max_size=12)
names = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True)
tables = st.dictionaries(words, words, max_size=3)
routes = st.fixed_dictionaries({"port": st.integers(1, 65535), "path": st.just("/score")})
common = {
    "name": names,
    "version": st.none() | names,
    "description": st.none() | words,
    "tags": tables,
    "properties": tables,
}


@given(
    st.fixed_dictionaries(common),
    st.sampled_from(["custom_model", "mlflow_model", "triton_model"]),
    st.none() | words,
)
def test_a_model_is_read_as_it_was_written(tmp_path_factory, given_, kind, stage):
    folder = tmp_path_factory.getbasetemp()
    document = {"type": kind, **({"stage": stage} if stage else {})}
    draft = AssetDraft("model", **given_, document=document, path=folder, file=folder / "m.yml")
    assert model.parse(model.dump(draft, folder), folder / "m.yml") == draft


@given(st.fixed_dictionaries(common), st.lists(words, max_size=3), st.none() | routes)
def test_an_environment_is_read_as_it_was_written(tmp_path_factory, given_, dependencies, route):
    folder = tmp_path_factory.getbasetemp()
    document = {"image": "x/y:1", "conda_file": {"dependencies": dependencies}}
    if route:
        document["inference_config"] = dict.fromkeys(
            ("liveness_route", "readiness_route", "scoring_route"), route
        )
    draft = AssetDraft("environment", **given_, document=document, file=folder / "e.yml")
    assert environment.parse(environment.dump(draft, folder), folder / "e.yml") == draft


def test_what_azure_prints_of_an_asset_is_its_file(folder):
    printed = "id: azureml:/subscriptions/s\nlatest_version: 3\ncreation_context: {created_by: me}\n"
    text = f"name: m\npath: model\n{printed}job_name: j\n"
    assert model.parse(text, folder / "m.yml").name == "m"
    assert environment.parse(f"name: e\nimage: x\n{printed}", folder / "e.yml").name == "e"
    assert "job_name: unknown key" in refused(environment, "name: e\nimage: x\njob_name: j\n", folder)
