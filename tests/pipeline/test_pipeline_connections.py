"""Connections: a private feed is asked as who they say, and no secret of theirs is found anywhere."""

import base64
import gzip
import hashlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

import engines
from gitting import GitServer, Repository
from lading.core.errors import RegistryError
from lading.core.reference import Reference
from lading.pipeline import connections
from lading.pipeline.context import Context
from lading.settings import Settings
from running import Lading
from smithing import Wheelsmith

pytestmark = pytest.mark.network

USER, PASSWORD = "feed-user", "hunter2-feed-password"
CONNECTION = """\
name: feed
type: python_feed
target: {target}
credentials:
  type: username_password
  username: feed-user
  password: {password}
"""
MLMODEL = """\
flavors:
  python_function:
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.11.2
    env: {conda: conda.yaml}
  sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle, sklearn_version: 1.7.2}
mlflow_version: 3.6.0
"""


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    """A private index, pypiserver's, that answers to one user alone."""
    folder = tmp_path_factory.mktemp("feed")
    smith = Wheelsmith(folder / "wheels")
    smith.wheel("greeting", "1.0")
    digest = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()  # as Apache has it
    (folder / "users").write_text(f"{USER}:{{SHA}}{digest}\n")
    port = engines.free_port()
    command = [sys.executable, "-m", "pypiserver", "run", "-i", "127.0.0.1", "-p", str(port)]
    command += ["-P", str(folder / "users"), "-a", "list,download,update", "--disable-fallback"]
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen([*command, str(folder / "wheels")], stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/simple/", timeout=5).close()
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 401:
                    break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/simple"
    finally:
        running.terminate()
        running.wait(10)


@pytest.fixture
def own(tmp_path):
    """A home of this test's own, and all that it writes besides."""
    return Lading(tmp_path / "home")


def found_in(needle, *folders):
    """List the files that hold a secret, packed or not."""
    found = []
    count = 0
    for path in (path for folder in folders for path in folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            count += 1
            data = path.read_bytes()
            plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else b""
            found += [path] if any(one in data or one in plain for one in needle) else []
    assert count
    return found


NEEDLES = (PASSWORD.encode(), base64.b64encode(f"{USER}:{PASSWORD}".encode()))


def test_a_feed_and_a_repository_are_had_as_variables_say_and_no_secret_is_written(own, feed, tmp_path):
    repository = Repository(tmp_path / "served" / "team" / "parting.git")
    project = "[project]\nname = 'parting'\nversion = '3.1'\n[tool.setuptools]\npy-modules = ['parting']\n"
    commit = repository.commit(pyproject_toml=project, parting_py="WORDS = 'farewell'\n")
    server = GitServer(tmp_path / "served", f"x-access-token:{PASSWORD}")
    try:
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "score.py").write_text(
            "import greeting, parting\n\ndef run(data):\n    return parting.WORDS\n"
        )
        (folder / "conda.yaml").write_text(
            f"dependencies:\n- python=3.11\n- pip:\n  - --extra-index-url {feed}\n  - greeting\n"
            f"  - parting @ git+{server.url}/team/parting.git@main\n"
        )
        (folder / "lading.yaml").write_text("requirements: conda.yaml\ncode: .\n")
        (tmp_path / "feed.yml").write_text(CONNECTION.format(target=feed, password="${FEED_PASSWORD}"))
        env = {"FEED_PASSWORD": PASSWORD, "UV_CACHE_DIR": str(tmp_path / "uv")}
        flags = ("--secret-env", "FEED_PASSWORD", "-t", "git", "--target", f"{server.url}/team")
        said = [own.run("connection", "create", "-f", tmp_path / "feed.yml", env=env)]
        refused = own.run("pack", folder, "-t", "secret:1", "-v", env=env)
        assert (refused.returncode, "connection create" in refused.stderr) == (8, True), refused.stderr
        said.append(own.run("connection", "create", "-n", "team", *flags, env=env))
        said.append(own.run("pack", folder, "-t", "secret:1", "-v", env=env))
        said.append(own.run("connection", "list", env=env))
        assert [one.returncode for one in said] == [0] * 4, [one.stderr for one in said]
    finally:
        server.close()
    bill = own.json("show", "secret:1")["bill"]
    packages = [(one["name"], one["version"]) for one in bill["environment"]["packages"]]
    assert packages == [("greeting", "1.0"), ("parting", "3.1")]
    assert f"parting.git@{commit}" in (folder / "pylock.toml").read_text()
    assert "variable FEED_PASSWORD" in said[-1].stdout
    assert PASSWORD not in "".join(one.stdout + one.stderr for one in (refused, *said))
    tokens = (f"{user}:{PASSWORD}".encode() for user in (USER, "x-access-token"))
    needles = (PASSWORD.encode(), *map(base64.b64encode, tokens))
    assert found_in(needles, own.home, folder, tmp_path / "uv") == []


def test_a_secret_in_the_keyring_serves_mlflow_models_and_failures_tell_nothing(own, feed, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text(MLMODEL)
    import pickle

    from sklearn.linear_model import LinearRegression

    (folder / "model.pkl").write_bytes(pickle.dumps(LinearRegression().fit([[0.0]], [0.0])))
    conda = "dependencies:\n- python=3.11\n- pip:\n"
    conda += f"  - --extra-index-url {feed}\n  - greeting\n"
    (folder / "conda.yaml").write_text(conda)
    (tmp_path / "connection.yml").write_text(CONNECTION.format(target=feed, password=PASSWORD))
    env = {
        "PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring",
        "XDG_DATA_HOME": str(tmp_path / "ring"),
    }
    done = [own.run("connection", "create", "-f", tmp_path / "connection.yml", env=env)]
    done.append(own.run("lock", folder, "-v", env=env, cwd=tmp_path))
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    assert "greeting" in (tmp_path / "pylock.toml").read_text()
    wrong = CONNECTION.format(target=feed, password=f"wrong-{PASSWORD}")
    (tmp_path / "connection.yml").write_text(wrong)
    done.append(own.run("connection", "create", "-f", tmp_path / "connection.yml", env=env))
    done.append(own.run("lock", folder, "--upgrade", "-v", env={**env, "UV_NO_CACHE": "1"}, cwd=tmp_path))
    assert done[-1].returncode == 8, done[-1].stderr
    assert PASSWORD not in "".join(one.stdout + one.stderr for one in done)
    assert found_in(NEEDLES, own.home, folder) == []
    assert not any(one in (tmp_path / "pylock.toml").read_bytes() for one in NEEDLES)


def test_a_registry_is_asked_as_its_connection_says(guarded_registry, tmp_path, monkeypatch):
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("HUB_PASSWORD", engines.PASSWORD)
    reference = Reference.parse(f"{guarded_registry.host}/team/app")
    (tmp_path / "hub.yml").write_text(
        f"name: hub\ntype: container_registry\ntarget: {guarded_registry.host}\ncredentials:\n"
        f"  {{type: username_password, username: {engines.USER}, password: '${{HUB_PASSWORD}}'}}\n"
    )
    for logged_in in (False, True):
        with Context(Settings(tmp_path / "home")) as context:
            if logged_in:
                connections.create(context, tmp_path / "hub.yml", ())
            with context.registry(reference) as store:
                if logged_in:
                    store.check()
                    continue
                with pytest.raises(RegistryError):
                    store.check()


def test_a_secret_on_standard_input_is_refused_without_a_keyring(own, tmp_path):
    command = [sys.executable, "-m", "lading", "connection", "create", "-n", "hub", "--secret-stdin"]
    command += ["-t", "container_registry", "--target", "hub.example.com", "--home", str(own.home)]
    done = subprocess.run(
        command,
        input=PASSWORD,
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"},
    )
    assert done.returncode == 8, done.stderr
    assert "--insecure-storage" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
    assert own.fails(2, "connection", "show", "-n", "hub")
