"""How a base is named."""

import pytest

from lading.core.bases import BaseName
from lading.core.errors import SpecError

DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("debian:bookworm", "debian:bookworm"),
        ("debian:bookworm-slim", "docker.io/library/debian:bookworm-slim"),
        ("python", "docker.io/library/python:latest"),
        ("python:3.12-slim", "docker.io/library/python:3.12-slim"),
        ("docker://python:3.12-slim", "docker.io/library/python:3.12-slim"),
        ("index.docker.io/me/x:1", "docker.io/me/x:1"),
        ("ghcr.io/me/x", "ghcr.io/me/x:latest"),
        (f"localhost:5000/x@{DIGEST}", f"localhost:5000/x@{DIGEST}"),
        ("environment:sk:1", "environment:sk:1"),
        ("oci:layout", "oci:layout"),
        ("oci:sub/../layout:a", "oci:layout:a"),
        ("./layout", "layout"),
        ("base.tar", "base.tar"),
        ("docker-archive:base.tar:x:1", "docker-archive:base.tar:x:1"),
        ("oci-archive:./base.tar", "oci-archive:base.tar"),
        ("./base.tar:me/base:2", "base.tar:me/base:2"),
        ("base.tar:2", "base.tar:2"),
        ("./layout:a", "layout:a"),
        ("./odd:name.tar", "odd:name.tar"),
        ("./odd:name.tar:2", "odd:name.tar:2"),
    ],
)
def test_a_base_is_named_without_the_machine(text, printed, tmp_path):
    (tmp_path / "layout").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "base.tar").touch()
    (tmp_path / "odd:name.tar").touch()
    assert str(BaseName.parse(text, tmp_path)) == printed


def test_a_path_is_relative_to_the_folder_of_the_spec(tmp_path):
    (tmp_path / "base.tar").touch()
    assert BaseName.parse("oci-archive:base.tar:v1", tmp_path).path == tmp_path / "base.tar"
    assert BaseName.parse(str(tmp_path / "base.tar"), tmp_path / "elsewhere").path == tmp_path / "base.tar"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("debian:bokworm", "did you mean 'debian:bookworm'?"),
        ("debain:trixie", "did you mean 'debian:trixie'?"),
        ("./lay", "did you mean 'layout'?"),
        ("oci:lay", "'lay' does not exist"),
        ("./layou:2", "did you mean 'layout'?"),
        ("bsae.tar:2", "'bsae.tar' does not exist"),
        ("oci:", "expected oci:PATH"),
        ("Python:3.12", "environment:NAME"),
        ("environment:", "environment:NAME"),
        ("azureml:sk:1", "oci-archive:PATH"),
        ("s3://bucket/base.tar", "oci-archive:PATH"),
        ("", "docker-archive:PATH"),
    ],
)
def test_what_names_no_base_is_told(text, said, tmp_path):
    (tmp_path / "layout").mkdir()
    with pytest.raises(SpecError) as caught:
        BaseName.parse(text, tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (
            "http://localhost:5077/x:1",
            (
                "leave out 'http://': localhost:5077/x:1. A registry that speaks HTTP alone is named in "
                "LADING_MIRRORS: localhost:5077=http://localhost:5077"
            ),
        ),
        ("https://ghcr.io/me/x", "leave out 'https://': ghcr.io/me/x"),
        ("docker://me:hunter2@ghcr.io/me/x", "leave the credentials out, and log in: lading login ghcr.io"),
        ("https://me:hunter2@ghcr.io/me/x", "leave the credentials out, and log in: lading login ghcr.io"),
    ],
)
def test_an_image_named_by_a_url_is_told_how_it_is_named(text, fix, tmp_path):
    with pytest.raises(SpecError) as caught:
        BaseName.parse(text, tmp_path)
    (issue,) = caught.value.issues
    assert issue.fix == fix
    assert "hunter2" not in str(issue)


def test_what_lies_on_this_machine_may_say_which_image_behind_its_path(tmp_path):
    (tmp_path / "base.tar.gz").touch()
    found = BaseName.parse("./base.tar.gz:me/base:2", tmp_path)
    assert (found.form, found.path, found.tag) == ("path", tmp_path / "base.tar.gz", "me/base:2")
