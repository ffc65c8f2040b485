from pathlib import Path
from typing import get_args

import pytest
from packaging.requirements import Requirement

from lading.core.errors import SpecError
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec, ServerName
from lading.servers import find

NAMES = get_args(ServerName)
FACTS = ModelFacts(Path("model.pkl"), "sklearn", "sklearn", "pickle")


def test_the_native_server_is_found_by_its_name():
    assert find("lading").name == "lading"
    needs = find("lading").needs(PackageSpec(), FACTS)
    assert needs.name == "lading"
    assert needs.port == 8080
    assert needs.entrypoint[0].startswith("/opt/lading/server/")


def test_every_requirement_is_pep_508():
    names = {Requirement(text).name for text in find("lading").needs(PackageSpec(), FACTS).requirements}
    assert names == {"grpcio", "httptools", "uvloop", "msgspec"}


def test_an_unknown_server_is_refused_with_the_known_ones():
    with pytest.raises(SpecError) as caught:
        find("nginx")
    expected = " or ".join(map(repr, sorted(NAMES)))
    assert str(caught.value) == f"server: got 'nginx', expected {expected}"


@pytest.mark.parametrize("name", NAMES)
def test_every_server_that_a_spec_may_name_is_found(name):
    assert find(name).name == name


def test_a_near_miss_is_named():
    with pytest.raises(SpecError) as caught:
        find("ladng")
    assert caught.value.issues[0].fix == "did you mean 'lading'?"
