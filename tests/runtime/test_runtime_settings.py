import resource
import socket
from contextlib import suppress

import pytest

from lading_runtime import launch
from lading_runtime.__main__ import options
from lading_runtime.front.settings import Settings, read
from lading_runtime.front.sockets import listening, room


def test_nothing_set_is_the_default():
    assert read({}) == Settings()


@pytest.mark.parametrize(
    ("environ", "ports"),
    [
        ({"PORT": "9000"}, (8080, 9000)),
        ({"PORT": "8080"}, (8080,)),
        ({"PORT": "0"}, (8080,)),
        ({"PORT": "tcp://10.0.0.1:80"}, (8080,)),
        ({"PORT": "70000"}, (8080,)),
        ({"PORT": ""}, (8080,)),
        ({"LADING_PORT": "9000", "PORT": "9001"}, (9000,)),
        ({"LADING_PORT": "tcp://10.0.0.1:80", "PORT": "9001"}, (8080, 9001)),
        ({"LADING_PORT": "0"}, (0,)),
    ],
)
def test_ports_are_read_leniently(environ, ports):
    assert read(environ).ports == ports


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1s"])
def test_a_setting_that_makes_no_sense_is_passed_over_and_logged(text, capsys):
    assert read({"LADING_REQUEST_TIMEOUT_S": text}).request_timeout_s == 60.0
    assert "ignored LADING_REQUEST_TIMEOUT_S" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("KUBERNETES_SERVICE_HOST", (3.0, 28.0)),
        ("K_SERVICE", (0.0, 8.0)),
        ("WEBSITE_SITE_NAME", (0.0, 4.0)),
        ("HOME", (0.0, 25.0)),
    ],
)
def test_the_platform_says_how_long_shutting_down_may_take(variable, expected):
    settings = read({variable: "x"})
    assert (settings.lame_duck_s, settings.grace_s) == expected
    assert read({variable: "x", "LADING_GRACE_S": "7"}).grace_s == 7


@pytest.mark.parametrize(
    ("name", "text"),
    [("ACCESS_LOG", "maybe"), ("INFERENCE_LOG_SAMPLE", "7"), ("WEBHOOKS", "2"), ("PORT", "99999")],
)
def test_a_value_of_another_kind_is_told_of_with_what_stands_instead(name, text, capsys):
    assert read({f"LADING_{name}": text}) == Settings()
    told = capsys.readouterr().err
    assert f"ignored LADING_{name}={text!r}" in told
    assert {"ACCESS_LOG": "it is 0", "PORT": "the port is 8080"}.get(name, "it is 1") in told


@pytest.mark.parametrize(
    ("name", "text"), [("WORKERS", "abc"), ("WORKERS", "0"), ("WORKER_MEMORY_BYTES", "1g")]
)
def test_a_setting_of_workers_that_makes_no_sense_is_told_of(name, text):
    (told,) = launch.senseless({f"LADING_{name}": text})
    assert f"LADING_{name}={text!r}" in told
    assert launch.senseless({"LADING_WORKERS": "2", "LADING_WORKER_MEMORY_BYTES": "0"}) == []


def test_a_lame_duck_that_is_longer_than_the_grace_is_cut_and_told_of(capsys):
    settings = read({"LADING_LAME_DUCK_S": "8", "LADING_GRACE_S": "4"})
    assert (settings.lame_duck_s, settings.grace_s) == (2, 4)
    assert "LADING_LAME_DUCK_S=8 is too long" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environ", "ports"),
    [
        ({"AIP_HTTP_PORT": "7080", "WEBSITES_PORT": "80", "PORT": "9000"}, (8080, 7080, 9000, 80)),
        ({"AIP_HTTP_PORT": "8080", "PORT": "8080"}, (8080,)),
        ({"SAGEMAKER_BIND_TO_PORT": "9001", "PORT": "9000"}, (9001,)),
        ({"SAGEMAKER_BIND_TO_PORT": "9001", "LADING_PORT": "9002"}, (9002,)),
        ({"AZUREML_MODEL_DIR": "/var/azureml-app"}, (8080, 5001)),
        ({"LADING_HTTP_PORT": "8085"}, (8080, 8085)),
        ({"WEBSITES_PORT": "tcp://10.0.0.1:80", "AIP_HTTP_PORT": "-1"}, (8080,)),
    ],
)
def test_every_port_that_a_platform_names_is_listened_on(environ, ports):
    assert read(environ).ports == ports


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ([], {}),
        (["serve"], {}),
        (["--model_name=a", "--http_port=81"], {"MODEL_NAME": "a", "LADING_HTTP_PORT": "81"}),
        (["--model-name", "a", "serve", "--http-port", "81"], {"MODEL_NAME": "a", "LADING_HTTP_PORT": "81"}),
        (["--model_dir=/mnt/models", "--workers", "3", "--flag", "serve"], {}),
        (["--model_name"], {}),
    ],
)
def test_arguments_of_platforms_are_understood_or_ignored(arguments, variables):
    assert options(arguments) == variables


@pytest.mark.parametrize("arguments", [["train"], ["serve", "train"], ["--flag", "train"]])
def test_another_command_than_serve_is_refused_with_status_2(arguments):
    with pytest.raises(SystemExit) as raised:
        options(arguments)
    assert raised.value.code == 2


@pytest.mark.parametrize(
    ("environ", "http", "grpc"),
    [
        ({}, (8080,), 8081),
        ({"LADING_UDS": "/tmp/s"}, (8080,), 0),
        ({"LADING_UDS": "/tmp/s", "LADING_GRPC_PORT": "9"}, (8080,), 9),
        ({"SAGEMAKER_BIND_TO_PORT": "9000"}, (9000,), 0),
        ({"LADING_GRPC_PORT": "0"}, (8080,), 0),
        ({"LADING_GRPC_PORT": "tcp://10.0.0.1:80"}, (8080,), 8081),
        ({"PORT": "8081"}, (8080, 8081), 8081),
        ({"PORT": "8081", "LADING_GRPC_PORT": "8081"}, (8080,), 8081),
    ],
)
def test_grpc_has_a_port_of_its_own_where_there_is_one_to_be_had(environ, http, grpc):
    settings = read(environ)
    assert (settings.ports, settings.grpc_port) == (http, grpc)


def bound(sockets):
    try:
        return {one.getsockname()[1] for one in sockets}
    finally:
        for one in sockets:
            one.close()


def test_every_port_is_listened_on_without_delay_and_one_that_nobody_named_may_be_taken(free_port, capsys):
    named = free_port()
    with socket.socket() as other:
        with suppress(OSError):  # somebody else's, which is as well
            other.bind(("127.0.0.1", 8080))
        sockets = listening(Settings(host="127.0.0.1", ports=(8080, named)))
        assert all(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in sockets)
        assert bound(sockets) == {named}
        assert "port 8080" in capsys.readouterr().err
        with pytest.raises(OSError, match="in use"):
            listening(Settings(host="127.0.0.1", ports=(8080,)))
    with socket.socket() as other:
        other.bind(("127.0.0.1", named))
        with pytest.raises(OSError, match="in use"):
            listening(Settings(host="127.0.0.1", ports=(8080, named)))


def test_the_host_may_be_one_of_ipv6(free_port):
    port = free_port()
    try:
        sockets = listening(Settings(host="::1", ports=(port,)))
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert bound(sockets) == {port}


def test_connections_are_never_promised_beyond_a_process_s_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert room(10) == 10
        assert room(10**9) < 10**9
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
