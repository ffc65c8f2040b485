"""The configuration file and the variables, read into settings."""

import pytest

from lading import settings
from lading.core.errors import SpecError
from lading.core.reference import Reference
from lading.settings import RegistryMirror

PYTHON = Reference.parse("docker.io/library/python:3.12")


def load(tmp_path, text="", **environ):
    (tmp_path / "config.toml").write_text(text)
    return settings.load({"LADING_CONFIG": str(tmp_path / "config.toml"), "HOME": str(tmp_path), **environ})


def names(loaded, registry="docker.io"):
    return [str(one.of(PYTHON)) for one in loaded.mirrors[registry]]


def test_a_mirror_is_a_registry_with_a_path(tmp_path):
    loaded = load(tmp_path, '[mirrors]\n"docker.io" = "registry.example.com/hub"\n')
    assert names(loaded) == ["registry.example.com/hub/library/python:3.12"]


def test_several_mirrors_keep_their_order(tmp_path):
    loaded = load(
        tmp_path, '[mirrors]\n"index.docker.io" = ["b.example.com", "http://a.example.com:5000/x/y/"]\n'
    )
    assert names(loaded) == [
        "b.example.com/library/python:3.12",
        "a.example.com:5000/x/y/library/python:3.12",
    ]
    assert [one.plain_http for one in loaded.mirrors["docker.io"]] == [False, True]


def test_a_variable_wins_for_the_registries_it_names(tmp_path):
    text = (
        '[mirrors]\n"docker.io" = "a.example.com"\n"quay.io" = "b.example.com"\n"ghcr.io" = "c.example.com"\n'
    )
    loaded = load(tmp_path, text, LADING_MIRRORS="docker.io=d.example.com/x docker.io=e.example.com,quay.io=")
    assert names(loaded) == ["d.example.com/x/library/python:3.12", "e.example.com/library/python:3.12"]
    assert loaded.mirrors["quay.io"] == ()
    assert loaded.mirrors["ghcr.io"] == (RegistryMirror("c.example.com"),)


def test_every_issue_is_told_at_once(tmp_path):
    text = 'homme = "x"\nsandbox = 3\n[mirrors]\n"docker.io" = 5\nquay = "b.example.com"\n'
    text += '"ghcr.io" = "hub:latest"\n"gcr.io" = "anna:hunter2@registry.example.com"\n'
    with pytest.raises(SpecError) as caught:
        load(tmp_path, text, LADING_MIRRORS="docker.io=ftp://a.example.com docker.io/library=b.example.com")
    said = str(caught.value)
    for part in (
        "homme: unknown key",
        "sandbox: got 3",
        "docker.io: got 5",
        "quay: got 'quay'",
        "'hub:latest'",
    ):
        assert part in said
    assert "hunter2" not in said
    assert "LADING_MIRRORS: mirrors: docker.io: got 'ftp://a.example.com'" in said
    assert "LADING_MIRRORS: mirrors: docker.io/library: got" in said


def test_mirrors_are_a_table(tmp_path):
    with pytest.raises(SpecError, match="expected a table"):
        load(tmp_path, 'mirrors = "docker.io"\n')


def test_registries_and_workspaces_are_places(tmp_path):
    text = '[registries]\nteam = "http://localhost:5000/ml"\n[workspaces]\nold = "/srv/ml"\n'
    loaded = load(tmp_path, text, LADING_WORKSPACE="old")
    assert {key: str(one) for key, one in loaded.registries.items()} == {"team": "http://localhost:5000/ml"}
    assert str(loaded.workspaces["old"].folder) == "/srv/ml"
    assert loaded.workspace == "old"


def test_what_is_no_place_is_told_of_every_table_at_once(tmp_path):
    with pytest.raises(SpecError) as caught:
        load(tmp_path, '[registries]\nteam = "ml"\nother = 3\n[workspaces]\nold = ""\n[bases]\nx = 1\n')
    said = str(caught.value)
    assert "registries: team: got 'ml', expected a registry and perhaps a path" in said
    assert "registries: other: got 3, expected text" in said
    assert "workspaces: old: got ''" in said
    assert "bases: x: got 1" in said


def test_a_declared_registry_is_read_again_and_the_file_wins(tmp_path):
    home = tmp_path / "home"
    settings.declare(home, {one: settings.Place.parse("a.example.com/ml") for one in ("team", "mine")})
    loaded = load(tmp_path, '[registries]\nteam = "b.example.com"\n', LADING_HOME=str(home))
    assert {key: str(one) for key, one in loaded.registries.items()} == {
        "team": "b.example.com",
        "mine": "a.example.com/ml",
    }
