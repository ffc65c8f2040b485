"""A bill in, a worker process and the socket to it out."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lading_runtime import __file__ as package_file
from lading_runtime import cores, log, output
from lading_runtime.bill import Bill

_ROOT = os.path.dirname(package_file)  # noqa: PTH120 - see bill.py
_BOOT = os.path.join(_ROOT, "worker", "boot.py")  # noqa: PTH118 - the same
_FETCH = os.path.join(_ROOT, "download", "__main__.py")  # noqa: PTH118 - the same
# what points at the server's environment, or at the machine's
_SCRUBBED = ("PYTHON", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
# how the server is reached, and what its model was fetched by, is not for a model to know
_SECRET = ("LADING_TOKEN", "LADING_TLS_", "LADING_SOURCE_")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# a package's file system is read-only but for /tmp
_WRITABLE = ("MPLCONFIGDIR", "JOBLIB_TEMP_FOLDER", "NUMBA_CACHE_DIR")


_ON_CPU = {"pickle", "compiled"}
_DUMPABLE, _SUBREAPER = 4, 36  # prctl's PR_SET_DUMPABLE and PR_SET_CHILD_SUBREAPER


class Started(NamedTuple):
    """A worker that has been started and may still be loading its model."""

    process: subprocess.Popen[bytes]
    socket: socket.socket


def start(bill: Bill, *, share: bool = True, gpu: str | None = None) -> Started:
    """Start a worker in the model's environment; raise OSError where its interpreter cannot be run.

    With `share` it may, once it has loaded the model, fork those that answer, instead of answering itself.
    """
    ours, theirs = socket.socketpair()
    job = {
        "path": bill.model["path"],
        "loader": bill.model["loader"],
        "options": bill.model["loader_options"] or {},
        "code": bill.code,
        "parent": os.getpid(),
        "mark": output.KEY if log.IS_JSON else "",
        "share": share and _adopts_orphans(),
    }
    variables = environment(os.environ, bill)
    if gpu is not None:
        variables["CUDA_VISIBLE_DEVICES"] = gpu
    # -I: its own site-packages alone; -u: a print is seen at once; faulthandler: a crash says where
    flags = ("-I", "-u", "-X", "faulthandler")
    printed = output.begin()
    try:
        process = subprocess.Popen(
            (bill.interpreter, *flags, _BOOT, str(theirs.fileno()), json.dumps(job)),
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=printed,  # what a model prints belongs to the log
            stderr=printed,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
        output.end(printed)
    return Started(process, ours)


class Fetching(NamedTuple):
    """What brings the model here, and a pipe on which it says how far it is, a line of JSON each time."""

    process: subprocess.Popen[bytes]
    reports: int


def fetch() -> Fetching:
    """Start what brings the model here; raise OSError where it cannot be run."""
    ours, theirs = os.pipe()
    try:
        process = subprocess.Popen(
            (sys.executable, "-I", _FETCH, "--report"),
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            start_new_session=True,
        )
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return Fetching(process, ours)


class Plan(NamedTuple):
    """How the workers of a model are started."""

    workers: int | None
    """How many; None: as many as loading the model shows to be of use."""
    share: bool
    """Whether one process may load the model and fork those that answer."""
    gpus: Sequence[str]
    """What the workers take in turn; none where there is one worker only, which sees them all."""

    def start(self, bill: Bill, number: int = 0, *, share: bool = True) -> Started:
        """Start the worker of this number; without `share` one that answers itself in any case."""
        gpu = self.gpus[number % len(self.gpus)] if self.gpus else None
        return start(bill, share=self.share and share, gpu=gpu)


def plan(environ: Mapping[str, str], bill: Bill) -> Plan:
    """Decide what can be decided before anything is loaded."""
    workers = cores.asked(environ)
    # a GPU's context does not survive a fork, and loading may make one
    gpus = cores.gpus(environ) if bill.model["loader"] not in _ON_CPU else []
    if gpus and workers is None:
        workers = len(gpus)
    share = environ.get("LADING_SHARE_MODEL", "").strip().lower() not in {"0", "false", "no", "off"}
    return Plan(workers, share and not gpus, gpus if workers != 1 else ())


def senseless(environ: Mapping[str, str]) -> list[str]:
    """Say which variables of the workers make no sense, and so are passed over."""
    memory = environ.get("LADING_WORKER_MEMORY_BYTES", "").strip()
    is_number = not memory or memory.isdecimal()
    what = f"LADING_WORKER_MEMORY_BYTES={memory!r}: expected a number of bytes; workers have no limit"
    return cores.senseless(environ) + ([] if is_number else [what])


def _adopts_orphans() -> bool:
    """Make this process the parent of whatever its children leave, as process 1 is; tell whether it is."""
    if os.getpid() == 1:
        return True
    try:
        import ctypes

        return not ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return False


def _is_secret(name: str) -> bool:
    is_header = name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS")
    return is_header or name.startswith(_SECRET)


def public(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that another process of the front may have."""
    return {name: value for name, value in environ.items() if not _is_secret(name)}


def hide(environ: Mapping[str, str]) -> None:
    """Let no other process of this user read our variables in /proc, where there are secrets among them.

    A process that is executed later, such as a worker, is readable again.
    """
    if not any(map(_is_secret, environ)):
        return
    try:
        import ctypes

        done = not ctypes.CDLL(None).prctl(_DUMPABLE, 0, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        done = False
    if not done:
        log.write(
            "warning", "the model could read the server's secrets: its process cannot be made unreadable"
        )


def environment(inherited: Mapping[str, str], bill: Bill) -> dict[str, str]:
    """Return a worker's variables: what was inherited, less what would lead it out of its environment.

    A variable that the author declared is kept as it is inherited.
    """
    kept = {
        key: value
        for key, value in inherited.items()
        if not _is_secret(key) and (key in bill.variables or not key.startswith(_SCRUBBED))
    }
    folder = str(bill.model["path"])
    defaults = {"HOME": "/tmp", "LADING_MODEL_DIR": folder, "AZUREML_MODEL_DIR": folder}  # noqa: S108 - by contract
    defaults.update(dict.fromkeys(_THREADS, str(cores.threads(inherited, str(bill.model["loader"])))))
    defaults.update(dict.fromkeys(_WRITABLE, "/tmp"))  # noqa: S108 - the one folder that is always writable
    return {**defaults, **kept}
