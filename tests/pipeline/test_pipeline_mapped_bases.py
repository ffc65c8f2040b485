"""A base image that cannot be reached is mapped to another in the configuration."""

from pathlib import Path

import pytest

from lading.core.bases import BaseName
from lading.core.errors import SpecError
from lading.core.spec import PackageSpec
from lading.pipeline.bases import mapped
from lading.pipeline.context import Context
from lading.settings import Settings

AZURE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest"


def base_of(text, **bases):
    told = []
    context = Context(Settings(Path("/nowhere"), bases=bases.pop("bases", bases)), told.append)
    found = mapped(context, PackageSpec(base=BaseName.parse(text, Path.cwd()))).base
    return str(found), [one.text for one in told]


@pytest.mark.parametrize(
    ("image", "pattern"),
    [
        (AZURE, AZURE),
        (AZURE, AZURE.removesuffix(":latest")),
        (AZURE.removesuffix(":latest"), AZURE),
        (AZURE, "mcr.microsoft.com/azureml/*"),
        (AZURE, "mcr.microsoft.com/*:latest"),
        ("python:3.12-slim", "python:3.12-slim"),
        ("python:3.12-slim", "docker.io/library/python"),
        ("docker.io/library/python:3.12-slim", "python:*"),
        (f"x.io/y@sha256:{'0' * 64}", f"x.io/y@sha256:{'0' * 64}"),
    ],
)
def test_an_image_is_mapped_by_every_way_to_write_it(image, pattern):
    found, told = base_of(image, bases={pattern: "debian:bookworm"})
    assert found == "debian:bookworm"
    assert "is mapped to debian:bookworm" in told[0]


@pytest.mark.parametrize("pattern", ["mcr.microsoft.com/azureml", f"{AZURE}2", "azureml/*", "python"])
def test_another_image_is_not(pattern):
    assert base_of(AZURE, bases={pattern: "debian:bookworm"}) == (AZURE, [])


def test_what_is_named_in_full_comes_before_a_pattern_and_a_mapping_is_not_mapped_again():
    bases = {"mcr.microsoft.com/*": "debian:bullseye", AZURE: "python:3.12", "python": "debian:trixie"}
    assert base_of(AZURE, bases=bases)[0] == "docker.io/library/python:3.12"
    assert base_of("debian:bookworm", bases={"*": "debian:trixie"})[0] == "debian:bookworm"


def test_a_mapping_to_what_is_no_base_is_told_with_its_place():
    with pytest.raises(SpecError, match=r"\[bases\] 'mcr.microsoft.com/\*'"):
        base_of(AZURE, bases={"mcr.microsoft.com/*": "debian:bookwrm"})


@pytest.mark.network
def test_a_mapped_base_is_what_is_locked(lading, tmp_path):
    model = tmp_path / "routine"
    model.mkdir()
    (model / "predict.py").write_text("def predict(inputs):\n    return inputs\n")
    (model / "lading.yaml").write_text(f"code: .\nentry: predict.py:predict\nbase: {AZURE}\n")
    env = {"LADING_BASES": "mcr.microsoft.com/azureml/*=debian:bookworm"}
    done = lading.run("lock", model, env=env)
    assert done.returncode == 0, done.stderr
    assert f"{AZURE} is mapped to debian:bookworm" in done.stderr
    assert "debian:bookworm" in (model / "lading.lock").read_text()
    nobody = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    assert f'[bases] "{AZURE}" = "debian:bookworm"' in lading.fails(8, "lock", model, env=nobody)
