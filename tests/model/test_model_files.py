"""Which files belong to a model, and which may not."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression

from lading.core.errors import ModelError
from lading.core.model import NEVER_PACKAGED
from lading.model import inspect
from lading.model.files import list_files

MODEL = pickle.dumps(LinearRegression())


def test_files_are_listed_by_path_with_their_sizes(write):
    write("m/b/model.pkl", MODEL)
    write("m/a.txt", "abc")
    folder = write("m/b.txt", "").parent
    assert [(one.path, one.size_bytes) for one in list_files(folder)] == [
        ("a.txt", 3),
        ("b.txt", 0),
        ("b/model.pkl", len(MODEL)),
    ]


def test_caches_and_what_lading_writes_itself_are_left_out(write):
    write("m/__pycache__/x.pyc", b"")
    write("m/.git/config", "")
    write("m/lading.yaml", "")
    write("m/lading.lock", "")
    write("m/pylock.toml", "")
    write("m/pylock.server.toml", "")
    write("m/deep/lading.yaml", "")
    folder = write("m/model.pkl", MODEL).parent
    assert [one.path for one in list_files(folder)] == ["deep/lading.yaml", "model.pkl"]


def test_a_link_within_the_folder_is_its_target(write):
    target = write("m/real.pkl", MODEL)
    (target.parent / "alias.bin").symlink_to("real.pkl")
    alias, real = list_files(target.parent)
    assert alias.source == real.source == target.resolve()


def test_a_linked_model_is_read_where_it_lies(write, tmp_path):
    real = write("real/model.pkl", MODEL)
    (tmp_path / "link").symlink_to(real.parent)
    (tmp_path / "model.pkl").symlink_to(real)
    assert [one.path for one in inspect(tmp_path / "link").files] == ["model.pkl"]
    assert inspect(tmp_path / "model.pkl").files[0].source == real.resolve()


def test_everything_that_may_not_be_packaged_is_reported_at_once(write):
    secret = write("secret", "s")
    folder = write("m/model.pkl", MODEL).parent
    (folder / "away").symlink_to(secret)
    (folder / "broken").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "folder").symlink_to(".")
    os.mkfifo(folder / "pipe")
    with pytest.raises(ModelError) as caught:
        inspect(folder)
    found = {issue.where: issue.what for issue in caught.value.issues}
    assert found.keys() == {"away", "broken", "loop", "folder", "pipe"}
    assert "a link out of the folder" in found["away"]
    assert "neither a file" in found["pipe"]
    assert "neither a file" in found["folder"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["model.pkl", "score.py", "MLmodel"])
def test_a_pipe_or_a_socket_is_never_opened(name, tmp_path, write):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelError, match="neither a file nor a folder"):
        inspect(tmp_path / name)
    with pytest.raises(ModelError, match="neither a file"):
        inspect(tmp_path)
    with pytest.raises(ModelError, match="neither a file nor a folder"):
        inspect(write("other/model.pkl", MODEL), code=tmp_path / name)
    with pytest.raises(ModelError, match="neither a file nor a folder"):
        inspect(Path("/dev/null"))


def test_a_name_that_is_no_utf8_is_refused(tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(MODEL)
    (folder / os.fsdecode(b"\xff.bin")).write_bytes(b"x")
    with pytest.raises(ModelError, match="no UTF-8"):
        inspect(folder)


def test_an_empty_folder_and_a_missing_path_say_so(tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(ModelError, match="the folder is empty"):
        inspect(tmp_path / "m")
    with pytest.raises(ModelError, match="no such model"):
        inspect(tmp_path / "nowhere")
    with pytest.raises(ModelError) as caught:
        inspect(tmp_path / "nowhere", code=tmp_path / "neither")
    assert len(caught.value.issues) == 2


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_may_not_be_read_says_so(kind, write):
    path = write("m/deep/model.pkl", MODEL)
    target = path if kind == "file" else path.parent
    target.chmod(0)
    if os.access(target, os.R_OK):
        pytest.skip("root may read everything; run the tests as an ordinary user")
    try:
        with pytest.raises(ModelError, match="read"):
            inspect(path.parent.parent)
        if kind == "file":
            with pytest.raises(ModelError, match="cannot be read"):
                inspect(path)
    finally:
        target.chmod(0o755)


def test_secrets_and_caches_beside_a_model_are_left_out(tmp_path):
    (tmp_path / "model.pkl").write_bytes(MODEL)
    for name in NEVER_PACKAGED:
        (tmp_path / name).write_text("hunter2")
    assert [one.path for one in list_files(tmp_path)] == ["model.pkl"]
