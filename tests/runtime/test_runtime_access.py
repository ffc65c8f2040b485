"""Who may ask: bearer tokens, TLS, and certificates of clients."""

import http.client
import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from lading_runtime import launch
from lading_runtime.bill import Bill
from lading_runtime.front import access
from lading_runtime.front.settings import Settings

SECRET = "the-old-token-of-this-server"
NEXT = "the-new-token-of-this-server"
LEAK = "import os\ndef run(data):\n    return [key for key in os.environ if 'TOKEN' in key or 'TLS' in key]"


@pytest.fixture(scope="module")
def guarded(serve, tmp_path_factory):
    file = tmp_path_factory.mktemp("tokens") / "token"
    file.write_text(f"{NEXT}\n\n")
    environ = {"LADING_TOKEN": SECRET, "LADING_TOKEN_FILE": str(file), "LADING_LOG_LEVEL": "debug"}
    with serve(entry="score.py", files={"score.py": LEAK}, environ=environ) as served:
        yield served


def ask(served, authorization, path="/invocations", method="POST"):
    headers = {"content-type": "application/json"}
    if authorization is not None:
        headers["authorization"] = authorization
    return served.ask(method, path, b"1" if method == "POST" else None, headers)


@pytest.mark.parametrize("authorization", [f"Bearer {SECRET}", f"bearer  {NEXT}", f"BEARER {NEXT} "])
def test_a_token_opens_every_route_and_the_model_is_not_told_of_it(guarded, authorization):
    status, body, _ = ask(guarded, authorization)
    assert (status, json.loads(body)) == (200, {"predictions": []})
    assert ask(guarded, authorization, "/metrics", "GET")[0] == 200


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {SECRET}",
        SECRET,
        f"Bearer {SECRET}x",
        f"Bearer {SECRET[:-1]}",
        "Bearer \xe9",
    ],
)
def test_a_request_without_the_token_is_refused_with_401(guarded, authorization):
    status, body, headers = ask(guarded, authorization)
    assert status == 401
    assert headers["www-authenticate"] == "Bearer"
    assert json.loads(body)["error_code"] == "UNAUTHENTICATED"
    assert SECRET not in body.decode()
    assert ask(guarded, authorization, "/metrics", "GET")[0] == 401
    assert ask(guarded, authorization, "/v2/models/iris", "GET")[0] == 401


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/ping", "/v2/models/iris/ready"])
def test_health_needs_no_token(guarded, path):
    assert ask(guarded, None, path, "GET")[0] == 200


def test_no_token_is_shown_by_the_log_the_metrics_or_a_command_line(guarded):
    ask(guarded, f"Bearer {SECRET}")
    metrics = ask(guarded, f"Bearer {NEXT}", "/metrics", "GET")[1].decode()
    pids = [guarded.process.pid, guarded.worker_pid()]
    shown = [guarded.log, metrics, *(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)]
    assert not [text for text in shown if SECRET in text or NEXT in text]


def test_a_worker_never_inherits_a_token_though_the_author_declared_one():
    bill = Bill("a", "1", "0", {"path": "/m", "loader": "pickle"}, "", {"LADING_TOKEN": "x"}, None, b"")
    inherited = {"OTEL_EXPORTER_OTLP_HEADERS": "h", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "h"}
    inherited |= {"LADING_TOKEN": "x", "LADING_TOKEN_FILE": "y", "LADING_TLS_KEY": "z", "LADING_PORT": "1"}
    variables = launch.environment(inherited, bill)
    assert [key for key in inherited if key in variables] == ["LADING_PORT"]


def test_a_server_that_was_to_be_closed_is_never_open(tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for settings, environ in (
        ({"token_file": str(tmp_path / "nowhere")}, {}),
        ({"token_file": str(empty)}, {}),
        ({}, {"LADING_TOKEN": " "}),
    ):
        with pytest.raises(access.AccessError, match="LADING_TOKEN"):
            access.read(Settings(**settings), environ)
    for settings in (
        {"tls_certificate": str(empty)},
        {"tls_certificate": str(tmp_path / "nowhere")},
        {"tls_key": str(empty)},
        {"tls_client_ca": str(empty)},
    ):
        with pytest.raises(access.AccessError, match="LADING_TLS"):
            access.tls(Settings(**settings))


def test_what_a_server_cannot_read_ends_it_with_status_1(serve, tmp_path):
    environ = {"LADING_TOKEN_FILE": str(tmp_path / "nowhere")}
    with serve(entry="score.py", files={"score.py": LEAK}, environ=environ, ready=False) as served:
        assert served.process.wait(20) == 1
        assert "LADING_TOKEN_FILE" in served.log
        assert "Traceback" not in served.log


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority of our own, a server's and a client's certificate of it, and one of its own."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    for name in ("ca", "other"):
        openssl(
            "req", "-x509", *curve, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"
        )
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl(
            "req",
            "-new",
            *curve[:-2],
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "san")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return folder


def get(port, context, path="/ping"):
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request("POST", path, json.dumps("x" * 300_000), {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, len(response.read()), connection.sock.version()
    finally:
        connection.close()


def is_refused(port, context):
    try:
        if context is not None:
            return not get(port, context)
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.sendall(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n")
            return b"HTTP" not in plain.recv(1000)
    except OSError:  # how a handshake that failed looks differs from time to time
        return True


def is_live(channel):
    with channel:
        try:
            return (
                channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=10)
                == b"\x08\x01"
            )
        except grpc.RpcError as error:
            return error.code() != grpc.StatusCode.UNAVAILABLE


def test_with_tls_only_clients_of_the_authority_are_let_in(serve, certificates, free_port):
    port, grpc_port = free_port(), free_port()
    environ = {
        "LADING_UDS": "",
        "LADING_GRPC_PORT": str(grpc_port),
        "LADING_HOST": "127.0.0.1",
        "LADING_PORT": str(port),
        "LADING_TLS_CERTIFICATE": str(certificates / "server.pem"),
        "LADING_TLS_KEY": str(certificates / "server.key"),
        "LADING_TLS_CLIENT_CA": str(certificates / "ca.pem"),
    }
    code = "def run(data):\n    return data"
    with serve(entry="score.py", files={"score.py": code}, environ=environ, ready=False) as served:
        served.await_log("listening")
        context = ssl.create_default_context(cafile=certificates / "ca.pem")
        assert is_refused(port, context)
        context.load_cert_chain(certificates / "other.pem", certificates / "other.key")
        assert is_refused(port, context)
        context = ssl.create_default_context(cafile=certificates / "ca.pem")
        context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
        assert get(port, context, "/invocations") == (200, 300_018, "TLSv1.3")
        assert is_refused(port, None)
        served.await_log("gRPC listens on")
        ca, key, chain = (
            (certificates / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")
        )
        assert is_live(
            grpc.secure_channel(f"127.0.0.1:{grpc_port}", grpc.ssl_channel_credentials(ca, key, chain))
        )
        assert not is_live(grpc.secure_channel(f"127.0.0.1:{grpc_port}", grpc.ssl_channel_credentials(ca)))
        assert not is_live(grpc.insecure_channel(f"127.0.0.1:{grpc_port}"))
        assert served.stop() == 0
        assert "Traceback" not in served.log


@pytest.mark.parametrize(("name", "is_hidden"), [("LADING_TOKEN", True), ("LADING_PORT", False)])
def test_a_server_with_secrets_lets_no_process_of_its_user_read_them(name, is_hidden):
    code = (
        "import ctypes, sys; from lading_runtime import launch; launch.hide({sys.argv[1]: 'x'});"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    )
    done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True)
    assert done.stdout == ("0\n" if is_hidden else "1\n")
