"""Indexes as other tools write them: without platforms, for other platforms, of nothing."""

from dataclasses import replace

import pytest

from desk import AMD64, ARM64, Desk
from lading.core.errors import SpecError
from lading.core.reference import Reference
from lading.pipeline.foreign import listed, look
from lading.pipeline.shelf import find_each
from lading.pipeline.transfer import pull, push


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "desk")


def nameless(image):
    return replace(image, platform=None)


def windows(desk, layer, architecture="amd64"):
    return nameless(desk.image(*layer, os="windows", architecture=architecture))


def name(desk, text, descriptor):
    desk.store.tag(Reference.parse(text), descriptor)


def test_an_index_that_names_no_platforms_has_those_of_its_images(desk, tiny_layer):
    images = [nameless(desk.image(*tiny_layer, one)) for one in (ARM64, AMD64)]
    name(desk, "quiet:1", desk.index(*images))
    assert look(desk.context, "quiet:1", AMD64).platform == "linux/amd64"
    assert look(desk.context, "quiet:1", ARM64).platform == "linux/arm64"
    (row,) = listed(desk.context)
    assert [one.platform for one in row.every] == ["linux/arm64", "linux/amd64"]
    assert not desk.told("warning")


def test_an_index_of_other_platforms_only_is_listed_with_them(desk, tiny_layer):
    images = [windows(desk, tiny_layer), windows(desk, tiny_layer, "arm64")]
    name(desk, "panes:1", desk.index(*images))
    (row,) = listed(desk.context)
    assert [one.platform for one in row.every] == ["windows/amd64", "windows/arm64"]
    assert look(desk.context, "panes:1").settings == {"Entrypoint": ["/hello"]}
    for act in (find_each, lambda *args: look(*args, AMD64)):
        with pytest.raises(SpecError, match="expected one of: windows/amd64, windows/arm64"):
            act(desk.context, "panes:1")


def test_an_index_of_nothing_is_listed(desk):
    empty = desk.index()
    name(desk, "empty:1", empty)
    (row,) = listed(desk.context)
    assert (row.found.platform, row.found.size_bytes) == (None, empty.size_bytes)
    with pytest.raises(SpecError, match="expected one of: none"):
        find_each(desk.context, "empty:1")


def test_pulling_what_has_no_image_for_any_package_is_told(desk, tiny_layer, registry, tmp_path):
    name(desk, "panes:1", desk.index(windows(desk, tiny_layer)))
    name(desk, "empty:1", desk.index())
    name(desk, "quiet:1", desk.index(nameless(desk.image(*tiny_layer))))
    reader = Desk(tmp_path / "reader")
    for text, told in (("panes:1", ["windows/amd64"]), ("empty:1", ["no image"]), ("quiet:1", [])):
        push(desk.context, text, f"{registry.host}/foreign/{text}")
        reader.events.clear()
        pull(reader.context, f"{registry.host}/foreign/{text}")
        warnings = reader.told("warning")
        assert len(warnings) == len(told)
        assert all(one in said for one, said in zip(told, warnings, strict=True))
    chosen = pull(reader.context, f"{registry.host}/foreign/quiet:1", platform=AMD64)
    assert chosen.digest == desk.image(*tiny_layer).digest
    assert [str(one.reference).rpartition("/")[2] for one in listed(reader.context)] == [
        "empty:1",
        "panes:1",
        "quiet:1",
    ]
