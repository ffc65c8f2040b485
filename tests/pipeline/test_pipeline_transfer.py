"""Images between a store and real registries: pushed, pulled, copied, listed, through mirrors."""

import pytest

from desk import AMD64, ARM64, Desk
from lading.core.errors import RegistryError, SpecError
from lading.core.reference import Reference
from lading.pipeline import fetch_image, pull, push
from lading.store import documents


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "desk")


@pytest.fixture
def other(tmp_path):
    return Desk(tmp_path / "other")


@pytest.fixture
def place(registry, request):
    """A repository that no other test uses."""
    return f"{registry.host}/{request.node.name.lower().replace('[', '-').strip(']')}"


@pytest.fixture
def several(desk, tiny_layer):
    """Two platforms, named `hello:1`, with a report of each, one of the index, one of a report."""
    images = [desk.image(*tiny_layer, platform) for platform in (AMD64, ARM64)]
    index = desk.index(*images)
    reports = [desk.attach(one, f"of {n}".encode()) for n, one in enumerate((*images, index))]
    desk.attach(reports[0], b"of a report")
    desk.store.tag(Reference.parse("hello:1"), index)
    return index


def attached(store, descriptor):
    return [one.digest for one in store.referrers(descriptor.digest)]


def test_what_is_pushed_is_pulled_whole_with_what_is_attached_to_any_part(desk, other, several, place):
    pushed = push(desk.context, "hello:1", place)
    assert (str(pushed.reference), pushed.digest, pushed.attached) == (f"{place}:1", several.digest, 4)
    pulled = pull(other.context, f"{place}:1")
    assert (pulled.digest, pulled.attached, str(pulled.names[0])) == (several.digest, 4, f"{place}:1")
    for part in documents.walk(desk.store, several):
        assert attached(other.store, part) == attached(desk.store, part)
        assert other.store.is_sound(part.digest)
    assert push(desk.context, "hello:1", place).moved_bytes == 0
    assert pull(other.context, f"{place}:1").moved_bytes == 0


def test_one_platform_is_pulled_alone(desk, other, several, place):
    push(desk.context, "hello:1", f"{place}:several")
    pulled = pull(other.context, f"{place}:several", names=["hello:arm", "hello:too"], platform=ARM64)
    _, arm64 = documents.children(desk.store, several)
    assert other.store.resolve(Reference.parse("hello:arm")).digest == pulled.digest == arm64.digest
    assert other.store.resolve(Reference.parse("hello:too")).digest == arm64.digest
    assert other.store.size_bytes(several.digest) is None
    assert pulled.attached == 1


def test_a_base_is_fetched_once_and_then_found_by_its_digest(desk, other, several, place, tmp_path):
    push(desk.context, "hello:1", place)
    pinned = Reference.parse(f"{place}@{several.digest}")
    amd64, _ = documents.children(desk.store, several)
    for reference in (Reference.parse(f"{place}:1"), pinned):
        found = fetch_image(other.context, reference, AMD64)
        assert (found.digest, found.platform) == (amd64.digest, AMD64)
    # the index itself is kept too, so that its digest says offline which manifest was meant
    offline = Desk(tmp_path / "other", offline=True)
    assert fetch_image(offline.context, pinned, AMD64).digest == amd64.digest
    single = Reference.parse(f"{place}@{amd64.digest}")
    assert fetch_image(offline.context, single, AMD64).digest == amd64.digest
    with pytest.raises(SpecError, match="got platform 'linux/arm64', expected one of: linux/amd64"):
        fetch_image(other.context, single, ARM64)
    with pytest.raises(RegistryError, match="offline"):
        fetch_image(offline.context, pinned, ARM64)
