"""A file that is damaged costs what it tells of, and nothing else."""

from __future__ import annotations

import threading

import pytest

from lading.core.digest import Digest
from lading.core.endpoint import Deployment, Endpoint
from lading.core.errors import IntegrityError
from lading.deploy.folder import Folder
from lading.deploy.logfile import LogFile
from lading.deploy.rollout import Record

KEYS = {"primary": "a", "secondary": "b"}


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "endpoints")
    for name in ("first", "second"):
        folder.write_endpoint(Endpoint(name, host="127.0.0.1", port=9000))
        folder.write_keys(name, KEYS)
        for deployment in ("blue", "green"):
            folder.write_deployment(
                Record(Deployment(deployment, name, environment="iris:1", package=Digest.of(b"package")))
            )
    return folder


def read(folder):
    issues = []
    found = {one.name: (keys, sorted(records)) for one, keys, records in folder.endpoints(issues.append)}
    return found, [str(issue) for issue in issues]


@pytest.mark.parametrize("content", [b"", b'{"name": "fi', b"[]", b'{"wanted": 1}', b"\xff"])
@pytest.mark.parametrize(
    ("file", "left", "way_out"),
    [
        ("endpoint.json", None, "lading endpoint delete -n first --yes"),
        ("keys.json", ({}, ["blue", "green"]), "keys are made anew"),
        ("deployments/green.json", (KEYS, ["blue"]), "lading deployment delete -n green -e first --yes"),
    ],
)
def test_what_is_damaged_is_told_and_left_out(folder, file, left, way_out, content):
    (folder.root / "endpoints" / "first" / file).write_bytes(content)
    found, issues = read(folder)
    assert found == {**({"first": left} if left else {}), "second": (KEYS, ["blue", "green"])}
    assert len(issues) == 1
    assert file in issues[0]
    assert way_out in issues[0]
    with pytest.raises(IntegrityError):
        list(folder.endpoints())
    assert folder.has("first")
    assert folder.has("first", "green")


@pytest.mark.parametrize(
    "keys", ['{"primary": "", "secondary": "b"}', '{"primary": "a"}', '{"primary": 1, "secondary": "b"}']
)
def test_a_key_that_anybody_has_is_none(folder, keys):
    (folder.root / "endpoints" / "first" / "keys.json").write_text(keys)
    assert read(folder)[0]["first"][0] == {}


def test_what_is_not_there_is_not_there(folder):
    assert not folder.has("third")
    assert not folder.has("first", "red")
    assert not folder.has("../endpoints/first")
    assert not folder.has("third", "blue")


def test_what_is_written_meanwhile_does_not_bring_logs_back(folder):
    is_over = threading.Event()
    log = LogFile(folder.log("first", "blue", "blue-1"))

    def write():
        while not is_over.is_set():
            log.write(b"still there\n")

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(10):
            log.path.parent.mkdir(parents=True, exist_ok=True)
            for number in range(2, 100):  # removing them takes a while, in which the first comes back
                folder.log("first", "blue", f"blue-{number}").write_bytes(b"there\n")
            folder.forget_deployment("first", "blue")
            assert list((folder.root / "logs" / "first").iterdir()) == []
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
