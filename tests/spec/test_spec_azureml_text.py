"""What all of Azure ML's YAML files have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.errors import SpecError
from lading.spec.azureml.text import Place, Reader, dump


@dataclass(frozen=True)
class Route:
    port: int | None = None
    path: str | None = None


@dataclass(frozen=True)
class Thing:
    name: str | None = None
    version: str | None = None
    mode: Literal["copy", "read_only_mount"] | None = None
    server: Literal["azureml_online", "custom"] | None = None
    code: Place | None = None
    route: str | Route | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    more: Any = None


def read(text, folder, *overrides):
    path = folder / "thing.yml"
    path.write_text(text, encoding="utf-8")
    reader = Reader(path, overrides)
    found = reader.read(text, Thing)
    reader.finish()
    return found


def refused(text, folder, *overrides):
    with pytest.raises(SpecError) as caught:
        read(text, folder, *overrides)
    return [str(one).replace(f"{folder}/", "") for one in caught.value.issues]


def test_schema_is_passed_over_at_every_level(tmp_path):
    text = "$schema: https://example.com/x.json\nroute: {$schema: y, port: 1}\n"
    assert read(text, tmp_path) == Thing(route=Route(port=1))


@pytest.mark.parametrize("written", ["1.0", "'1.0'", "10", "2026-01-01", "1e3"])
def test_a_version_is_the_text_that_was_written(written, tmp_path):
    assert read(f"version: {written}", tmp_path).version == written.strip("'")


@pytest.mark.parametrize(
    "spelling", ["read_only_mount", "ReadOnlyMount", "READ_ONLY_MOUNT", "readonly_mount"]
)
def test_an_enumeration_is_spelled_in_any_case(spelling, tmp_path):
    assert read(f"mode: {spelling}\nserver: AzureMLOnline", tmp_path) == Thing(
        mode="read_only_mount", server="azureml_online"
    )


def test_a_value_outside_an_enumeration_names_the_allowed_ones(tmp_path):
    assert refused("mode: cpoy", tmp_path) == [
        "thing.yml:1:7: mode: got 'cpoy', expected 'copy' or 'read_only_mount'\n  fix: did you mean 'copy'?"
    ]


def test_a_number_may_stand_in_quotes(tmp_path):
    assert read("route: {port: '8501'}", tmp_path).route == Route(port=8501)
    assert refused("route: {port: 'x'}", tmp_path) == [
        "thing.yml:1:15: route.port: got 'x', expected a whole number"
    ]


def test_all_issues_come_at_once_with_line_and_column(tmp_path):
    found = refused("nmae: x\nroute:\n  prot: 1\nmode: mount\ntags: {a: [1]}\n", tmp_path)
    assert found == [
        "thing.yml:1:1: nmae: unknown key\n  fix: did you mean 'name'?",
        "thing.yml:3:3: route.prot: unknown key\n  fix: did you mean 'port'?",
        "thing.yml:4:7: mode: got 'mount', expected 'copy' or 'read_only_mount'",
        "thing.yml:5:11: tags.a: got a list, expected text",
    ]


@pytest.mark.parametrize("text", ["", "  \n", "# nothing\n"])
def test_an_empty_file_is_called_so(text, tmp_path):
    assert refused(text, tmp_path) == ["thing.yml: the file is empty"]


def test_paths_are_relative_to_the_file_and_uris_are_not_paths(tmp_path):
    (tmp_path / "below").mkdir()
    found = read("code: ../src", tmp_path / "below")
    assert found.code == str(tmp_path / "src")
    assert found.code.path == tmp_path / "src"
    found = read("code: azureml:code:1", tmp_path)
    assert found.code == "azureml:code:1"
    assert found.code.path is None


def test_file_takes_another_file_in_the_place_of_an_object(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below/route.yml").write_text("$schema: x\nport: 80\npath: /y\n")
    assert read("route: file:below/route.yml", tmp_path).route == Route(80, "/y")
    assert read("routes:\n- file:./below/route.yml", tmp_path).routes == (Route(80, "/y"),)
    assert read("route: /score", tmp_path).route == "/score"


def test_complaints_and_paths_are_of_the_file_that_was_named(tmp_path):
    @dataclass(frozen=True)
    class Outer:
        inner: Thing = Thing()
        code: Place | None = None

    (tmp_path / "below").mkdir()
    (tmp_path / "below/inner.yml").write_text("code: src\n")
    reader = Reader(tmp_path / "outer.yml")
    found = reader.read("inner: file:below/inner.yml\ncode: src\n", Outer)
    assert found == Outer(Thing(code=Place(tmp_path / "below/src")), Place(tmp_path / "src"))
    (tmp_path / "below/inner.yml").write_text("\ncdoe: src\n")
    reader.read("inner: file:below/inner.yml\nx: 1", Outer)
    assert [one.where.removeprefix(f"{tmp_path}/") for one in reader.issues] == [
        "below/inner.yml:2:1",
        "outer.yml:2:1",
    ]


def test_a_file_that_is_not_there_is_told_where_it_is_named(tmp_path):
    assert refused("route: file:gone.yml", tmp_path) == [
        "thing.yml:1:8: route: 'file:gone.yml': cannot be read: No such file or directory"
    ]


def test_overrides_come_before_validation(tmp_path):
    found = read(
        "mode: {{MODE}}\nroutes: [{port: 1}]\n",
        tmp_path,
        "mode=Copy",
        "tags.a=Note: yes",
        "routes[0].path=/x",
        "routes[1].port=2",
        "version=1.10",
        'more={"a": [1, "2"]}',
    )
    assert found == Thing(
        mode="copy",
        tags={"a": "Note: yes"},
        routes=(Route(1, "/x"), Route(2)),
        version="1.10",
        more={"a": [1, "2"]},
    )


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("tags", "--set tags: expected KEY=VALUE, such as tags.stage=test"),
        ("nmae=x", "--set nmae: nmae: unknown key"),
        ("mode=x", "--set mode: mode: got 'x', expected 'copy' or 'read_only_mount'"),
        ("route.port=x", "--set route.port: route.port: got 'x', expected a whole number"),
        (
            "code.port=1",
            "--set code.port: 'code.port' lies in 'azureml:c:1', which is defined elsewhere",
        ),
        ("routes[3].port=1", "--set routes[3].port: there is no element '3' of a list to be set"),
    ],
)
def test_an_override_that_is_wrong_is_named_as_it_was_given(override, complaint, tmp_path):
    (found,) = refused("code: azureml:c:1\nroutes: []", tmp_path, override)
    assert found.splitlines()[0] == complaint


@pytest.mark.parametrize("text", ["{{NAME}}", "azureml:{{NAME}}", "{{ NAME }}-x", '"{{NAME}}"', "'{{NAME}}'"])
def test_a_placeholder_is_called_so(text, tmp_path):
    (found,) = refused(f"name: {text}", tmp_path)
    assert "name: got the placeholder '{{" in found
    assert found.endswith("fix: fill the template in, or give --set name=VALUE")


def test_braces_in_quotes_may_be_meant(tmp_path):
    assert read("name: 'Hello {{you}}!'", tmp_path).name == "Hello {{you}}!"


def test_without_a_file_there_are_overrides_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reader = Reader(overrides=["name=x", "code=./src"])
    assert reader.read("", Thing) == Thing(name="x", code=Place(tmp_path / "src"))


def test_nested_defaults_are_not_written(tmp_path):
    thing = Thing(name="x", route=Route(port=1), code=Place(tmp_path / "src"))
    assert dump(thing, tmp_path) == "name: x\ncode: ./src\nroute:\n  port: 1\n"


texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Co")), max_size=12).filter(
    lambda text: not (text.strip().startswith("{{") and text.strip().endswith("}}"))
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = st.text("abc:{} .", min_size=1, max_size=6).filter(lambda name: name.strip(" .") == name)
things = st.builds(
    Thing,
    name=st.none() | texts,
    version=st.none() | texts,
    mode=st.sampled_from(["copy", "read_only_mount", None]),
    code=st.none() | names.map(lambda name: Place(f"/folder/{name}")) | st.just(Place("azureml:code:1")),
    route=st.none()
    | texts.filter(lambda text: not text.startswith("file:"))
    | st.builds(Route, st.integers()),
    tags=st.dictionaries(texts.filter(lambda key: key != "$schema"), texts, max_size=3),
    routes=st.lists(st.builds(Route, st.integers(), st.none() | texts), max_size=2).map(tuple),
    more=plain,
)


@given(things)
def test_what_is_dumped_is_read_back_without_loss(thing):
    folder = Path("/folder")
    reader = Reader(folder / "thing.yml")
    text = dump(thing, folder)
    if thing != Thing():
        assert reader.read(text, Thing) == thing
    assert not reader.issues
