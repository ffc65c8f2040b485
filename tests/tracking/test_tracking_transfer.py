"""Artifacts on their way: whole or not at all, of the names, sizes and digests that were told."""

import base64
import hashlib
import json
import os
import threading

import pytest
from moto.server import ThreadedMotoServer

from keeping import MODELS, RUNS, Kept, files_of, write, write_folder
from lading.core.errors import IntegrityError, RegistryError
from lading.tracking import served

ASKED = "models:/iris/1"
PLACE = f"0/models/{MODELS[0]}/artifacts"
LARGE = os.urandom(300_000)


def names(folder):
    return sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())


def listed(*rows):
    return {"files": [{"is_dir": False, "file_size": 1, **row} for row in rows]}


def test_what_is_there_is_not_fetched_again(asking, serve):
    keeper = serve()
    first = asking(ASKED).path
    keeper.asked.clear()
    assert asking(ASKED).path == first
    assert [len(keeper.artifacts(one)) for one in ("model.pkl", "deep.txt")] == [0, 0]
    assert names(asking.folder / "models") == sorted(
        [*(f"{first.parent.name}/iris/{one}" for one in files_of(1)), f"{first.parent.name}/.received.json"]
    ), "nothing is left beside it"


def test_a_model_that_was_logged_anew_in_its_place_is_fetched_again(asking, serve):
    keeper = serve(2)
    first = asking(ASKED).path
    place = keeper.kept.folder / keeper.kept.model(1)
    write(place / "MLmodel", files_of(2)["MLmodel"])
    write(place / "model.pkl", b"model 9")
    second = asking(ASKED).path
    assert ((first / "model.pkl").read_bytes(), (second / "model.pkl").read_bytes()) == (
        b"model 1",
        b"model 9",
    )


@pytest.mark.parametrize("tags", [True, False])
def test_an_artifact_without_an_mlmodel_is_fetched_again_when_it_may_be_another(asking, serve, tags):
    keeper = serve()
    keeper.tags = tags
    text = f"runs:/{RUNS[0]}/notes/about this.txt"
    asking(text)
    write(keeper.kept.folder / keeper.kept.run(1) / "notes/about this.txt", b"BESIDE")
    assert asking(text).path.read_bytes() == b"BESIDE"


def test_a_cache_that_was_harmed_is_mended(asking, serve):
    serve()
    path = asking(ASKED).path
    (path / "model.pkl").write_bytes(b"model X")
    (path / "more").write_bytes(b"")
    assert asking(ASKED).path == path
    assert names(path) == sorted(files_of(1))
    assert (path / "model.pkl").read_bytes() == b"model 1"


@pytest.mark.parametrize("tags", [True, False])
def test_what_breaks_off_goes_on_or_begins_anew(asking, serve, tags):
    keeper = serve()
    keeper.bodies[f"{PLACE}/model.pkl"] = LARGE
    keeper.listings[PLACE] = listed({"path": "model.pkl", "file_size": len(LARGE)})
    keeper.tags, keeper.cuts, keeper.cut_after = tags, 2, 100_000
    assert (asking(ASKED).path / "model.pkl").read_bytes() == LARGE
    parts = [one for one in keeper.artifacts("model.pkl") if one]
    assert bool(parts) == tags, "only what has a tag can be the same still"


def test_another_process_goes_on_where_one_was_ended(asking, serve):
    keeper = serve()
    keeper.bodies[f"{PLACE}/model.pkl"] = LARGE
    rows = [{"path": "model.pkl", "file_size": len(LARGE)}, {"path": "MLmodel", "file_size": 61}]
    keeper.listings[PLACE] = listed(*rows)
    keeper.bodies[f"{PLACE}/MLmodel"] = b"x" * 61
    keeper.cuts, keeper.cut_after = 9, 50_000
    with pytest.raises(RegistryError, match="peer closed connection"):
        asking(ASKED)
    assert names(asking.folder / "models"), "what came is kept"
    assert not [one for one in (asking.folder / "models").iterdir() if not one.name.startswith(".")]
    keeper.cuts, keeper.asked[:] = 0, []
    assert (asking(ASKED).path / "model.pkl").read_bytes() == LARGE
    assert [one for one in keeper.artifacts("model.pkl") if one and one != "bytes=0-"]


def test_the_same_at_the_same_time_is_fetched_once(asking, serve):
    keeper = serve()
    found = []
    threads = [threading.Thread(target=lambda: found.append(asking(ASKED).path)) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert len(keeper.artifacts("model.pkl")) == 1


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/..", "a\\b", "a\nb", "a\0b", "x" * 300, "\ud800", "é" * 200]
)
def test_what_is_no_name_of_a_file_is_refused(asking, serve, name):
    keeper = serve()
    keeper.listings[PLACE] = listed({"path": name})
    with pytest.raises(IntegrityError, match="which is no file's name"):
        asking(ASKED)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "evil/"])
def test_the_last_part_of_a_path_is_the_name_and_leads_nowhere_else(asking, serve, name):
    keeper = serve()
    keeper.listings[PLACE] = listed({"path": name})
    keeper.bodies[f"{PLACE}/evil"] = b"x"
    found = asking(ASKED)
    assert [one.parent for one in asking.folder.rglob("evil")] == [found.path]


def test_a_name_that_stands_twice_and_a_folder_in_itself_are_refused(asking, serve):
    keeper = serve()
    keeper.listings[PLACE] = listed({"path": "a"}, {"path": "a", "is_dir": True})
    with pytest.raises(IntegrityError, match="or twice there"):
        asking(ASKED)
    inner = {"files": [{"path": "a", "is_dir": True}]}
    keeper.listings = {PLACE + "/a" * depth: inner for depth in range(200)}
    with pytest.raises(IntegrityError, match="too deep"):
        asking(ASKED)


@pytest.mark.parametrize(
    ("said", "what"), [(3, "got 7 bytes, and the listing says 3"), (70, "the listing says 70")]
)
def test_a_size_that_is_not_as_listed_is_refused(asking, serve, said, what):
    keeper = serve()
    keeper.listings[PLACE] = listed({"path": "model.pkl", "file_size": said})
    with pytest.raises(IntegrityError, match=what):
        asking(ASKED)


@pytest.mark.parametrize("field", ["Content-MD5", "Digest", "Repr-Digest", "Content-Digest"])
def test_a_digest_that_a_server_tells_is_held_against_the_bytes(asking, serve, field):
    keeper = serve()
    keeper.listings[PLACE] = listed({"path": "model.pkl", "file_size": 7})

    def told(data):
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        sha256 = base64.b64encode(hashlib.sha256(data).digest()).decode()
        return {"Content-MD5": md5, "Digest": f"SHA-256={sha256}"}.get(field, f"sha-256=:{sha256}:")

    keeper.headers = {field: told(b"model 2")}
    with pytest.raises(IntegrityError, match="is not the one that the server tells"):
        asking(ASKED)
    keeper.headers = {field: told(b"model 1")}
    assert (asking(ASKED).path / "model.pkl").read_bytes() == b"model 1"


def test_a_model_with_less_than_its_mlmodel_says_is_refused(asking, serve):
    keeper = serve()
    write(keeper.kept.folder / PLACE / "MLmodel", "flavors: {}\nmodel_size_bytes: 5000\n")
    with pytest.raises(IntegrityError, match="its MLmodel says 5000: files are missing"):
        asking(ASKED)


@pytest.mark.parametrize("top", ["file:///etc", "/etc", "file:///", "../.."])
def test_a_server_cannot_have_files_of_this_machine_read(asking, serve, top):
    keeper = serve(2, top)
    found = asking(ASKED)
    assert names(found.path) == sorted(files_of(1)), "the server itself is asked for them"
    assert found.record.location is None
    source = {"name": "iris", "version": "1", "source": top, "status": "READY"}
    keeper.answers = {"model-versions/get": {"model_version": source}, "model-versions/get-download-uri": {}}
    with pytest.raises(RegistryError, match="on the machine of whoever registered it"):
        asking(ASKED)


def test_logged_models_that_a_server_keeps_on_its_own_disk_are_asked_of_it(asking, serve):
    serve(3, "/srv/mlruns")
    assert names(asking(ASKED).path) == sorted(files_of(1))
    assert names(asking(f"models:/{MODELS[1]}/sub").path) == ["deep.txt", "empty"]
    assert asking(f"runs:/{RUNS[0]}/notes/about this.txt").path.read_bytes() == b"beside"


def test_a_registry_elsewhere_cannot_have_files_of_a_local_store_read(asking, serve, tmp_path):
    serve(2, "file:///etc")
    asking.environ["MLFLOW_REGISTRY_URI"] = asking.environ["MLFLOW_TRACKING_URI"]
    top = tmp_path / "mlruns"
    asking.environ["MLFLOW_TRACKING_URI"] = write_folder(top, Kept(2, top.as_uri(), top))
    with pytest.raises(RegistryError, match="on the machine of whoever registered it"):
        asking(ASKED)


@pytest.mark.parametrize("is_beside", [True, False])
def test_a_registry_hands_out_what_it_keeps_where_no_tracking_server_is_named(
    asking, serve, tmp_path, is_beside
):
    serve(2)
    asking.environ["MLFLOW_REGISTRY_URI"] = asking.environ.pop("MLFLOW_TRACKING_URI")
    if is_beside:
        top = tmp_path / "mlruns"
        asking.environ["MLFLOW_TRACKING_URI"] = write_folder(top, Kept(2, top.as_uri(), top))
    assert names(asking(ASKED).path) == sorted(files_of(1))


def test_a_uri_that_leads_to_itself_is_refused(asking, serve):
    keeper = serve()
    keeper.answers["model-versions/get-download-uri"] = {"artifact_uri": ASKED}
    with pytest.raises(IntegrityError, match="without end"):
        asking(ASKED)


@pytest.mark.parametrize(
    "place", ["dbfs:/a", "hdfs://a/b", "ftp://me:hunter2@a/b", "https://example.com/a?sig=hunter2"]
)
def test_a_place_that_cannot_be_reached_is_told_without_its_password(asking, serve, place):
    serve(2, place)
    with pytest.raises(RegistryError, match="which cannot be reached from here") as caught:
        asking(ASKED)
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of S3, with a model in it."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    from obstore import put
    from obstore.store import S3Store

    url = f"http://{host}:{port}"
    import boto3

    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    client.create_bucket(Bucket="models")
    client.close()
    store = S3Store("models", endpoint=url, client_options={"allow_http": True})
    for path, data in files_of(1).items():
        put(store, f"top/{PLACE}/{path}", data)
    put(store, f"top/{PLACE}x/other", b"of another")
    yield url
    server.stop()


def test_artifacts_in_a_bucket_are_fetched_from_there(asking, serve, bucket):
    serve(3, "s3://models/top")
    asking.environ["MLFLOW_S3_ENDPOINT_URL"] = bucket
    found = asking(ASKED)
    assert {one: (found.path / one).read_bytes() for one in names(found.path)} == files_of(1)
    assert found.record.location == f"s3://models/top/{PLACE}"
    assert asking(f"{ASKED}/sub/deep.txt").path.read_bytes() == b"deep"
    with pytest.raises(RegistryError, match="there are no artifacts"):
        asking("models:/iris/2")


def test_progress_is_told(asking, serve):
    serve()
    asking(ASKED)
    total = sum(map(len, files_of(1).values()))
    progress = [(one.done, one.total) for one in asking.events if one.kind == "progress"]
    assert progress[-1] == (total, total)
    assert "version 1 of iris" in asking.said()


def test_a_listing_in_pages_is_read_to_its_end(asking, serve):
    keeper = serve(2, "/srv")
    top = keeper.kept.model(1)
    keeper.listings[top] = {**listed({"path": f"{top}/model.pkl", "file_size": 7}), "next_page_token": "more"}
    seen = []

    def place(path, query, known=keeper.place):
        if query.get("page_token") == "more":
            keeper.listings[top] = listed(
                {"path": "classifier/MLmodel", "file_size": len(files_of(1)["MLmodel"])}
            )
            seen.append(path)
        return known(path, query)

    keeper.place = place
    assert names(asking(ASKED).path) == ["MLmodel", "model.pkl"]
    assert seen


def test_a_listing_without_end_is_refused(asking, serve, monkeypatch):
    monkeypatch.setattr(served, "_MOST_PAGES", 3)
    keeper = serve(2, "/srv")
    top = keeper.kept.model(1)
    keeper.listings[top] = {**listed(), "next_page_token": "more"}
    with pytest.raises(IntegrityError, match="more than 3 pages"):
        asking(ASKED)


def test_what_is_no_tracking_server_is_told(asking, serve):
    keeper = serve()
    for answer in (b"<html>", b"[]", b"\xff", json.dumps([1]).encode()):
        keeper.answers = {"model-versions/get": answer}
        with pytest.raises(RegistryError, match="not as a tracking server does"):
            asking(ASKED)


def test_what_failed_is_told_and_not_what_was_given_up_for_it(asking, serve):
    keeper = serve()
    rows = [{"path": f"file {number}", "file_size": len(LARGE)} for number in range(20)]
    keeper.listings[PLACE] = listed(*rows, {"path": "wrong", "file_size": 3})
    keeper.bodies = {f"{PLACE}/file {number}": LARGE for number in range(20)} | {f"{PLACE}/wrong": b"longer"}
    with pytest.raises(IntegrityError, match="wrong: got 6 bytes, and the listing says 3"):
        asking(ASKED)
