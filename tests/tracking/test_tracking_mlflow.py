"""Real servers and stores of MLflow 2 and 3: what lading fetches is what MLflow's own client fetches."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from engines import free_port
from lading.core.errors import RegistryError

HERE = Path(__file__).parent
VERSIONS = {2: ("mlflow[auth]==2.22.5", "sqlalchemy<2.1"), 3: ("mlflow[auth]==3.17.2",)}
"""The last of MLflow 2 works with an older SQLAlchemy than it asks for."""
ENVIRON = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "PYTHONWARNINGS": "ignore",
}
READY_S = 120.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


class Environment:
    """A version of MLflow, apart from lading's own environment."""

    def __init__(self, folder, major):
        self.major, self.folder = major, folder
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder / "env"], check=True)
        python = ["--python", folder / "env/bin/python"]
        subprocess.run([uv, "pip", "install", "--quiet", *python, *VERSIONS[major]], check=True)
        self.bin = folder / "env/bin"

    def environ(self, **more):
        return {**os.environ, **ENVIRON, "PATH": f"{self.bin}:{os.environ['PATH']}", **more}

    def python(self, script, *arguments, cwd, **environ):
        command = [self.bin / "python", HERE / script, *arguments]
        subprocess.run(command, check=True, cwd=cwd, env=self.environ(**environ))

    @contextmanager
    def server(self, folder, *options):
        """Have a server whose database, and artifacts, lie in a folder."""
        port = free_port()
        store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        command = [self.bin / "mlflow", "server", *store, *where, *options]
        with (folder / "server.log").open("ab") as log:
            environ = self.environ(MLFLOW_FLASK_SERVER_SECRET_KEY="for a test alone")
            process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=folder, env=environ, start_new_session=True
            )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            finally:  # some of MLflow's own processes do not heed it
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)


def wait_for(url, process):
    until_s = time.monotonic() + READY_S
    while time.monotonic() < until_s:
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("the server is not ready")


@pytest.fixture(scope="module", params=[2, 3])
def mlflow(request, tmp_path_factory):
    return Environment(tmp_path_factory.mktemp(f"mlflow{request.param}"), request.param)


def uris(folder):
    """Name everything that was logged, in every way."""
    found = json.loads((folder / "logged.json").read_text())
    run, model = found["logged"][1]
    names = ["models:/iris/2", "models:/iris@champion", "models:/iris/latest", "models:/iris/Production"]
    names += [f"runs:/{run}/classifier", f"runs:/{run}/notes/about this.txt", f"runs:/{run}/notes"]
    names += [f"models:/{model}"] if model else []
    return names


def contents(path):
    if path.is_file():
        return path.read_bytes()
    files = [one for one in path.rglob("*") if one.is_file() and one.name != "registered_model_meta"]
    return {one.relative_to(path).as_posix(): one.read_bytes() for one in files}


def check(mlflow, asking, folder, uri, names):
    """Hold what is fetched against what MLflow's client fetches."""
    oracle = folder / f"oracle{len(list(folder.glob('oracle*')))}"
    mlflow.python("download_models.py", oracle, *names, cwd=folder, MLFLOW_TRACKING_URI=uri)
    asking.environ["MLFLOW_TRACKING_URI"] = uri
    for number, name in enumerate(names):
        expected = contents(Path((oracle / f"{number}.path").read_text()))
        assert expected
        found = asking(name)
        assert contents(found.path) == expected, name
        assert found.record.metrics.keys() == {"accuracy"}, name
        assert found.record.params.keys() == {"C"}
        assert found.record.commit


def test_a_server_hands_out_what_mlflow_fetches_from_it(mlflow, asking, tmp_path, lading):
    with mlflow.server(tmp_path, "--artifacts-destination", str(tmp_path / "artifacts")) as url:
        mlflow.python("log_models.py", tmp_path / "logged.json", cwd=tmp_path, MLFLOW_TRACKING_URI=url)
        check(mlflow, asking, tmp_path, url, uris(tmp_path))
        place = asking("models:/iris/2").record.location
        assert place.startswith("mlflow-artifacts:/")
        assert contents(asking(place).path) == contents(asking("models:/iris/2").path)
        assert contents(asking(f"{place}/MLmodel").path) == contents(asking(place).path)["MLmodel"]
        for name, said in (
            ("models:/iris/9", "has no version 9"),
            ("models:/iris@nobody", "aliases there: champion"),
            ("models:/irs/1", "did you mean 'iris'?"),
            ("runs:/0123/x", "there is no run"),
            (f"models:/m-{'0a' * 16}", "there is no logged model"),
            ("mlflow-artifacts:/nothing/there", "there are no artifacts"),
        ):
            with pytest.raises(RegistryError) as caught:
                asking(name)
            assert said in str(caught.value)
        env = {"MLFLOW_TRACKING_URI": url}
        lading("pack", "models:/iris@champion", "-t", f"logged:{mlflow.major}", env=env)
        assert f"recorded     models:/iris@champion at {url}" in lading("show", f"logged:{mlflow.major}")


def test_a_database_and_a_folder_are_read_as_mlflow_reads_them(mlflow, asking, tmp_path):
    for uri in (f"sqlite:///{tmp_path}/mlflow.db", (tmp_path / "store").as_uri()):
        mlflow.python("log_models.py", tmp_path / "logged.json", cwd=tmp_path, MLFLOW_TRACKING_URI=uri)
        check(mlflow, asking, tmp_path, uri, uris(tmp_path))


def test_a_server_is_asked_for_what_lies_on_its_own_disk(mlflow, asking, tmp_path):
    local = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow.python("log_models.py", tmp_path / "logged.json", cwd=tmp_path, MLFLOW_TRACKING_URI=local)
    asking.environ["MLFLOW_TRACKING_URI"] = local
    expected = {name: contents(asking(name).path) for name in uris(tmp_path)}
    with mlflow.server(
        tmp_path, "--no-serve-artifacts", "--default-artifact-root", str(tmp_path / "x")
    ) as url:
        asking.environ["MLFLOW_TRACKING_URI"] = url
        for name, files in expected.items():
            found = asking(name)
            assert found.is_cached
            assert contents(found.path) == files


def test_a_server_that_wants_to_know_who_asks_is_told(mlflow, asking, tmp_path):
    (tmp_path / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{tmp_path}/auth.db\n"
        "admin_username = admin\nadmin_password = long-enough-12345\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    login = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "long-enough-12345"}
    os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(tmp_path / "auth.ini")
    try:
        destination = ["--artifacts-destination", str(tmp_path / "artifacts"), "--app-name", "basic-auth"]
        with mlflow.server(tmp_path, *destination) as url:
            mlflow.python(
                "log_models.py", tmp_path / "logged.json", cwd=tmp_path, MLFLOW_TRACKING_URI=url, **login
            )
            asking.environ["MLFLOW_TRACKING_URI"] = url
            with pytest.raises(RegistryError, match="401") as caught:
                asking("models:/iris/1")
            assert "set MLFLOW_TRACKING_TOKEN" in str(caught.value)
            asking.environ |= {**login, "MLFLOW_TRACKING_PASSWORD": "another-12345"}
            with pytest.raises(RegistryError, match="401"):
                asking("models:/iris/1")
            asking.environ |= login
            for name in uris(tmp_path):
                assert contents(asking(name).path)
    finally:
        del os.environ["MLFLOW_AUTH_CONFIG_PATH"]
