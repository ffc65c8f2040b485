"""Who one is at a tracking server, and who is told: the server that its user names, and nobody else."""

import base64
import ssl
import subprocess

import pytest

from keeping import MODELS, RUNS, Kept, keep
from lading.core.errors import LadingError, RegistryError, SpecError
from lading.tracking import access
from lading.tracking.server import Server

ASKED = "models:/iris/1"
SECRET = "hunter2hunter2"


def basic(user, password):
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def logins(keeper):
    return {headers.get("authorization", "") for _, headers in keeper.asked}


@pytest.mark.parametrize(
    ("environ", "login"),
    [
        ({"MLFLOW_TRACKING_TOKEN": SECRET}, f"Bearer {SECRET}"),
        ({"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": SECRET}, basic("me", SECRET)),
        (
            {
                "MLFLOW_TRACKING_TOKEN": "x",
                "MLFLOW_TRACKING_USERNAME": "me",
                "MLFLOW_TRACKING_PASSWORD": SECRET,
            },
            basic("me", SECRET),
        ),
        ({"MLFLOW_TRACKING_USERNAME": "me"}, ""),
    ],
)
def test_the_variables_log_in(asking, serve, environ, login):
    keeper = serve()
    keeper.login = login
    asking.environ |= environ
    record = asking(ASKED).record
    assert logins(keeper) == {login}
    assert SECRET not in f"{record} {asking.said()}"


def test_the_file_of_credentials_and_the_url_log_in(asking, serve, tmp_path):
    keeper = serve()
    keeper.login = basic("me", "50%")
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow/credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = me\nmlflow_tracking_password = 50%\n"
    )
    asking(ASKED)
    keeper.login = basic("a@b", SECRET)
    asking.environ["MLFLOW_TRACKING_URI"] = keeper.url.replace("//", f"//a%40b:{SECRET}@")
    record = asking("models:/iris/2").record
    assert record.server == keeper.url
    assert SECRET not in f"{record} {asking.said()}"


def test_a_file_of_credentials_that_cannot_be_read_is_told_without_what_stands_in_it(asking, serve, tmp_path):
    serve()
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow/credentials").write_text(f"mlflow_tracking_password = {SECRET}\n")
    with pytest.raises(RegistryError, match="credentials: cannot be read") as caught:
        asking(ASKED)
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"


def test_who_is_unknown_is_told_what_to_set(asking, serve):
    keeper = serve()
    keeper.login = "Bearer another"
    asking.environ["MLFLOW_TRACKING_TOKEN"] = SECRET
    with pytest.raises(RegistryError, match="401 Unauthorized: who are you") as caught:
        asking(ASKED)
    assert "MLFLOW_TRACKING_TOKEN" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_workspace_is_named_to_the_server(asking, serve):
    keeper = serve()
    asking.environ["MLFLOW_WORKSPACE"] = "team"
    asking(ASKED)
    assert {headers.get("x-mlflow-workspace") for _, headers in keeper.asked} == {"team"}


def test_another_host_that_a_server_names_is_told_nothing(asking, serve):
    other = serve()
    keeper = serve(3, f"mlflow-artifacts://127.0.0.1:{other.port}")
    asking.environ |= {"MLFLOW_TRACKING_TOKEN": SECRET, "MLFLOW_WORKSPACE": "team"}
    asking(ASKED)
    assert logins(keeper) == {f"Bearer {SECRET}"}
    assert other.asked
    assert logins(other) == {""}
    assert not any("x-mlflow-workspace" in headers for _, headers in other.asked)


def test_another_host_that_the_user_names_is_told_who_asks(asking, serve):
    keeper = serve()
    asking.environ["MLFLOW_TRACKING_TOKEN"] = SECRET
    found = asking(f"mlflow-artifacts://127.0.0.1:{keeper.port}/0/models/{MODELS[0]}/artifacts")
    assert (found.path / "model.pkl").read_bytes() == b"model 1"
    assert logins(keeper) == {f"Bearer {SECRET}"}
    assert found.record.run_id is None


def test_the_same_server_by_its_own_name_is_told_who_asks(asking, serve):
    keeper = serve()
    keeper.login = f"Bearer {SECRET}"
    asking.environ["MLFLOW_TRACKING_TOKEN"] = SECRET
    top = f"{keeper.url}/api/2.0/mlflow-artifacts/artifacts"
    keeper.answers["model-versions/get-download-uri"] = {"artifact_uri": f"{top}/{keeper.kept.model(1)}"}
    assert (asking(ASKED).path / "model.pkl").read_bytes() == b"model 1"
    assert asking(f"runs:/{RUNS[0]}/classifier").record.server == keeper.url


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"MLFLOW_TRACKING_INSECURE_TLS": "true", "MLFLOW_TRACKING_SERVER_CERT_PATH": "x"},
            "unset one of them",
        ),
        (
            {"MLFLOW_TRACKING_SERVER_CERT_PATH": "/nowhere.pem"},
            "MLFLOW_TRACKING_SERVER_CERT_PATH: cannot be read",
        ),
        (
            {"MLFLOW_TRACKING_CLIENT_CERT_PATH": "/nowhere.pem"},
            "MLFLOW_TRACKING_CLIENT_CERT_PATH: cannot be read",
        ),
        ({"MLFLOW_TRACKING_TOKEN": "a\nb"}, "has letters that no header can carry"),
    ],
)
def test_what_cannot_be_followed_is_told(asking, serve, environ, said):
    serve()
    asking.environ |= environ
    with pytest.raises((SpecError, LadingError)) as caught:
        asking(ASKED)
    assert said in str(caught.value)


@pytest.fixture
def secured(tmp_path, asking):
    """A server whose certificate nobody has signed."""
    made = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem", "-days", "2"]
    names = ["-subj", "/CN=here", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made, *names]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with keep(Kept(3, "mlflow-artifacts:", tmp_path / "kept"), tls) as keeper:
        asking.environ["MLFLOW_TRACKING_URI"] = keeper.url
        yield keeper


def test_a_certificate_is_trusted_where_a_variable_says_so(asking, secured, tmp_path):
    with pytest.raises(RegistryError, match="its certificate is refused") as caught:
        asking(ASKED)
    assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in str(caught.value)
    assert not secured.asked
    asking.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"] = str(tmp_path / "cert.pem")
    assert asking(ASKED).record.server == secured.url
    del asking.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"]
    asking.environ["MLFLOW_TRACKING_INSECURE_TLS"] = "true"
    assert asking("models:/iris/2").record.version == "2"


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://mlflow.example.com", 1), ("https://mlflow.example.com", 0), ("http://localhost:5000", 0)],
)
def test_a_secret_that_goes_in_clear_is_warned_of(url, warned):
    said = []
    Server(url, {"MLFLOW_TRACKING_TOKEN": SECRET}, said.append)
    assert [one.kind for one in said] == ["warning"] * warned
    assert SECRET not in str(said)


def test_a_url_is_cut_from_who_asks():
    assert access.split("https://me:p%40ss@host:1/prefix/") == ("https://host:1/prefix", ("me", "p@ss"))
    assert access.split("http://host") == ("http://host", None)
