"""Logins in real registries: ours are found by other tools, theirs by us; secrets stay where they belong."""

import base64
import json
import os
import stat
import subprocess

import pytest

from desk import Desk
from engines import PASSWORD, USER
from lading.core.reference import Reference
from running import LADING, Lading

ANYWHERE = ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"]


class Person(Lading):
    """Somebody with a home and no logins yet."""

    def __init__(self, folder, registry):
        super().__init__(folder / "lading")
        self.folder, self.registry = folder, registry
        self.env = {key: value for key, value in self.env.items() if key not in ANYWHERE}
        self.env["HOME"] = str(folder)
        self.env["XDG_RUNTIME_DIR"] = str(folder / "run")
        (folder / "run").mkdir(parents=True)
        if registry.certificate:
            self.env["SSL_CERT_FILE"] = str(registry.certificate)

    def log_in(self, host, password=PASSWORD, *more, user=USER):
        command = [*LADING, "login", host, "-u", user, "--password-stdin", *more]
        return subprocess.run(
            command, input=password, capture_output=True, text=True, env=self.env, check=False
        )

    def tool(self, tool, *arguments, **env):
        command = [*tool.command, *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, env={**self.env, **env}, check=False, input=PASSWORD
        )


@pytest.fixture(scope="module", params=["guarded_registry", "tls_registry"])
def guarded(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def person(tmp_path, guarded):
    return Person(tmp_path / "home", guarded)


def test_a_login_is_tried_before_it_is_kept(person, guarded):
    wrong = person.log_in(guarded.host, "wrong-password")
    assert wrong.returncode == 8
    assert f"to {USER!r}" in wrong.stderr
    assert "wrong-password" not in wrong.stderr + wrong.stdout
    assert not (person.folder / ".docker").exists()
    right = person.log_in(guarded.host, PASSWORD + "\n", "--json")
    assert right.returncode == 0, right.stderr
    path = person.folder / ".docker/config.json"
    assert json.loads(right.stdout) == {"registry": guarded.host, "username": USER, "file": str(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSWORD not in right.stderr + right.stdout


def test_without_a_login_the_way_to_one_is_told(person, guarded):
    said = person.fails(8, "list", f"{guarded.host}/team/iris")
    assert f"lading login {guarded.host}" in said


def test_nobody_logs_in_where_nobody_listens(person, guarded):
    assert person.log_in("localhost:1").returncode == 8
    assert person.log_in("Not/A Registry").returncode == 2
    assert person.log_in("quay").returncode == 2
    assert not (person.folder / ".docker").exists()


def flags(tool, guarded):
    """What the containers tools need to speak to a registry without TLS."""
    return () if guarded.certificate or "docker" in tool.command[0] else ("--tls-verify=false",)


THEIRS = [("podman", None), ("skopeo", "REGISTRY_AUTH_FILE"), ("docker", "DOCKER_CONFIG")]
OURS = [("skopeo", None), ("skopeo", "run/containers/auth.json"), ("podman", "REGISTRY_AUTH_FILE")]
OURS += [("docker", None), ("docker", "DOCKER_CONFIG")]
over_tls = pytest.mark.parametrize("guarded", ["tls_registry"], indirect=True)


@over_tls
@pytest.mark.parametrize(("name", "variable"), THEIRS)
def test_the_login_of_another_tool_serves_us(request, person, guarded, name, variable):
    tool = request.getfixturevalue(name)
    if variable:
        person.env[variable] = str(person.folder / "elsewhere")
    done = person.tool(tool, "login", "-u", USER, "--password-stdin", guarded.host)
    assert done.returncode == 0, done.stderr
    assert "not known to the registry" in person.fails(8, "list", f"{guarded.host}/unknown/{name}")
    person("logout", guarded.host)
    assert "nobody is logged in" in person.fails(8, "logout", guarded.host)


@pytest.fixture(scope="module")
def pushed(guarded, tiny_layer, tmp_path_factory):
    """An image that somebody who was logged in has pushed."""
    person = Person(tmp_path_factory.mktemp("pusher") / "home", guarded)
    place = f"{guarded.host}/hello:1"
    person.log_in(guarded.host)
    desk = Desk(person.home)
    desk.store.tag(Reference.parse(place), desk.image(*tiny_layer))
    person("push", place)
    return place


@over_tls
@pytest.mark.parametrize(("name", "place"), OURS)
def test_our_login_serves_other_tools(request, person, pushed, name, place):
    tool = request.getfixturevalue(name)
    host = person.registry.host
    if place and "/" in place:
        (person.folder / place).parent.mkdir()
        (person.folder / place).write_text("{}")
    elif place:
        person.env[place] = str(person.folder / "elsewhere")
    assert person.log_in(host).returncode == 0
    command = ("inspect", f"docker://{pushed}") if name == "skopeo" else ("pull", pushed)
    done = person.tool(tool, *command)
    assert done.returncode == 0, done.stderr
    person("logout", host)
    assert person.tool(tool, *command).returncode != 0


def until(terminal, prompt):
    """Read what a terminal shows until it asks; return it."""
    shown = ""
    while not shown.endswith(prompt):
        shown += os.read(terminal, 1024).decode()
    return shown


def test_who_sits_at_a_terminal_is_asked_and_the_password_is_not_shown(person, guarded):
    terminal, inside = os.openpty()
    process = subprocess.Popen(
        [*LADING, "login", guarded.host],
        env=person.env,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    try:
        until(terminal, "Username: ")
        os.write(terminal, f"{USER}\n".encode())
        shown = until(terminal, "Password: ")
        os.write(terminal, f"{PASSWORD}\n".encode())
        shown += until(terminal, "config.json\r\n")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert PASSWORD not in shown
    assert f"logged in to {guarded.host} as {USER}" in shown
    assert guarded.host in (person.folder / ".docker/config.json").read_text()


def test_who_cannot_be_asked_is_told_how_to_give_the_password(person, guarded):
    said = person.fails(2, "login", guarded.host, "-u", USER)
    assert "--password-stdin" in said
    assert "--username" in person.fails(2, "login", guarded.host, "--password-stdin")
    command = [*LADING, "login", guarded.host, "-u", USER, "--password-stdin"]
    done = subprocess.run(command, input=b"hunter2\xff", capture_output=True, env=person.env, check=False)
    assert done.returncode == 2
    assert b"hunter2" not in done.stderr


@pytest.mark.parametrize("guarded", ["tls_registry"], indirect=True)
def test_an_unknown_authority_is_told(person, guarded):
    del person.env["SSL_CERT_FILE"]
    person.env["SSL_CERT_DIR"] = "/nowhere"
    said = person.log_in(guarded.host)
    assert said.returncode == 8
    assert "certificate" in said.stderr
    assert "SSL_CERT_FILE" in said.stderr


KEEPER = """#!/bin/sh
cd "$(dirname "$0")"
case $1 in
  store) cat > kept ;;
  get) test -f kept && exec cat kept; echo 'credentials not found in native keychain'; exit 1 ;;
  erase) rm -f kept ;;
esac
"""


@over_tls
def test_a_credential_helper_serves_docker_and_us(person, guarded, pushed, docker):
    program = person.folder / "bin/docker-credential-keeper"
    config = person.folder / ".docker/config.json"
    for path, text in ((program, KEEPER), (config, '{"credsStore": "keeper"}')):
        path.parent.mkdir()
        path.write_text(text)
    program.chmod(0o755)
    person.env["PATH"] = f"{program.parent}:{person.env['PATH']}"
    done = person.tool(docker, "login", "-u", USER, "--password-stdin", guarded.host)
    assert done.returncode == 0, done.stderr
    assert pushed in person("list", pushed.rpartition(":")[0])
    person("logout", guarded.host)
    assert not (program.parent / "kept").exists()
    assert person.log_in(guarded.host).returncode == 0
    assert json.loads((program.parent / "kept").read_text())["Username"] == USER
    assert json.loads(config.read_text())["auths"] == {guarded.host: {}}
    assert person.tool(docker, "pull", pushed).returncode == 0


@over_tls
def test_a_secret_is_found_in_nothing_that_is_said_or_kept(person, guarded, pushed):
    person.log_in(guarded.host)
    place = f"{guarded.host}/secret"
    said = ""
    for command in (
        ["pull", pushed, "-t", "secret:1"],
        ["push", "secret:1", place],
        ["copy", f"{place}:1", f"{place}-copied"],
        ["list", place],
        ["show", "secret:1"],
        ["pull", f"{place}:nope"],
        ["push", "secret:1", f"{guarded.host}/UPPER"],
    ):
        for more in (["-v"], ["--json"]):
            done = person.run(*command, *more)
            said += done.stdout + done.stderr
    assert "sha256:" in said
    encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    files = [path for path in person.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    places = {str(path.relative_to(person.folder)): path.read_bytes() for path in files}
    assert encoded.encode() in places.pop(".docker/config.json")
    assert len(places) > 5
    for needle in (PASSWORD, encoded):
        assert needle not in said
        assert not [name for name, data in places.items() if needle.encode() in data]
