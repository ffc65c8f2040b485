"""The command line, run as a user runs it."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import forking
from lading.cli.main import main

LADING = [sys.executable, "-m", "lading"]


class Lading:
    """Runs `lading` with a home of its own."""

    def __init__(self, home):
        self.home = home
        self.env = {**os.environ, "LADING_HOME": str(home), "NO_COLOR": "1"}

    def run(self, *arguments, cwd=None, env=None):
        command, env = [*map(str, arguments)], {**self.env, **(env or {})}
        if forking.can_run(env):
            return forking.parent().run(command, env, cwd)
        command = [*LADING, *command]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd, env=env)

    def __call__(self, *arguments, cwd=None, env=None):
        """Run a command that must succeed; return what it printed."""
        done = self.run(*arguments, cwd=cwd, env=env)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments):
        return json.loads(self(*arguments, "--json"))

    def fails(self, status, *arguments, cwd=None, env=None):
        """Run a command that must fail with a status; return what it said."""
        done = self.run(*arguments, cwd=cwd, env=env)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr

    def start(self, *arguments):
        return subprocess.Popen(
            [*LADING, *map(str, arguments)],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def copy(self, home, *parts, linked=False):
        """Return one with a copy of this home, or of parts of it; what is linked may not be written to."""
        for part in parts or ("",):
            copy = {"copy_function": os.link} if linked else {}
            shutil.copytree(self.home / part, home / part, symlinks=True, dirs_exist_ok=True, **copy)
        return Lading(home)


class Inside(Lading):
    """Runs commands within this process: for many of them, a second of CPU each is too long."""

    def __init__(self, home, monkeypatch, capsys):
        super().__init__(home)
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def elsewhere(self, home):
        """Return one with another home."""
        return Inside(home, self._monkeypatch, self._capsys)

    def run(self, *arguments, cwd=None, env=None):
        with self._monkeypatch.context() as patch:
            own = {name: self.env[name] for name in ("LADING_HOME", "NO_COLOR")}
            for name, value in {**own, **(env or {})}.items():
                patch.setenv(name, value)
            patch.chdir(cwd or Path.cwd())
            self._capsys.readouterr()
            status = main([*map(str, arguments)])
        said = self._capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, said.out, said.err)


def post(url, body, timeout_s=30.0):
    """Send JSON, return the answer's."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout_s) as response:
        return json.load(response)


def wait_for(url, process, timeout_s=60.0):
    """Wait until a server that a process runs answers; return its status."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        assert process.poll() is None, process.stdout and process.stdout.read()
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    """Return a folder that all processes of a run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def once(shared):
    """Return what a function returns, JSON, that one process of a run calls, once for a name."""

    def call(name, make):
        done = shared / f"{name}.json"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                done.write_text(json.dumps(make()))
            return json.loads(done.read_text())

    return call


@pytest.fixture(scope="session")
def lading(shared):
    """Share one home among all tests: what one has downloaded and layered, the next has from the cache."""
    return Lading(shared / "lading-home")


@pytest.fixture(scope="session")
def echo(shared, once):
    """A home to be copied, in which a routine is packed that needs little, and the routine's folder."""
    home, folder = Lading(shared / "echo-home"), shared / "echo"

    def make():
        folder.mkdir()
        (folder / "score.py").write_text("def run(data):\n    return data\n")
        home("pack", folder, "-t", "echo:1", "--no-verify")

    once("echo", make)
    return home, folder
