"""Every kind of sandbox keeps the same promises."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from lading.core.errors import VerifyError
from sealing import PYTHON, foreign_platform

LOOK = """
import json, os, socket
def opens(path, mode):
    try:
        open(path, mode).close()
        return True
    except OSError:
        return False
def errno(port):
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex(("192.0.2.1", port))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "writable": [p for p in ("/x", "/usr/x", "/proc/sys/kernel/hostname", "/dev/x") if opens(p, "w")],
    "devices": [p for p in ("null", "zero", "full", "random", "urandom") if not opens("/dev/" + p, "rb")],
    "null": opens("/dev/null", "wb"),
    "shm": opens("/dev/shm/x", "w"),
    "ids": [os.getuid(), os.getgid()],
    "capabilities": [status[k].strip() for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "privileges": status["NoNewPrivs"].strip(),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "connects": errno(9),
    "processes": [p for p in os.listdir("/proc") if p.isdigit()],
    "cwd": os.getcwd(),
    "session": os.getsid(0) == os.getpid(),
}))
"""


@pytest.fixture
def tmp():
    """A folder with a short path: that of a Unix socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="lading-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def running(opened, code, tmp, *, env=None, **options):
    """Run Python inside and end it."""
    found = opened.start([PYTHON, "-I", "-c", code], env=env or {}, tmp=tmp, **options)
    try:
        yield found
    finally:
        found.stop(0)


def said(opened, code, tmp, **options):
    """Return what Python inside says."""
    with running(opened, code, tmp, **options) as one:
        assert one.wait(60) == 0, one.output()
        return one.output().strip()


def wait_for(condition, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def marked(marker):
    """Return the processes of this machine whose command line holds a marker."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and marker.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_the_root_is_read_only_and_nothing_can_be_reached(open_sandbox, tmp):
    seen = json.loads(said(open_sandbox(), LOOK, tmp))
    assert seen["writable"] == []
    assert seen["devices"] == []
    assert seen["null"]
    assert seen["shm"]
    assert seen["interfaces"] == ["lo"]
    assert seen["connects"] == 101  # ENETUNREACH


def test_the_user_is_the_images_and_may_nothing_else(open_sandbox, tmp, kind):
    seen = json.loads(said(open_sandbox(), LOOK, tmp))
    is_own = kind == "docker" and os.geteuid() != 0
    assert seen["ids"] == [os.geteuid() if is_own else 65532, 0]
    assert set(seen["capabilities"]) == {"0" * 16}
    assert seen["privileges"] == "1"
    assert seen["processes"] == ["1"]
    assert seen["cwd"] == "/"
    assert seen["session"]


def test_its_tmp_is_a_folder_of_the_host(open_sandbox, tmp):
    (tmp / "in").write_text("from the host")
    code = (
        "import os; open('/tmp/out', 'w').write(open('/tmp/in').read() + ', back'); os.mkdir('/tmp/folder')"
    )
    said(open_sandbox(), code, tmp)
    assert (tmp / "out").read_text() == "from the host, back"
    (tmp / "folder").rmdir()


def test_a_unix_socket_in_tmp_is_reached_from_the_host(open_sandbox, tmp):
    code = (
        "import socket as s; x = s.socket(s.AF_UNIX); x.bind('/tmp/s'); x.listen(); x.accept()[0].send(b'hi')"
    )
    with running(open_sandbox(), code, tmp) as one, socket.socket(socket.AF_UNIX) as client:
        wait_for(lambda: one.poll() is not None or client.connect_ex(str(tmp / "s")) == 0)
        assert client.recv(100) == b"hi"


def test_the_environment_is_what_was_given_and_no_more(open_sandbox, tmp, monkeypatch):
    monkeypatch.setenv("LADING_TEST_SECRET", "of the host")
    opened = open_sandbox(environment={"HOME": "/tmp", "A": "image", "LINES": "one\ntwo"})
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    seen = json.loads(said(opened, code, tmp, env={"A": "given"}))
    by_engines = {"PWD", "PATH", "HOSTNAME", "TERM", "LC_CTYPE", "container"}
    expected = {"HOME": "/tmp", "A": "given", "LINES": "one\ntwo"}
    assert {key: value for key, value in seen.items() if key not in by_engines} == expected


def test_the_exit_status_is_the_commands(open_sandbox, tmp):
    with running(open_sandbox(), "raise SystemExit(42)", tmp) as one:
        assert one.wait(60) == 42
        assert one.poll() == 42
        assert one.stop() == 42


def test_of_endless_output_the_end_is_kept(open_sandbox, tmp):
    code = "for _ in range(40): print('x' * (1 << 16))\nprint('the end', end='')"
    with running(open_sandbox(), code, tmp) as one:
        assert one.wait(60) == 0
        assert len(one.output()) == 64 << 10
        assert one.output().endswith("the end")


def test_waiting_has_a_limit(open_sandbox, tmp):
    with running(open_sandbox(), "import time; time.sleep(100)", tmp) as one:
        with pytest.raises(TimeoutError):
            one.wait(0.2)
        assert one.poll() is None


def test_a_process_that_heeds_sigterm_ends_in_its_own_way(open_sandbox, tmp):
    code = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
open("/tmp/ready", "w").close()
time.sleep(100)
"""
    with running(open_sandbox(), code, tmp) as one:
        wait_for((tmp / "ready").exists)
        assert one.stop(20) == 7


def test_one_that_is_stopped_at_once_is_gone_at_once(open_sandbox, tmp, kind):
    opened = open_sandbox()
    marker = f"lading-test-{os.getpid()}-{time.monotonic_ns()}"
    begun = time.monotonic()
    for _ in range(5):
        with running(opened, f"import time; '{marker}'; time.sleep(1000)", tmp) as one:
            one.stop(0.1)
    assert time.monotonic() - begun < 15
    if kind in {"podman", "docker"}:
        listed = [kind, "ps", "--all", "--filter", "name=lading-", "--format", "{{.Names}}"]
        wait_for(lambda: not subprocess.run(listed, capture_output=True, check=True).stdout)
    wait_for(lambda: not marked(marker), 5)


def test_one_that_has_no_handler_for_sigterm_is_not_waited_for(open_sandbox, tmp):
    code = "import time; open('/tmp/ready', 'w').close(); time.sleep(1000)"
    with running(open_sandbox(), code, tmp) as one:
        wait_for((tmp / "ready").exists)
        begun = time.monotonic()
        one.stop(40)
        assert time.monotonic() - begun < 20


def test_a_process_that_ignores_sigterm_is_killed_with_its_children(open_sandbox, tmp, unpacked):
    marker = f"lading-test-{os.getpid()}-{time.monotonic_ns()}"
    code = f"""
import os, signal, time
"{marker}"
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    open("/tmp/ready", "w").close()
time.sleep(1000)
"""
    with running(open_sandbox(), code, tmp) as one:
        wait_for((tmp / "ready").exists)
        assert marked(marker)
        begun = time.monotonic()
        assert one.stop(0.2) == 137
        assert time.monotonic() - begun < 5
    wait_for(lambda: not marked(marker), 5)
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(tmp) not in mounts
    assert str(unpacked) not in mounts


def test_orphans_inside_end_with_the_command(open_sandbox, tmp):
    marker = f"lading-test-{os.getpid()}-{time.monotonic_ns()}"
    code = f"""
import os, time
"{marker}"
if os.fork() == 0:
    os.setsid()
    time.sleep(1000)
"""
    with running(open_sandbox(), code, tmp) as one:
        assert one.wait(60) == 0
    wait_for(lambda: not marked(marker), 5)


def test_memory_is_measured_while_it_runs_and_after(open_sandbox, tmp):
    code = "import time; x = b'x' * (80 << 20); open('/tmp/ready', 'w').close(); time.sleep(1000)"
    with running(open_sandbox(), code, tmp) as one:
        wait_for((tmp / "ready").exists)
        peak = one.peak_memory_bytes()
        assert 80 << 20 < peak < 200 << 20
        one.stop(0)
        assert one.peak_memory_bytes() >= peak


def test_mounts_appear_read_only_where_the_image_has_nothing_and_where_it_has_links(open_sandbox, tmp, blobs):
    (tmp / "given").mkdir()
    (tmp / "given/file").write_text("mounted")
    (tmp / "single").write_text("alone")
    (inside := tmp / "inside").mkdir()
    layer = blobs.seal_files({"data/real/kept": b"", "data/link": "/data/real"})
    mounts = {"/new/place": tmp / "given", "/data/link/sub": tmp / "given", "/etc/one": tmp / "single"}
    code = """
import json, os
def writes(path):
    try:
        return bool(open(path, "w"))
    except OSError:
        return False
paths = ["/new/place/file", "/data/real/sub/file", "/etc/one"]
kept = os.path.exists("/data/real/kept")
print(json.dumps([[open(p).read() for p in paths], [p for p in paths if writes(p)], kept]))
"""
    texts, writable, kept = json.loads(said(open_sandbox([layer]), code, inside, mounts=mounts))
    assert texts == ["mounted", "mounted", "alone"]
    assert writable == []
    assert kept
    assert (tmp / "given/file").read_text() == "mounted"


def test_a_mount_of_nothing_is_refused(open_sandbox, tmp):
    with pytest.raises(VerifyError, match="expected an absolute path"):
        open_sandbox().start([PYTHON], env={}, tmp=tmp, mounts={"/x": tmp / "absent", "relative": tmp})


def test_upper_layers_win_and_folders_are_merged(open_sandbox, tmp, blobs):
    lower = blobs.seal_files({"d/a": b"lower", "d/b": b"lower"})
    upper = blobs.seal_files({"d/b": b"upper", "d/c": b"upper"})
    code = "print(*(open('/d/' + n).read() for n in 'abc'))"
    assert said(open_sandbox([lower, upper]), code, tmp) == "lower upper upper"


def test_with_network_the_hosts_servers_can_be_reached(open_sandbox, tmp):
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 10)"
        assert not said(open_sandbox(), code, tmp, network=True)
        with running(open_sandbox(), code, tmp) as one:
            assert one.wait(60) == 1


def test_a_command_that_is_not_there_is_named(open_sandbox, tmp, kind):
    opened = open_sandbox()
    if kind.endswith(("unshare", "linked")):
        with pytest.raises(VerifyError, match="cannot run '/no/such': No such file"):
            opened.start(["/no/such"], env={}, tmp=tmp)
        return
    one = opened.start(["/no/such"], env={}, tmp=tmp)
    assert one.wait(60) != 0
    one.stop(0)
    assert "/no/such" in one.output()


def test_when_lading_is_killed_so_is_what_runs_inside(open_sandbox, tmp, kind, unpacked, python_layer):
    open_sandbox()
    marker = f"lading-test-{os.getpid()}-{time.monotonic_ns()}"
    inside = f"import time; '{marker}'; open('/tmp/ready', 'w').close(); time.sleep(1000)"
    owner = f"""
import sys, time
from pathlib import Path
from lading import sandbox
from lading.core.platform import Platform
from lading.sandbox.kinds import _make
from lading.sandbox.emulator import find
from lading.sandbox.roots import Root, User
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from lading.core.image import Layer
path = Path({str(unpacked / python_layer.diff_id.hex)!r})
kind, emulates, platform = {kind.split()[-1]!r}, {" " in kind}, {foreign_platform()!r}
options = {{"platform": platform, "emulator": find(platform)}} if emulates else {{}}
root = Root((), None, path.parent, (path,), User(65532, 0), {{}}, **options)
found = _make("unshare" if kind == "linked" else kind, root, overlay=False)
found.start([{PYTHON!r}, "-I", "-c", {inside!r}], env={{}}, tmp=Path({str(tmp)!r}))
time.sleep(1000)
"""
    if kind == "docker":
        pytest.skip("the image's layers are in the memory of this process")
    process = subprocess.Popen([sys.executable, "-c", owner])
    try:
        wait_for((tmp / "ready").exists)
        seen = marked(marker)
        assert len(seen) > 1
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(lambda: not [one for one in marked(marker) if one != process.pid], 15)


def test_a_log_that_nobody_reads_does_not_keep_it_from_ending(open_sandbox, tmp):
    reader, writer = os.pipe()
    code = "import os\nwhile True: os.write(1, b'x' * 60000)"
    with os.fdopen(writer, "wb", buffering=0) as log, running(open_sandbox(), code, tmp) as one:
        one.follow(log)
        wait_for(lambda: not select.select([], [log], [], 0)[1])
        began = time.monotonic()
        one.stop(0)
        assert time.monotonic() - began < 9, "it was given up, not waited for"
        assert os.read(reader, 9) == b"x" * 9
    os.close(reader)
