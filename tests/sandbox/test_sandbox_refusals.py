"""What engines say when they refuse, in their own words, and what becomes of it."""

import pytest

from lading.core.errors import DeployError, SpecError
from lading.sandbox import Engine

DOCKER = """docker: Error response from daemon: Conflict. The container name "/taken" is already in use by container "4f5".
You have to remove (or rename) that container to be able to reuse that name.

Run 'docker run --help' for more information
"""  # noqa: E501 - as it is
PODMAN = """Error: creating container storage: the container name "taken" is already in use by 4f5.
You have to remove that container to be able to reuse that name: that name is already in use, or use --replace
"""


@pytest.mark.parametrize(("engine", "text"), [("docker", DOCKER), ("podman", PODMAN)])
def test_a_taken_name_is_told_with_the_way_out(engine, text):
    error = Engine(engine).refusal(text)
    assert isinstance(error, SpecError)
    assert str(error) == (
        f"--name: {engine} has a container 'taken' already\n"
        f"  fix: choose another name, or remove that one: {engine} rm --force taken"
    )


def test_another_refusal_is_told_without_its_heralds():
    error = Engine("docker").refusal("docker: Error response from daemon: network nowhere not found.\n")
    assert isinstance(error, DeployError)
    assert str(error) == "docker: network nowhere not found."
