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
    ],
)
def test_a_base_is_named_without_the_machine(text, printed, tmp_path):
    (tmp_path / "layout").mkdir()
    (tmp_path / "sub").mkdir()
    (tmp_path / "base.tar").touch()
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
