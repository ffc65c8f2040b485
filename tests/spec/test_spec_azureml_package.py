"""A model package's YAML, as Azure ML writes it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.assets import AssetReference
from lading.core.errors import SpecError
from lading.spec.azureml import package
from lading.spec.azureml.package import (
    BaseEnvironmentSource,
    CodeConfiguration,
    InferenceConfiguration,
    InferencingServer,
    Input,
    InputPath,
    ModelConfiguration,
    ModelPackage,
    Route,
)
from lading.spec.azureml.text import Place

EXTERNAL = """\
$schema: http://azureml/sdk-2-0/ModelVersionPackage.json
base_environment_source:
    type: environment_asset
    resource_id: azureml:sklearn-regression-env:1
target_environment: sklearn-regression-docker-pkg
inferencing_server:
    type: azureml_online
    code_configuration:
      code: src
      scoring_script: score.py
model_configuration:
  mode: copy
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/score.py").write_text("def init(): ...\ndef run(x): ...\n")
    return tmp_path


def parse(text, folder, *overrides):
    warnings = []
    found = package.parse(text, folder / "package.yml", overrides, lambda event: warnings.append(event.text))
    return found, [one.replace(f"{folder}/", "") for one in warnings]


def refused(text, folder, *overrides):
    with pytest.raises(SpecError) as caught:
        parse(text, folder, *overrides)
    return [str(one).replace(f"{folder}/", "") for one in caught.value.issues]


def minimal(
    text="", target="target_environment: pkg\n", server="inferencing_server: {type: azureml_online}\n"
):
    return target + server + text


def test_azures_own_sample_is_read(folder):
    found, warnings = parse(EXTERNAL, folder)
    assert found == ModelPackage(
        target_environment="sklearn-regression-docker-pkg",
        base_environment_source=BaseEnvironmentSource(
            "environment_asset", "azureml:sklearn-regression-env:1"
        ),
        inferencing_server=InferencingServer(
            "azureml_online",
            code_configuration=CodeConfiguration(Place(folder / "src"), "score.py"),
        ),
        model_configuration=ModelConfiguration("copy"),
    )
    assert not warnings
    assert found.target == AssetReference("environment", "sklearn-regression-docker-pkg")


def test_the_keys_of_2023_are_read_with_a_warning(folder):
    old = EXTERNAL.replace("target_environment:", "target_environment_version: 3\ntarget_environment_name:")
    old = old.replace("scoring_script", "entry_script").replace("mode: copy", "mode: ReadonlyMount")
    found, warnings = parse(old, folder)
    assert str(found.target) == "azureml:sklearn-regression-docker-pkg:3"
    assert found.inferencing_server.code_configuration.scoring_script == "score.py"
    assert found.model_configuration.delivery == "download"
    assert [one.splitlines()[0].partition(": ")[2] for one in warnings] == [
        "model_configuration.mode: a package mounts nothing: it is downloaded",
        "target_environment_name: is the spelling of before December 2023",
        "inferencing_server.code_configuration.entry_script: is an older spelling",
    ]


@pytest.mark.parametrize(
    ("target", "reference"),
    [
        ("pkg", AssetReference("environment", "pkg")),
        ("{name: pkg}", AssetReference("environment", "pkg")),
        ("{name: pkg, version: 1.0}", AssetReference("environment", "pkg", "1.0")),
        ("pkg:3", AssetReference("environment", "pkg", "3")),
        ("azureml:foo-bar:3", AssetReference("environment", "foo-bar", "3")),
        (
            "azureml://registries/shared/environments/pkg/versions/2",
            AssetReference("environment", "pkg", "2", registry="shared"),
        ),
        (
            "azureml://registries/shared/environments/pkg",
            AssetReference("environment", "pkg", registry="shared"),
        ),
        (
            "azureml://locations/westus/workspaces/other/environments/pkg/versions/2",
            AssetReference("environment", "pkg", "2", workspace="other"),
        ),
    ],
)
def test_a_target_is_a_name_a_version_of_it_or_a_full_location(target, reference, folder):
    found, _ = parse(minimal(target=f"target_environment: {target}\n"), folder)
    assert found.target == reference


def test_what_azures_sdk_cannot_load_is_read(folder):
    text = """\
target_environment: tf
inferencing_server:
  type: custom
  inference_configuration:
    liveness_route: {port: 8501, path: /v1/models/m}
    readiness_route: {port: "8501", path: /v1/models/m}
    scoring_route: {port: 8501, path: "/v1/models/m:predict"}
    entry_script: serve --all
    configuration: {a: 1}
inputs:
- type: UriFolder
  mode: ReadOnlyMount
  mount_path: a
  path: {input_path_type: PathId, resource_id: "azureml:d:1"}
- {type: uri_file, mode: Copy, path: {input_path_type: url, url: "https://example.com/x"}}
- type: uri_file
  mode: Download
  path: {input_path_type: path_version, resource_name: n, resource_version: 1.0}
- {type: uri_file, path: "azureml:d@latest"}
- {type: uri_file, path: https://example.com/x}
- {type: uri_file, path: {resource_name: n, resource_version: 2}}
"""
    found, _ = parse(text, folder)
    route = Route(8501, "/v1/models/m")
    assert found.inferencing_server.inference_configuration == InferenceConfiguration(
        route, route, Route(8501, "/v1/models/m:predict"), "serve --all", {"a": "1"}
    )
    assert found.inputs == (
        Input("uri_folder", "read_only_mount", "a", InputPath("path_id", "azureml:d:1")),
        Input("uri_file", "copy", None, InputPath("url", url="https://example.com/x")),
        Input(
            "uri_file", "download", None, InputPath("path_version", resource_name="n", resource_version="1.0")
        ),
        Input("uri_file", None, None, InputPath("path_id", "azureml:d@latest")),
        Input("uri_file", None, None, InputPath("url", url="https://example.com/x")),
        Input("uri_file", None, None, InputPath("path_version", resource_name="n", resource_version="2")),
    )
    assert [one.delivery for one in found.inputs] == ["download", "copy", *["download"] * 4]


def test_environment_variables_are_texts(folder):
    text = minimal('environment_variables: {A: 1, B: true, C: 1.10, D: "x", E: }\ntags: {a: 1}')
    found, _ = parse(text, folder)
    assert found.environment_variables == {"A": "1", "B": "true", "C": "1.10", "D": "x", "E": ""}
    assert found.tags == {"a": "1"}


def test_code_is_a_folder_or_an_asset(folder):
    text = minimal(
        server="inferencing_server:\n  type: azureml_online\n"
        "  code_configuration: {code: azureml:code:1, scoring_script: score.py}\n"
    )
    code = parse(text, folder)[0].inferencing_server.code_configuration.code
    assert code == "azureml:code:1"
    assert code.path is None


def test_everything_wrong_is_told_at_once(folder):
    text = """\
name: x
base_environment_source: {type: EnvironmentAsset, resource_id: "azureml:/x"}
inferencing_server:
  type: azureml_onlin
  code_configuration: {code: src}
  inference_configuration:
    scoring_route: {port: 0}
model_configuration: {mode: mount, mount_path: ../x}
inputs:
- {path: {input_path_type: url, resource_id: "azureml:x:1"}}
- {type: mltable, path: {}}
environment_variables: {"a-b": 1}
"""
    found = [one.splitlines()[0] for one in refused(text, folder)]
    assert sorted(one.partition(": ")[2] for one in found) == sorted(
        [
            "name: unknown key",
            "base_environment_source.resource_id: environment 'azureml:/x': is no reference",
            "inferencing_server.type: got 'azureml_onlin', expected "
            + " or ".join(map(repr, package.ServerType.__args__)),
            "inferencing_server.code_configuration: 'scoring_script' is missing",
            "inferencing_server.inference_configuration.scoring_route: 'path' is missing",
            "inferencing_server.inference_configuration.scoring_route.port: got 0, expected 1 to 65535",
            "model_configuration.mode: got 'mount', expected 'copy' or 'download' or 'read_only_mount'",
            "model_configuration.mount_path: got '../x', expected a path without '..'",
            "inputs[0].path: 'url' needs 'url'",
            "inputs[0].path.resource_id: does not go with the type 'url'",
            "inputs[1].type: got 'mltable', expected 'uri_file' or 'uri_folder'",
            "inputs[1].path: 'input_path_type' is missing, one of path_id, url, path_version",
            "environment_variables: got 'a-b', expected a variable's name",
            "target_environment: is missing",
        ]
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (minimal(target=""), "package.yml: target_environment: is missing"),
        (minimal(server=""), "package.yml: inferencing_server: is missing"),
        (
            minimal(server="inferencing_server: {}\n"),
            "package.yml:2:21: inferencing_server: 'type' is missing",
        ),
        (
            minimal("target_environment_name: x"),
            "package.yml:3:26: target_environment_name: stands beside 'target_environment'",
        ),
        (
            minimal(target="target_environment: pkg@latest\n"),
            "package.yml:1:21: target_environment: got the label 'latest', expected a version or none",
        ),
        (
            minimal(target="target_environment: {{TARGET}}\n"),
            "package.yml:1:21: target_environment: got the placeholder '{{TARGET}}', expected",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(text, complaint, folder):
    (found,) = refused(text, folder)
    assert found.startswith(complaint)


def test_an_input_that_cannot_be_read_gives_no_other_its_number(folder):
    inputs = "inputs:\n- azureml:x:1\n- {path: {input_path_type: path_version, resource_name: x}}\n"
    found = refused(f"target_environment: x\ninferencing_server: {{type: triton}}\n{inputs}", folder)
    assert found == ["package.yml:4:3: inputs[0]: got 'azureml:x:1', expected keys and values"]


def test_code_that_is_not_there_is_told(folder):
    server = (
        "inferencing_server: {{type: azureml_online, code_configuration: {{code: {}, scoring_script: {}}}}}\n"
    )
    (found,) = refused(minimal(server=server.format("scr", "score.py")), folder)
    assert "code_configuration.code: " in found
    assert "does not exist" in found
    (found,) = refused(minimal(server=server.format("src", "main.py")), folder)
    assert "code_configuration.scoring_script: there is no 'main.py' in " in found
    (found,) = refused(minimal(server=server.format("azureml:c:1", "../score.py")), folder)
    assert "got '../score.py', expected a path inside of 'code'" in found


def test_overrides_may_say_it_all(folder, monkeypatch):
    monkeypatch.chdir(folder)
    overrides = ["target_environment=pkg", "inferencing_server.type=AzureML_Online"]
    found = package.parse("", None, overrides)
    assert found == ModelPackage("pkg", inferencing_server=InferencingServer("azureml_online"))


words = st.text("abcxyz019._- {}:'\"\n", min_size=1, max_size=8)
paths = st.text("abc/:{} ", min_size=1, max_size=8).filter(lambda text: text.strip() == text)
routes = st.none() | st.builds(Route, st.none() | st.integers(1, 65535), words.map(lambda one: f"/{one}"))
maps = st.dictionaries(st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,5}\Z"), words, max_size=3)
modes = st.sampled_from([None, "copy", "download", "read_only_mount"])
packages = st.builds(
    ModelPackage,
    target_environment=st.sampled_from(
        ["pkg", "a-b:3", "azureml:a:1.0", "azureml://registries/r/environments/e"]
    ),
    base_environment_source=st.none()
    | st.builds(
        BaseEnvironmentSource,
        st.sampled_from([None, "environment_asset"]),
        st.sampled_from(
            ["azureml:e:1", "azureml:e-f@latest", "/subscriptions/s/workspaces/w/environments/e/versions/1"]
        ),
    ),
    inferencing_server=st.builds(
        InferencingServer,
        st.sampled_from(package.ServerType.__args__),
        st.none() | words,
        st.none() | st.builds(CodeConfiguration, st.just(Place("azureml:c:1")), st.just("a/score.py")),
        st.none() | st.builds(InferenceConfiguration, routes, routes, routes, st.none() | words, maps),
    ),
    model_configuration=st.none() | st.builds(ModelConfiguration, modes, st.none() | st.just("a/b")),
    inputs=st.lists(
        st.builds(
            Input,
            st.sampled_from([None, "uri_file", "uri_folder"]),
            modes,
            st.none() | st.just("x"),
            st.builds(InputPath, st.just("path_id"), words)
            | st.builds(InputPath, st.just("url"), url=words)
            | st.builds(InputPath, st.just("path_version"), resource_name=words, resource_version=words),
        ),
        max_size=2,
    ).map(tuple),
    environment_variables=maps,
    tags=maps,
)


@given(packages)
def test_a_package_that_is_dumped_is_read_back_without_loss(found):
    folder = Path("/folder")
    assert package.parse(package.dump(found, folder), folder / "package.yml") == found


LINES = [
    *EXTERNAL.splitlines(keepends=True),
    "inputs:\n- {type: uri_file, path: {input_path_type: url, url: x}}\n",
    "environment_variables: {A: 1}\n",
    *(
        "{{X}}",
        "&a ",
        "*a",
        "file:package.yml",
        "[",
        "}",
        "- ",
        "\n",
        "  ",
        "? ",
        "|",
        "\x00",
        "<<: ",
        "1e9",
        "'",
    ),
]
OVERRIDES = [
    "tags.a=x",
    "inputs[0].type=",
    "inputs[9].x=1",
    "a..b=x",
    "=",
    "[0]=x",
    "tags=[",
    "tags={a: {{X}}}",
]


@given(st.lists(st.sampled_from(LINES)).map("".join), st.lists(st.sampled_from(OVERRIDES), max_size=2))
def test_whatever_the_text_it_is_a_package_or_its_issues_are_told(text, overrides):
    with contextlib.suppress(SpecError):
        found = package.parse(text, Path("/folder/package.yml"), overrides)
        assert package.parse(package.dump(found), Path("/folder/package.yml")) == found


def test_a_dump_lies_in_its_folder(folder):
    found, _ = parse(EXTERNAL, folder)
    text = package.dump(found, folder)
    assert "code: ./src\n" in text
    assert parse(text, folder) == (found, [])


def test_merge_keys_bring_what_is_not_there(tmp_path):
    scoring = "scoring_route: {path: /b, <<: [*r]}"
    routes = f"liveness_route: &r {{port: 80, path: /a}}, readiness_route: {{<<: *r}}, {scoring}"
    server = f"{{type: custom, inference_configuration: {{{routes}}}}}"
    text = f"target_environment: x\ninferencing_server: {server}\n"
    found = package.parse(text, tmp_path / "p.yml").inferencing_server.inference_configuration
    assert found.readiness_route == found.liveness_route == package.Route(80, "/a")
    assert found.scoring_route == package.Route(80, "/b")
    recursive = text.replace("{<<: *r}", "&s {<<: *s, port: 1, path: /c}")
    assert package.parse(recursive, tmp_path / "p.yml").inferencing_server is not None
    with pytest.raises(SpecError, match="unknown key"):
        package.parse(text.replace("<<: *r", "<<: 1"), tmp_path / "p.yml")
