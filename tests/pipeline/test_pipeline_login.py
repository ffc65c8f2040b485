"""Logins in real registries: ours are found by other tools, theirs by us; secrets stay where they belong."""

import json
import stat
import subprocess

import pytest

from engines import PASSWORD, USER
from running import LADING, Lading

ANYWHERE = ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"]


class Person(Lading):
    """Somebody with a home and no logins yet."""

    def __init__(self, folder, registry):
        super().__init__(folder / "lading")
        self.folder = folder
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


@pytest.fixture(params=["guarded_registry", "tls_registry"])
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
