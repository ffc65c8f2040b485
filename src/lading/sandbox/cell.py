"""Run one command apart: a script of its own, standard library only, started afresh for every command.

In: a JSON object, the first line of standard input. The rest of standard input says nothing; its end is the
order to kill, so that nothing outlives the process that asked. Out: at most one JSON line on the status
pipe, which closes when the command runs; one on the report pipe, when it has ended.

With `namespaces` the command becomes process 1 of new mount, pid, ipc, uts, cgroup and (unless `network`)
network namespaces on a read-only root (namespaces(7), pivot_root(2)): as root by giving root up, else in a
user namespace. Without, it is an engine's client that makes a room by itself.

With `emulator`, a rule of binfmt_misc, all of this is in one more user namespace, which alone has that rule
(Linux 6.7 and later): the executables of another processor run in it and nowhere else.
"""

# pathlib would add a third to the start of every command
# ruff: noqa: PTH102, PTH103, PTH108, PTH110, PTH116, PTH120, PTH123, PTH211

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
# the numbers are the same for every processor that there are packages for
SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT, FSCONFIG_CREATE, CLOEXEC = 430, 431, 432, 6, 1
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
SIOCSIFFLAGS, IFF_UP, AF_INET, SOCK_DGRAM = 0x8914, 1, 2, 2
DEVICES = ("null", "zero", "full", "random", "urandom")
DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
KERNEL_WRITABLE = ("sys", "irq", "bus", "fs", "sysrq-trigger")
KERNEL_SECRET = ("kcore", "keys", "timer_list")
OUT_OF_EXEC, KILLED = 127, 128
CREATE_S = 10.0

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


class StepError(Exception):
    """A step of making the room was refused."""

    def __init__(self, step: str, errno: int) -> None:
        """Keep what was tried and the system's reason."""
        super().__init__(step, errno)
        self.step, self.errno = step, errno


def main(status: int, report: int) -> None:
    """Read the order, start the command, watch over it, exit with its status (128 + n for signal n)."""
    os.set_inheritable(status, False)  # noqa: FBT003 - os.set_inheritable takes no keyword
    os.set_inheritable(report, False)  # noqa: FBT003 - the same
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until there is somebody to forward it to
    order = json.loads(_first_line())
    if "info" in order:
        os.set_inheritable(order["info"], False)  # noqa: FBT003 - the same
    try:
        if "emulator" in order:
            _emulate(order["emulator"])
        command = _fork_in_namespaces(order, status) if "namespaces" in order else _fork(order, status)
    except StepError as error:
        _tell(status, error)
        os._exit(OUT_OF_EXEC)
    os.close(status)
    code, usage = _watch(command, order)
    figures = {"max_rss_bytes": usage.ru_maxrss * 1024, "cpu_s": usage.ru_utime + usage.ru_stime}
    os.write(report, json.dumps(figures).encode())
    os._exit(code)


def _first_line() -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        chunk = os.read(0, 1 << 16)
        if not chunk:
            os._exit(KILLED + signal.SIGKILL)
        line += chunk
    return bytes(line)


def _tell(status: int, error: StepError) -> None:
    os.write(status, json.dumps({"step": error.step, "errno": error.errno}).encode())


def _watch(command: int, order: dict[str, Any]) -> tuple[int, Any]:
    """Forward SIGTERM; kill when standard input ends; reap; return the exit status and the resource usage."""
    target, ended = _target(order.get("info"), command), os.pidfd_open(command)
    stops: list[int] = []

    def stop(process: int, number: int) -> None:
        stops.append(number)
        _wait_for_container(order, ended)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)

    signal.signal(signal.SIGTERM, lambda number, _: stop(target, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(0, select.POLLIN)
    while ended not in (ready := dict(poll.poll())):
        if 0 in ready and not os.read(0, 1 << 16):
            for process in {target, command}:  # bubblewrap's child, which may not yet end with it
                stop(process, signal.SIGKILL)
            break
    _, wait_status, usage = os.wait4(command, 0)
    if "engine" in order:
        _clean_up(order["engine"], remove=bool(stops))
    code = os.waitstatus_to_exitcode(wait_status)
    return (code if code >= 0 else KILLED - code), usage


def _wait_for_container(order: dict[str, Any], ended: int) -> None:
    """An engine whose client is cut off while it asks for a container makes it nevertheless: wait for it."""
    deadline_s = time.monotonic() + CREATE_S
    while "engine" in order and not _is_filled(order["engine"]["id_file"]):
        if time.monotonic() > deadline_s or select.select([ended], [], [], 0.01)[0]:
            return


def _is_filled(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False


def _clean_up(engine: dict[str, Any], *, remove: bool) -> None:
    process = os.fork() if remove else -1
    if process == 0:
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(1, 2)
        os.execvp(engine["remove"][0], engine["remove"])  # noqa: S606 - the engine's own command
    if remove:
        os.waitpid(process, 0)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(engine["id_file"])


def _target(info: int | None, command: int) -> int:
    """Return the process that SIGTERM is for: bubblewrap names it on a pipe, and does not forward."""
    if info is None:
        return command
    text = b""
    while chunk := os.read(info, 4096):
        text += chunk
    return int(json.loads(text)["child-pid"]) if text else command


def _fork(order: dict[str, Any], status: int) -> int:
    """Start an engine's client."""
    process = os.fork()
    if process == 0:
        _exec(order, status)
    for fd in order.get("close", ()):
        os.close(fd)
    return process


def _exec(order: dict[str, Any], status: int) -> None:
    """Become the command; never return."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a command would inherit that
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        if "program" in order:
            os.execve(order["program"], order["argv"], order["env"])  # noqa: S606 - the engine found on PATH
        os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606 - the command, as asked
    except OSError as error:
        _tell(status, StepError("exec", error.errno or 0))
    os._exit(OUT_OF_EXEC)


def _emulate(rule: str) -> None:
    """Enter a user namespace of our own and give it a rule of binfmt_misc.

    The file system of rules is mounted nowhere: it lives as long as this process, which keeps it open.
    """
    uid, gid = os.geteuid(), os.getegid()
    _check("unshare", _libc.unshare(NEWUSER | NEWNS))
    _map(f"0 {uid} 1", f"0 {gid} 1")
    context = _libc.syscall(SYS_FSOPEN, b"binfmt_misc", CLOEXEC)
    _check("open binfmt_misc", min(context, 0))
    _check("make binfmt_misc", _libc.syscall(SYS_FSCONFIG, context, FSCONFIG_CREATE, None, None, 0))
    rules = _libc.syscall(SYS_FSMOUNT, context, CLOEXEC, 0)
    _check("mount binfmt_misc", min(rules, 0))
    try:
        register = os.open("register", os.O_WRONLY, dir_fd=rules)
        os.write(register, rule.encode())
        os.close(register)
    except OSError as error:
        raise StepError("register the emulator", error.errno or 0) from error


def _fork_in_namespaces(order: dict[str, Any], status: int) -> int:
    room = order["namespaces"]
    kinds = NEWPID | NEWIPC | NEWUTS | NEWCGROUP | (0 if room["network"] else NEWNET)
    is_root = _unshare(kinds, room, may_be_root="emulator" not in order)
    process = os.fork()
    if process:
        return process
    try:
        _make_root(room)
        if not room["network"]:
            _loopback_up()
        _libc.sethostname(b"lading", 6)
        _give_up_rights(room, is_root=is_root)
    except StepError as error:
        _tell(status, error)
        os._exit(OUT_OF_EXEC)
    except OSError as error:
        _tell(status, StepError(f"prepare {error.filename or 'the room'}", error.errno or 0))
        os._exit(OUT_OF_EXEC)
    _exec(order, status)
    return 0


def _unshare(kinds: int, room: dict[str, Any], *, may_be_root: bool) -> bool:
    """Enter the namespaces; tell whether as root (True) or in a user namespace (False)."""
    if may_be_root and os.geteuid() == 0 and _libc.unshare(kinds) == 0:
        return True
    uid, gid = os.geteuid(), os.getegid()
    _check("unshare", _libc.unshare(kinds | NEWUSER))
    _map(f"{room['uid']} {uid} 1", f"{room['gid']} {gid} 1")
    return False


def _map(uids: str, gids: str) -> None:
    """Say who is who in a new user namespace (user_namespaces(7))."""
    for name, text in (("setgroups", "deny"), ("uid_map", uids), ("gid_map", gids)):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
                stream.write(text)
        except OSError as error:
            raise StepError(name, error.errno or 0) from error


def _make_root(room: dict[str, Any]) -> None:
    """Mount the read-only root, what belongs on it, and move into it."""
    _check("unshare", _libc.unshare(NEWNS))
    _mount(None, "/", REC | PRIVATE)
    layers = [_open(path) for path in room["layers"]]
    tmp = _open(room["tmp"])
    binds = [(_open(source), target) for source, target in room["binds"]]
    devices = {name: _open(f"/dev/{name}") for name in DEVICES}
    work = room["work"]
    _mount("tmpfs", work, NOSUID | NODEV, kind="tmpfs", data="mode=0755")
    root, skeleton = f"{work}/root", f"{work}/skeleton"
    os.mkdir(root, 0o755)
    if room["overlay"]:
        _make_skeleton(skeleton, room["folders"], room["files"])
        lower = ":".join(map(_fd_path, [_open(skeleton), *layers]))  # short, so that 200 fit into a page
        _mount("overlay", root, RDONLY | NOSUID | NODEV, kind="overlay", data=f"lowerdir={lower}")
    else:
        _bind(layers[0], root, RDONLY | NOSUID | NODEV)
    _bind(tmp, f"{root}/tmp", NOSUID | NODEV)  # noqa: S108 - inside
    for source, target in binds:
        _bind(source, root + target, RDONLY | NOSUID | NODEV)
    _mount_dev(f"{root}/dev", devices)
    _mount_proc(f"{root}/proc")
    os.chdir(root)
    _check("pivot_root", _libc.pivot_root(b".", b"."))
    _check("leave old root", _libc.umount2(b".", DETACH))
    os.chdir("/")


def _make_skeleton(skeleton: str, folders: Iterable[str], files: Iterable[str]) -> None:
    """Make the mount points that the layers may lack."""
    os.mkdir(skeleton, 0o755)
    for path in folders:
        os.makedirs(skeleton + path, 0o755, exist_ok=True)
    for path in files:
        os.makedirs(os.path.dirname(skeleton + path), 0o755, exist_ok=True)
        os.close(os.open(skeleton + path, os.O_CREAT | os.O_WRONLY, 0o644))


def _mount_dev(target: str, devices: dict[str, int]) -> None:
    _mount("tmpfs", target, NOSUID, kind="tmpfs", data="mode=0755")
    for name, source in devices.items():
        os.close(os.open(f"{target}/{name}", os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(_fd_path(source), f"{target}/{name}", BIND)
    for name, link in DEVICE_LINKS.items():
        os.symlink(link, f"{target}/{name}")
    os.mkdir(f"{target}/shm")
    _mount("tmpfs", f"{target}/shm", NOSUID | NODEV, kind="tmpfs", data="mode=1777")
    _mount(None, target, REMOUNT | RDONLY | NOSUID, data="mode=0755")


def _mount_proc(target: str) -> None:
    """Mount /proc; what a kernel can be steered by is read-only, what it must not tell is empty."""
    _mount("proc", target, NOSUID | NODEV | NOEXEC, kind="proc")
    for name in KERNEL_WRITABLE:
        path = f"{target}/{name}"
        if os.path.exists(path):
            _mount(path, path, BIND)
            _mount(None, path, BIND | REMOUNT | RDONLY | NOSUID | NODEV | NOEXEC)
    for name in KERNEL_SECRET:
        if os.path.exists(f"{target}/{name}"):
            _mount("/dev/null", f"{target}/{name}", BIND)


def _bind(source: int, target: str, flags: int) -> None:
    """Bind an open file or folder; what is mounted below it does not come along."""
    _mount(_fd_path(source), target, BIND)
    kept = os.statvfs(target).f_flag & (
        RDONLY | NOSUID | NODEV | NOEXEC
    )  # a user namespace may not lift these
    _mount(None, target, BIND | REMOUNT | flags | kept)


def _loopback_up() -> None:
    fd = _libc.socket(AF_INET, SOCK_DGRAM, 0)
    request = b"lo".ljust(16, b"\0") + IFF_UP.to_bytes(2, sys.byteorder) + bytes(22)
    _check("loopback", _libc.ioctl(fd, SIOCSIFFLAGS, request))
    os.close(fd)


def _give_up_rights(room: dict[str, Any], *, is_root: bool) -> None:
    """Become the user, without capabilities and without a way to gain any."""
    capability = 0
    while _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:
        capability += 1
    if is_root:
        os.chown("/tmp", room["uid"], room["gid"])  # noqa: S108 - the folder given to the command
        os.setgroups([])
        os.setresgid(room["gid"], room["gid"], room["gid"])
        os.setresuid(room["uid"], room["uid"], room["uid"])
    _check("no_new_privs", _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check("pdeathsig", _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0))
    os.setsid()
    os.umask(0o022)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_PATH)
    except OSError as error:
        raise StepError(f"open {path}", error.errno or 0) from error


def _fd_path(fd: int) -> str:
    return f"/proc/self/fd/{fd}"


def _mount(source: str | None, target: str, flags: int, *, kind: str | None = None, data: str = "") -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _check(f"mount {kind or 'bind'} {target}", _libc.mount(*texts, flags, os.fsencode(data)))


def _check(step: str, result: int) -> None:
    if result != 0:
        raise StepError(step, ctypes.get_errno())
