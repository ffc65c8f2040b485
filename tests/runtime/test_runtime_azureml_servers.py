"""One table of cases, two servers: azureml-inference-server-http itself and ours, with equal answers.

What differs is said in docs/server.md, and here where a case names `differs`.
"""

import contextlib
import http.client
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

VERSION = "1.5.1"
FOLDER = Path(__file__).parent / "azureml"
SCRIPTS = {one: (FOLDER / f"{one}.py").read_text(encoding="utf-8") for one in ("plain", "raw", "schema")}
ENVIRON = {
    "SCORING_TIMEOUT_MS": "400",
    "AML_CORS_ORIGINS": "https://one.example, https://two.example",
    "SERVICE_NAME": "my service",
    "SERVICE_VERSION": "2.0",
    "SERVICE_PATH_PREFIX": "/api/",
}
JSON = {"content-type": "application/json"}
# what both say in their own way: the same, whenever and whoever answers
TOLD = (
    "content-type",
    "allow",
    "x-ms-run-function-failed",
    "x-request-id",
    "x-ms-request-id",
    "x-ms-client-request-id",
    "traceid",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "vary",
    "x-size",
    "x-why",
    "x-method",
    "x-of-mine",
)


class Case(NamedTuple):
    script: str
    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    status: int = 200
    but: tuple[str, ...] = ()
    """Headers that differ, and `body`, for a reason that docs/server.md has."""


def asked(what, **more):
    return json.dumps({"do": what, **more}).encode()


FORM = (
    b"".join(
        b'--xyz\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % one
        for one in (
            (b"tag", b"", b"a"),
            (b"tag", b"", b"b"),
            (b"picture", b'; filename="cat \\"1\\".png"\r\nContent-Type: image/png', b"\x89PNG\r\n--xy"),
        )
    )
    + b"--xyz--\r\n"
)
MULTIPART = {"content-type": "multipart/form-data; boundary=xyz"}
URLENCODED = {"content-type": "application/x-www-form-urlencoded"}
ORIGIN = {"origin": "https://one.example"}
PREFLIGHT = {**ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": "b, A"}
MINE = {"x-of-mine": "1", "x-request-id": "me", "user-agent": "us/1", "cookie": "a=1; b=2"}
FRAME = [{"a": 1, "thal": 3}, {"a": 2.5, "thal": "x"}]

# what gunicorn's own page has not
GUNICORNS = ("access-control-allow-origin", "x-ms-run-function-failed", "x-ms-server-version")

CASES = {
    "health": Case("plain", "GET", "/"),
    "health for a browser": Case("plain", "GET", "/", None, ORIGIN),
    "options of health": Case("plain", "OPTIONS", "/"),
    "a method that health has not": Case("plain", "POST", "/", b"{}", JSON, 405, ("allow",)),
    "DELETE of score": Case("plain", "DELETE", "/score", None, {}, 405, ("allow",)),
    "PUT of score": Case("plain", "PUT", "/score", b"{}", JSON, 405, ("allow",)),
    "no such route": Case("plain", "GET", "/nope", None, {}, 404),
    "a text": Case("plain", "POST", "/score", b"text, not JSON", {"content-type": "text/plain"}),
    "an object": Case("plain", "POST", "/score", b'{"x" : [1]}', JSON),
    "a list": Case("plain", "POST", "/score", b"[[1, 2]]", JSON),
    "no content type": Case("plain", "POST", "/score", b'{"x": "\xc3\xa9"}'),
    "what init made": Case("plain", "POST", "/score", asked("begun"), JSON),
    "nothing returned": Case("plain", "POST", "/score", asked("nothing"), JSON),
    "a text returned": Case("plain", "POST", "/score", asked("text"), JSON),
    "headers asked for": Case("plain", "POST", "/score", asked("headers"), {**JSON, "x-of-mine": "me"}),
    "a query": Case("plain", "GET", "/score?a=1&b=[1,2]&c=x&c=y&d=null&e="),
    "an empty query": Case("plain", "GET", "/score"),
    "HEAD": Case("plain", "HEAD", "/score", None, {}, 405),
    "options of score": Case("plain", "OPTIONS", "/score", None, {}, 200, ("allow",)),
    "no UTF-8": Case("plain", "POST", "/score", b"\xff{}", JSON, 400),
    "an exception": Case("plain", "POST", "/score", asked("raise"), JSON, 500),
    "too long": Case("plain", "POST", "/score", asked("sleep"), JSON, 500),
    "no JSON form": Case("plain", "POST", "/score", asked("odd"), JSON, 500),
    "an exit": Case(
        "plain", "POST", "/score", asked("exit"), JSON, 500, ("body", "content-type", "vary", *GUNICORNS)
    ),
    "a response": Case("plain", "POST", "/score", asked("respond", body="hi", status=201), JSON, 201),
    "a response of JSON": Case(
        "plain", "POST", "/score", asked("respond", body={"a": [1]}, status=200, json=True), JSON
    ),
    "a response that failed": Case(
        "plain", "POST", "/score", asked("respond", body="no", status=500, headers={"X-Why": "so"}), JSON, 500
    ),
    "all ids": Case(
        "plain",
        "POST",
        "/score",
        b"{}",
        {**JSON, "x-request-id": "a", "x-ms-request-id": "b", "x-ms-client-request-id": "c", "TraceId": "d"},
    ),
    "an id": Case("plain", "POST", "/score", b"{}", {**JSON, "x-request-id": "a"}),
    "an older id": Case(
        "plain", "POST", "/score", b"{}", {**JSON, "x-ms-request-id": "a", "x-request-id": "b"}
    ),
    "a client's id": Case(
        "plain", "POST", "/score", b"{}", {**JSON, "x-ms-client-request-id": "a", "x-request-id": "b"}
    ),
    "an id of health": Case("plain", "GET", "/", None, {"x-request-id": "a"}),
    "an id of 100": Case("plain", "POST", "/score", b"{}", {**JSON, "x-request-id": "a" * 100}),
    "an id that is too long": Case(
        "plain", "POST", "/score", b"{}", {**JSON, "x-request-id": "a" * 101}, 431
    ),
    "an older id that is too long": Case(
        "plain", "POST", "/score", b"{}", {**JSON, "x-ms-request-id": "a" * 101, "x-request-id": "b"}, 431
    ),
    "an id of health that is too long": Case("plain", "GET", "/", None, {"x-request-id": "a" * 101}, 431),
    "an allowed origin": Case("plain", "POST", "/score", b"{}", {**JSON, **ORIGIN}),
    "another origin": Case("plain", "POST", "/score", b"{}", {**JSON, "origin": "https://evil.example"}),
    "an error for an allowed origin": Case(
        "plain", "POST", "/score", asked("raise"), {**JSON, **ORIGIN}, 500
    ),
    "a preflight": Case("plain", "OPTIONS", "/score", None, PREFLIGHT, 200, ("allow",)),
    "a preflight of another method": Case(
        "plain",
        "OPTIONS",
        "/score",
        None,
        {**PREFLIGHT, "access-control-request-method": "PUT"},
        200,
        ("allow",),
    ),
    "a request as it is": Case("raw", "POST", "/score?a=1&a=2&n=x", b'{"x": 1}', {**JSON, **MINE}),
    "a GET as it is": Case("raw", "GET", "/score?a=b%20c&n=5", None, MINE),
    "options as they are": Case("raw", "OPTIONS", "/score", None, MINE),
    "a preflight as it is": Case("raw", "OPTIONS", "/score", None, {**PREFLIGHT, **MINE}),
    "text with a charset": Case(
        "raw", "POST", "/score", "é".encode(), {"content-type": "text/plain; charset=utf-8", **MINE}
    ),
    "fields": Case("raw", "POST", "/score?a=1", b"b=2&b=3&c=%C3%A9", {**URLENCODED, **MINE}),
    "files": Case("raw", "POST", "/score?do=files", FORM, MULTIPART),
    "JSON": Case("raw", "POST", "/score?do=json", b'{"a": null}', {"content-type": "application/x+json"}),
    "no JSON": Case("raw", "POST", "/score?do=json", b"{", JSON, 500),
    "JSON by another name": Case("raw", "POST", "/score?do=json", b"{}", {"content-type": "text/plain"}, 500),
    "JSON by force": Case("raw", "POST", "/score?do=silent", b"[1]", {"content-type": "text/plain"}),
    "bytes": Case("raw", "POST", "/score?do=bytes", bytes(range(256)), {"content-type": "image/png"}),
    "bytes of nothing that is known": Case(
        "raw", "POST", "/score?do=bytes", b"\xff\x00", {"accept": "application/json"}
    ),
    "a teapot": Case("raw", "POST", "/score?do=teapot", b"", {}, 418),
    "a response of nothing": Case("raw", "POST", "/score?do=none", b"", {}),
    "a response of 503": Case("raw", "POST", "/score?do=broken", b"", {}, 503),
    "a value": Case("raw", "POST", "/score?do=value", b"", {}),
    "what is not there": Case("raw", "POST", "/score?do=raise", b"", {}, 500),
    "by name": Case(
        "schema", "POST", "/score", json.dumps({"data": FRAME, "rows": [[1, 2]], "way": "x"}).encode(), JSON
    ),
    "a default": Case(
        "schema", "POST", "/score", json.dumps({"data": FRAME, "rows": [[1, 2]]}).encode(), JSON
    ),
    "a query by name": Case(
        "schema", "GET", '/score?rows=[[1,2]]&data=[{"a":1,"thal":2}]&way=x'.replace('"', "%22")
    ),
    "no JSON by name": Case("schema", "POST", "/score", b"{}", {"content-type": "text/plain"}, 415),
    "no type by name": Case("schema", "POST", "/score", b"{}", {}, 415),
    "a value too few": Case("schema", "POST", "/score", b'{"p": 1}', JSON, 400),
    "a list by name": Case("schema", "POST", "/score", b"[1]", JSON, 400),
    "nothing by name": Case("schema", "POST", "/score", b"", JSON, 400),
    "broken by name": Case("schema", "POST", "/score", b"{", JSON, 400),
    "a wrong type": Case("schema", "POST", "/score", b'{"data": 1, "rows": 2}', JSON, 500),
    "a wrong shape": Case(
        "schema", "POST", "/score", json.dumps({"data": FRAME, "rows": [1]}).encode(), JSON, 500
    ),
    "options by name": Case("schema", "OPTIONS", "/score", None, {}, 200, ("allow",)),
    "an unknown Swagger": Case("plain", "GET", "/swagger.json?version=9", None, {}, 404),
    **{
        f"Swagger {version or 'by default'} of {script}": Case(
            script, "GET", "/swagger.json" + (f"?version={version}" if version else "")
        )
        for script, versions in {
            "plain": ("", "2", "2.0", "3", "3.0", "3.1"),
            "schema": ("2", "3", "3.1"),
        }.items()
        for version in versions
    },
}


class Theirs:
    """The real server, in an environment of its own."""

    def __init__(self, environment, folder, port, environ):
        self.port = port
        self.log_path = folder / "theirs.log"
        kept = {"PATH": os.environ["PATH"], "HOME": str(folder), **environ}
        command = [environment / "bin" / "azmlinfsrv", "--entry_script", "score.py", "--port", str(port)]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=kept, stdout=log, stderr=log)

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower() for name in response.headers}
            joined = {name: ", ".join(response.headers.get_all(name)) for name in names}
            return response.status, response.read(), joined

    def await_ready(self, timeout_s=60):
        deadline = time.monotonic() + timeout_s
        while True:
            assert self.process.poll() is None, self.log_path.read_text()
            assert time.monotonic() < deadline, self.log_path.read_text()
            with contextlib.suppress(OSError):
                if self.ask("GET", "/")[0] == 200:
                    return
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Install the real server, from what uv has cached."""
    folder = tmp_path_factory.mktemp("azureml") / "env"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    env = {**os.environ, "VIRTUAL_ENV": str(folder)}
    own = [f"{name}=={importlib.metadata.version(name)}" for name in ("numpy", "pandas")]
    wanted = [f"azureml-inference-server-http=={VERSION}", "azureml-ai-monitoring", *own]
    subprocess.run([uv, "pip", "install", "--quiet", *wanted], check=True, env=env)
    return folder


@pytest.fixture(scope="module")
def servers(environment, serve, free_port, tmp_path_factory):
    """Start each script on both servers: name → (theirs, ours)."""
    with contextlib.ExitStack() as stack:
        started = {}
        for name, code in SCRIPTS.items():
            folder = tmp_path_factory.mktemp(name)
            (folder / "score.py").write_text(code)
            theirs = Theirs(environment, folder, free_port(), ENVIRON)
            stack.callback(theirs.stop)
            ours = stack.enter_context(serve(entry="score.py", files={"score.py": code}, environ=ENVIRON))
            started[name] = (theirs, ours)
        for theirs, _ in started.values():
            theirs.await_ready()
        yield started


def told(answer, case):
    status, body, headers = answer
    seen = {name: headers[name] for name in TOLD if name in headers and name not in case.but}
    if "x-request-id" not in case.headers or status in {404, 405, 431}:
        # a name of its own making, or none
        seen = {name: one for name, one in seen.items() if not name.endswith("request-id")}
    if "allow" in seen:
        seen["allow"] = sorted(seen["allow"].split(", "))
    if "body" in case.but:
        body = b""
    return (
        status,
        body if status != 200 or "json" not in str(seen.get("content-type")) else json.loads(body),
        seen,
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_both_servers_answer_alike(servers, case):
    theirs, ours = servers[case.script]
    headers = {"host": "model.example", **case.headers}
    expected = theirs.ask(case.method, case.target, case.body, headers)
    got = ours.ask(case.method, case.target, case.body, headers)
    assert expected[0] == case.status
    assert told(got, case) == told(expected, case)
    for name in ("x-ms-run-fn-exec-ms", "x-ms-server-version"):
        if name not in case.but and case.status != 404:
            assert (name in got[2]) == (name in expected[2]), name


SHIM = "import runpy, sys; from lading_runtime.azureml import modules; modules.install(); "


def test_decorators_say_and_make_of_values_what_inference_schemas_own_do(environment):
    samples = str(FOLDER / "samples.py")
    theirs = [environment / "bin" / "python", "-W", "ignore", samples]
    ours = [sys.executable, "-W", "ignore", "-c", f"{SHIM}runpy.run_path({samples!r}, run_name='__main__')"]
    expected, got = (
        json.loads(subprocess.run(one, check=True, capture_output=True).stdout) for one in (theirs, ours)
    )
    assert {name: got[name] for name in expected} == expected


@pytest.mark.parametrize("name", [one for one, case in CASES.items() if case.script == "raw"])
def test_azures_own_classes_are_answered_with_where_they_are_installed(servers, installed, name):
    case = CASES[name]
    headers = {"host": "model.example", **case.headers}
    expected = servers["raw"][0].ask(case.method, case.target, case.body, headers)
    assert told(installed.ask(case.method, case.target, case.body, headers), case) == told(expected, case)


@pytest.fixture(scope="module")
def installed(environment, serve):
    """Run the script in an environment that has Azure's server and Flask."""
    files = {"score.py": SCRIPTS["raw"]}
    with serve(entry="score.py", files=files, environ=ENVIRON, environment=environment) as served:
        yield served


BROKEN = {
    "an import": "import no_such_module\ndef init(): ...\ndef run(data): ...\n",
    "init": "def init():\n    raise RuntimeError('a reason of its own')\ndef run(data): ...\n",
    "no run": "def init(): ...\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_start_ends_both_servers_with_status_3(environment, serve, free_port, tmp_path, name):
    (tmp_path / "score.py").write_text(BROKEN[name])
    theirs = Theirs(environment, tmp_path, free_port(), {})
    with serve(entry="score.py", files={"score.py": BROKEN[name]}, ready=False) as ours:
        try:
            assert (theirs.process.wait(60), ours.process.wait(60)) == (3, 3)
        finally:
            theirs.process.kill()
        said = {"init": "RuntimeError: a reason of its own", "an import": "No module named 'no_such_module'"}
        assert said.get(name, "") in ours.log


NAMES = """
import importlib.util, sys
sys.path.append(sys.argv[1])
from lading_runtime.azureml import modules
modules.install()
import azureml.ai.monitoring
import azureml.contrib.services.aml_request as request
from azureml_inference_server_http.api.aml_response import AMLResponse
import inference_schema.schema_decorators as schema
assert azureml.ai.monitoring.__file__.startswith(sys.prefix)
assert request.rawhttp.__module__ == "lading_runtime.azureml.aml_request", request
assert AMLResponse.__module__ == "azureml_inference_server_http.api.aml_response"
assert schema.__file__.startswith(sys.prefix)
assert importlib.util.find_spec("azureml.core") is None
"""


def test_what_is_installed_of_azures_comes_before_ours(environment):
    source = Path(importlib.util.find_spec("lading_runtime").origin).parents[1]
    command = [environment / "bin" / "python", "-c", NAMES, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
