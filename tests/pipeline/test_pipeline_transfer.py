"""Images between a store and real registries: pushed, pulled, copied, listed, through mirrors."""

import json
import re
import urllib.request

import pytest

from desk import AMD64, ARM64, Desk
from engines import serving
from lading.core import canonical
from lading.core.descriptor import INDEX
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, RegistryError, SpecError
from lading.core.reference import Reference
from lading.pipeline.foreign import look
from lading.pipeline.remote import tags
from lading.pipeline.transfer import copy, fetch_image, pull, push
from lading.settings import RegistryMirror
from lading.store import RegistryStore, documents
from running import Lading


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


def test_a_damaged_layer_is_told_and_its_package_gets_no_name(desk, several, place):
    layer = documents.children(desk.store, documents.children(desk.store, several)[0])[1]
    path = desk.store.path(layer.digest)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"pack it again"):
        push(desk.context, "hello:1", place)
    assert desk.store.size_bytes(layer.digest) is None
    with pytest.raises(RegistryError, match="no tags"):
        tags(desk.context, place)


def test_what_is_here_by_no_name_is_had_by_the_command_that_is_told(desk, place):
    with pytest.raises(RegistryError, match=re.escape(f"lading pull {place}:1")):
        look(desk.context, f"{place}:1")


def test_an_image_is_pulled_by_its_digest(desk, other, several, place):
    push(desk.context, "hello:1", place)
    by_digest = f"{place}@{several.digest}"
    assert [str(one) for one in pull(other.context, by_digest).names] == [place]
    assert look(other.context, by_digest).descriptor.digest == several.digest
    with pytest.raises(RegistryError, match="is not in"):
        pull(other.context, f"{place}@{Digest.of(b'else')}")


def mirrored(registry, *others):
    return {"quay.invalid": (*others, RegistryMirror(registry.host, "hub"))}


def test_a_mirror_that_fails_leads_on_to_the_next(desk, several, registry, tmp_path):
    push(desk.context, "hello:1", f"{registry.host}/hub/team/hello")
    reader = Desk(tmp_path / "reader", mirrored(registry, RegistryMirror("localhost:1")))
    pulled = pull(reader.context, "quay.invalid/team/hello:1")
    assert pulled.digest == several.digest
    assert reader.store.resolve(Reference.parse("quay.invalid/team/hello:1")).digest == several.digest
    warning = reader.told("warning")[-1]
    assert "mirror localhost:1" in warning
    assert "going on to the next" in warning
    base = fetch_image(reader.context, Reference.parse("quay.invalid/team/hello:1"), AMD64)
    assert base.digest == documents.children(desk.store, several)[0].digest


def test_docker_hub_has_mirrors_by_its_names_in_full(desk, several, registry, tmp_path):
    push(desk.context, "hello:1", f"{registry.host}/hub/library/hello")
    reader = Desk(tmp_path / "reader", {"docker.io": (RegistryMirror(registry.host, "hub"),)})
    for name in ("docker.io/hello:1", "docker.io/library/hello:1"):
        assert pull(reader.context, name).digest == several.digest


def test_what_a_mirror_has_not_is_had_from_the_registry_itself(desk, several, registry, place, tmp_path):
    push(desk.context, "hello:1", place)
    path = Reference.parse(place).repository
    push(desk.context, "hello:1", f"{registry.host}/broken/{path}")
    layer = documents.children(desk.store, documents.children(desk.store, several)[0])[1]
    with RegistryStore(registry.host, f"broken/{path}") as broken:
        broken.delete(layer.digest)
    reader = Desk(tmp_path / "reader", {registry.host: (RegistryMirror(registry.host, "broken"),)})
    assert pull(reader.context, f"{place}:1").digest == several.digest
    assert "mirror" in reader.told("warning")[0]
    assert reader.store.is_sound(layer.digest)


def test_nothing_is_pushed_to_a_mirror(desk, several, registry, tmp_path):
    writer = Desk(tmp_path / "desk", mirrored(registry))
    with pytest.raises(RegistryError, match=r"quay\.invalid"):
        push(writer.context, "hello:1", "quay.invalid/pushed/hello")
    with pytest.raises(RegistryError, match="no tags"):
        tags(writer.context, f"{registry.host}/hub/pushed/hello")


def test_copying_within_a_registry_moves_no_blob_and_lands_nowhere(desk, several, place, tmp_path):
    push(desk.context, "hello:1", place)
    clerk = Desk(tmp_path / "clerk")
    copied = copy(clerk.context, f"{place}:1", f"{place}-released")
    assert (copied.digest, copied.attached) == (several.digest, 4)
    assert str(copied.reference) == f"{place}-released:1"
    # the four reports too, but none of their blobs
    reports = [one for _, one in desk.store.listed() if documents.subject(desk.store, one)]
    manifests = [*filter(is_document, documents.walk(desk.store, several)), *reports]
    assert copied.moved_bytes == sum(one.size_bytes for one in manifests)
    assert not clerk.store.folder.exists()
    with pytest.raises(RegistryError, match=f"did you mean '{place}-released:1'"):
        pull(clerk.context, f"{place}-released:2")


def test_copying_to_another_registry_takes_everything_along(desk, other, several, place, tmp_path):
    push(desk.context, "hello:1", place)
    with serving(tmp_path / "second") as second:
        copied = copy(Desk(tmp_path / "clerk").context, f"{place}@{several.digest}", f"{second.host}/hello:2")
        assert (copied.digest, copied.attached) == (several.digest, 4)
        assert pull(other.context, f"{second.host}/hello:2").attached == 4
        one = copy(other.context, f"{place}:1", f"{second.host}/hello:arm", platform=ARM64)
        assert one.digest == documents.children(desk.store, several)[1].digest
    assert not (tmp_path / "clerk/store").exists()


def is_document(descriptor):
    return documents.is_manifest(descriptor) or documents.is_index(descriptor)


def test_the_tags_of_a_repository_are_listed_without_those_that_hold_referrers(desk, several, place):
    push(desk.context, "hello:1", place)
    amd64, _ = documents.children(desk.store, several)
    desk.store.tag(Reference.parse("hello:amd"), amd64)
    push(desk.context, "hello:amd", place)
    listed = {one.reference.tag: one for one in tags(desk.context, place)}
    assert set(listed) == {"1", "amd"}
    assert listed["1"].descriptor.digest == several.digest
    assert listed["1"].platforms == ("linux/amd64", "linux/arm64")
    assert listed["amd"].platforms == ("linux/amd64",)
    sizes = {one.digest: one.size_bytes for one in documents.walk(desk.store, several)}
    assert listed["1"].size_bytes == sum(sizes.values())


def put_manifest(place, tag, document):
    """Write a manifest as it is, whatever it says."""
    host, _, repository = place.partition("/")
    url = f"http://{host}/v2/{repository}/manifests/{tag}"
    headers = {"Content-Type": document["mediaType"]}
    request = urllib.request.Request(url, json.dumps(document).encode(), headers, method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201


def test_a_tag_that_cannot_be_read_is_told_by_name_and_the_others_are_listed(desk, several, place):
    push(desk.context, "hello:1", place)
    row = {**documents.children(desk.store, several)[0].to_json(), "size": 7}
    put_manifest(place, "bad", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [row]})
    assert [one.reference.tag for one in tags(desk.context, place)] == ["1"]
    (said,) = desk.told("warning")
    assert f"{place}:bad" in said
    assert "expected 7 bytes" in said


def test_where_no_tag_can_be_read_listing_fails_and_names_them(desk, several, place):
    push(desk.context, "hello:1", f"{place}:bad")
    row = {**documents.children(desk.store, several)[0].to_json(), "size": 7}
    put_manifest(place, "bad", {"schemaVersion": 2, "mediaType": INDEX, "manifests": [row]})
    with pytest.raises(IntegrityError, match=f"{place}:bad"):
        tags(desk.context, place)


def test_a_referrer_to_something_else_is_left_where_it_is(desk, other, place, tiny_layer, registry):
    image, stranger = desk.image(*tiny_layer), desk.image(*tiny_layer, ARM64)
    desk.store.tag(Reference.parse("hello:1"), image)
    push(desk.context, "hello:1", place)
    report = desk.attach(stranger)
    listing = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [report.to_json()]}
    desk.store.tag(Reference.parse("lie:1"), desk.blob(canonical.encode(listing), INDEX))
    push(desk.context, "lie:1", f"{place}:sha256-{image.digest.hex}")
    assert pull(other.context, f"{place}:1").attached == 0
    assert not attached(other.store, stranger)


def test_a_referrer_that_was_deleted_behind_its_list_is_told_and_left_out(desk, other, place, tiny_layer):
    image = desk.image(*tiny_layer)
    desk.store.tag(Reference.parse("hello:1"), image)
    lost, kept = desk.attach(image, b"lost"), desk.attach(image, b"kept")
    push(desk.context, "hello:1", place)
    host, _, repository = place.partition("/")
    url = f"http://{host}/v2/{repository}/manifests/{lost.digest}"
    with urllib.request.urlopen(urllib.request.Request(url, method="DELETE")) as answer:
        assert answer.status == 202
    assert pull(other.context, f"{place}:1").attached == 1
    assert attached(other.store, image) == [kept.digest]
    assert str(lost.digest) in other.told("warning")[0]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (lambda desk: push(desk, "hello:1", None), "names no registry"),
        (lambda desk: push(desk, "hello:1", "team/hello"), "lading push hello:1 registry.example.com/team"),
        (lambda desk: push(desk, "hello:1", f"a.example.com/x@{Digest.of(b'')}"), "expected a name to give"),
        (lambda desk: pull(desk, "python:3.12"), "did you mean 'docker.io/library/python:3.12'"),
        (lambda desk: pull(desk, "team/app"), "did you mean 'docker.io/team/app'"),
        (lambda desk: copy(desk, "hello:1", "a.example.com/hello"), "names no registry"),
        (lambda desk: copy(desk, "a.example.com/hello:1", "hello"), "names no registry"),
        (lambda desk: tags(desk, "hello"), "list the store"),
        (lambda desk: push(desk, f"a.example.com/hello@{desk.store.find('hello:1').digest}", None), "no tag"),
        (lambda desk: push(desk, "hello:1", "localhost:5000"), "such as 'localhost:5000/hello'"),
        (lambda desk: push(desk, "hello:1", "a.example.com/"), "such as 'a.example.com/hello'"),
        (lambda desk: push(desk, "hello:1", "https://a.example.com/x"), "leave it out: a.example.com/x"),
        (lambda desk: tags(desk, "a.example.com/hello:1"), "lading list a.example.com/hello"),
    ],
)
def test_a_mistake_is_told_with_its_way_out_before_anything_is_sent(desk, several, command, said):
    with pytest.raises(SpecError, match=re.escape(said)):
        command(desk.context)


def test_an_image_that_another_tool_pushed_is_pulled_listed_and_shown(
    desk, skopeo, place, tiny_layer, tmp_path
):
    desk.store.tag(Reference.parse("foreign:1"), desk.image(*tiny_layer))
    layout = f"oci:{desk.store.folder}:foreign:1"
    for form in ("oci", "v2s2"):
        skopeo.call("copy", "--dest-tls-verify=false", f"--format={form}", layout, f"docker://{place}:{form}")
        digest = skopeo.call(
            "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{place}:{form}"
        )
        reader = Desk(tmp_path / "reader")
        assert str(pull(reader.context, f"{place}:{form}").digest) == digest.strip()
        shown = look(reader.context, f"{place}:{form}")
        assert shown.settings == {"Entrypoint": ["/hello"]}
        assert shown.platform == "linux/amd64"
    lading = Lading(tmp_path / "reader")
    listed = lading.json("list")
    assert [(one["name"], one["model"]) for one in listed] == [
        (f"{place}:oci", None),
        (f"{place}:v2s2", None),
    ]
    assert "no package of lading's" in lading("list")
    said = lading("show", f"{place}:v2s2")
    assert "no package of lading's" in said
    assert '["/hello"]' in said
    assert "hunter2" not in said + json.dumps(lading.json("show", f"{place}:v2s2"))
