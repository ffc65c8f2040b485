"""Assets in a workspace: immutable versions, the next one, labels, archives; over a folder and a registry."""

import threading
import uuid
from contextlib import nullcontext
from dataclasses import replace

import pytest

from lading.core.assets import AssetDraft, AssetReference
from lading.core.descriptor import INDEX, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, LadingError, SpecError
from lading.core.reference import Reference
from lading.store import LayoutStore, RegistryStore
from lading.workspace import Shelf, UnknownAssetError, Workspace, list_files


def local(folder):
    store = LayoutStore(folder)
    repository = Reference(None, "assets/models")

    def tag_names():
        return [one.tag for one, _ in store.tags() if one.repository == repository.repository]

    return Workspace("the workspace", lambda kind: Shelf(kind, store, repository, tag_names, store.lock))


@pytest.fixture(params=["layout", "registry"])
def workspace(request, tmp_path):
    if request.param == "layout":
        yield local(tmp_path / "store")
        return
    registry = request.getfixturevalue("registry")
    with RegistryStore(registry.host, f"{uuid.uuid4().hex}/assets/models") as store:
        repository = Reference(store.registry, store.repository)
        yield Workspace(
            "the workspace", lambda kind: Shelf(kind, store, repository, store.tag_names, nullcontext)
        )


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    made.mkdir()
    (made / "a.bin").write_bytes(b"a")
    (made / "empty").write_bytes(b"")
    return made


def draft(folder, version=None, **more):
    return AssetDraft("model", "iris-model", version, path=folder, document={"type": "custom_model"}, **more)


def create(workspace, folder, version=None, **more):
    return workspace.create(draft(folder, version, **more), list_files(folder))


def refer(text):
    return AssetReference.parse(text, "model")


def test_what_was_created_is_found_again_by_every_word_for_it(workspace, folder):
    made = create(workspace, folder, description="words", tags={"a": "b"})
    assert (made.how, made.asset.version) == ("created", "1")
    assert [one.path for one in made.asset.files] == ["model/a.bin", "model/empty"]
    workspace.label(refer("iris-model:1"), "prod")
    for text in ("azureml:iris-model:1", "azureml:iris-model@latest", "iris-model@prod", "iris-model"):
        assert workspace.get(refer(text)) == made.asset


def test_the_same_content_is_reused_and_other_content_is_the_next_version(workspace, folder):
    create(workspace, folder)
    assert create(workspace, folder).how == "reused"
    assert create(workspace, folder, "1").how == "reused"
    (folder / "a.bin").write_bytes(b"b")
    assert create(workspace, folder).asset.version == "2"
    (folder / "a.bin").write_bytes(b"a")
    again = create(workspace, folder)
    assert (again.how, again.asset.version) == ("reused", "1")


def test_a_version_never_changes(workspace, folder):
    made = create(workspace, folder, "3").asset
    (folder / "a.bin").write_bytes(b"other")
    (folder / "new").write_bytes(b"x")
    with pytest.raises(SpecError, match=r"model/new is new, model/a.bin differs") as caught:
        create(workspace, folder, "3")
    assert "the next one (4)" in str(caught.value)
    assert workspace.get(refer("iris-model:3")) == made
    with pytest.raises(SpecError, match="never changes"):
        workspace.edit(replace(made, document={"type": "mlflow_model"}))


def test_words_and_tags_may_change(workspace, folder):
    create(workspace, folder, tags={"a": "b"})
    edited = create(workspace, folder, description="words", tags={"c": "d"})
    assert edited.how == "updated"
    found = workspace.get(refer("iris-model:1"))
    assert (found.description, found.tags) == ("words", {"a": "b", "c": "d"})


def test_a_label_moves_and_goes(workspace, folder):
    create(workspace, folder)
    (folder / "a.bin").write_bytes(b"b")
    create(workspace, folder)
    workspace.label(refer("iris-model:1"), "prod")
    workspace.label(refer("iris-model@latest"), "prod")
    assert workspace.labels("model", "iris-model") == {"prod": "2"}
    workspace.unlabel("model", "iris-model", "prod")
    with pytest.raises(UnknownAssetError, match="its labels: latest"):
        workspace.get(refer("iris-model@prod"))
    with pytest.raises(SpecError, match="choose another"):
        workspace.label(refer("iris-model:1"), "latest")


def test_what_is_archived_is_hidden_and_still_found_by_version(workspace, folder):
    create(workspace, folder)
    (folder / "a.bin").write_bytes(b"b")
    create(workspace, folder)
    workspace.label(refer("iris-model:2"), "prod")
    workspace.archive("model", "iris-model", "2", archived=True)
    assert workspace.get(refer("iris-model@latest")).version == "1"
    assert workspace.get(refer("iris-model@prod")).archived
    assert [one.version for one in workspace.listed("model", "iris-model")] == ["1"]
    assert [one.version for one in workspace.listed("model", "iris-model", which="archived")] == ["2"]
    workspace.archive("model", "iris-model", None, archived=True)
    assert workspace.listed("model") == []
    with pytest.raises(UnknownAssetError, match="archived versions alone"):
        workspace.get(refer("iris-model@latest"))
    assert len(workspace.archive("model", "iris-model", None, archived=False)) == 2
    assert [one.version for one in workspace.listed("model", "iris-model")] == ["2", "1"]


def test_what_is_deleted_is_gone_with_its_labels_alone(workspace, folder):
    create(workspace, folder)
    (folder / "a.bin").write_bytes(b"b")
    create(workspace, folder)
    for version, label in (("1", "old"), ("2", "new")):
        workspace.label(refer(f"iris-model:{version}"), label)
    workspace.delete(refer("iris-model:1"))
    assert workspace.labels("model", "iris-model") == {"new": "2"}
    with pytest.raises(UnknownAssetError, match="its versions: 2"):
        workspace.get(refer("iris-model:1"))


def test_a_mistaken_name_is_told_with_what_is_like_it(workspace, folder):
    create(workspace, folder)
    with pytest.raises(UnknownAssetError, match="did you mean 'iris-model'"):
        workspace.get(refer("iris_model:1"))
    with pytest.raises(UnknownAssetError, match="its versions: 1"):
        workspace.get(refer("iris-model:7"))


@pytest.mark.parametrize(
    "changes", [{"name": None}, {"name": "a b"}, {"version": "1..2"}, {"name": "x" * 200}]
)
def test_what_cannot_be_a_name_or_a_version_is_refused(tmp_path, folder, changes):
    with pytest.raises(SpecError):
        local(tmp_path / "store").create(replace(draft(folder), **changes), list_files(folder))
    assert not (tmp_path / "store").exists()


def test_a_file_that_changes_while_it_is_kept_leaves_no_version(workspace, folder):
    def digest_of(path):  # what the file was a moment ago
        return Digest.of(b"b" if path.name == "a.bin" else path.read_bytes())

    with pytest.raises(LadingError):
        workspace.create(draft(folder), list_files(folder), digest_of=digest_of)
    assert workspace.listed("model") == []
    assert create(workspace, folder).asset.version == "1"


def test_what_another_tool_wrote_is_passed_over_in_a_list_and_told(tmp_path, folder):
    told = []
    workspace = local(tmp_path / "store")
    create(workspace, folder)
    workspace.events = told.append
    shelf = workspace.shelf_of("model")
    index = b'{"schemaVersion":2,"manifests":[]}'
    with shelf.store.create() as blob:
        blob.write(index)
        shelf.store.tag(
            shelf.repository.with_tag("iris-model..2"), Descriptor(INDEX, blob.commit(), len(index))
        )
    assert [one.version for one in workspace.listed("model", "iris-model")] == ["1"]
    assert "iris-model:2 is passed over" in told[0].text
    assert "is no asset" in told[0].text
    with pytest.raises(IntegrityError, match="is no asset"):
        workspace.get(refer("iris-model:2"))


def test_many_at_once_get_a_version_each(tmp_path):
    made = []

    def run(number):
        folder = tmp_path / str(number) / "model"
        folder.mkdir(parents=True)
        (folder / "a.bin").write_text(str(number))
        made.append(create(local(tmp_path / "store"), folder).asset.version)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [str(number) for number in range(1, 9)]


def test_a_copy_has_the_same_content_and_is_made_once(workspace, folder, tmp_path):
    asset = create(workspace, folder, tags={"a": "b"}).asset
    shared = local(tmp_path / "shared")
    copied = workspace.copy(asset, shared, name="other", version="7")
    assert (copied.how, copied.asset.content, copied.asset.tags) == ("created", asset.content, {"a": "b"})
    assert shared.get(refer("other:7")) == copied.asset
    assert workspace.copy(asset, shared, name="other", version="7").how == "reused"


def test_an_asset_under_a_name_that_is_not_its_own_is_refused(tmp_path, folder):
    workspace = local(tmp_path / "store")
    made = create(workspace, folder).asset
    workspace.label(made.reference, "prod")
    shelf = workspace.shelf_of("model")
    shelf.write(made, "iris-model..2")
    shelf.write(made, "other...prod")
    with pytest.raises(IntegrityError, match="iris-model:1, which is not what the tag says"):
        workspace.get(refer("iris-model:2"))
    with pytest.raises(IntegrityError, match="is not what the tag says"):
        shelf.read("other...prod")
    assert workspace.get(refer("iris-model@prod")) == made
