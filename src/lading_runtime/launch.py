"""A bill in, a worker process and the socket to it out."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from lading_runtime import __file__ as package_file
from lading_runtime import log, output
from lading_runtime.bill import Bill

_BOOT = os.path.join(os.path.dirname(package_file), "worker", "boot.py")  # noqa: PTH118, PTH120 - see bill.py
# what points at the server's environment, or at the machine's
_SCRUBBED = ("PYTHON", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
# a pool per library in each worker makes one-row predictions up to forty times slower on a busy machine
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# a package's file system is read-only but for /tmp
_WRITABLE = ("MPLCONFIGDIR", "JOBLIB_TEMP_FOLDER", "NUMBA_CACHE_DIR")


class Started(NamedTuple):
    """A worker that has been started and may still be loading its model."""

    process: subprocess.Popen[bytes]
    socket: socket.socket


def start(bill: Bill) -> Started:
    """Start a worker in the model's environment; raise OSError where its interpreter cannot be run."""
    ours, theirs = socket.socketpair()
    job = {
        "path": bill.model["path"],
        "loader": bill.model["loader"],
        "options": bill.model["loader_options"] or {},
        "code": bill.code,
        "parent": os.getpid(),
        "marked": log.IS_JSON,
    }
    # -I: its own site-packages alone; -u: a print is seen at once; faulthandler: a crash says where
    flags = ("-I", "-u", "-X", "faulthandler")
    printed = output.begin()
    try:
        process = subprocess.Popen(
            (bill.interpreter, *flags, _BOOT, str(theirs.fileno()), json.dumps(job)),
            env=environment(os.environ, bill),
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


def environment(inherited: Mapping[str, str], bill: Bill) -> dict[str, str]:
    """Return a worker's variables: what was inherited, less what would lead it out of its environment.

    A variable that the author declared is kept as it is inherited.
    """
    kept = {
        key: value
        for key, value in inherited.items()
        if key in bill.variables or not key.startswith(_SCRUBBED)
    }
    folder = str(bill.model["path"])
    defaults = {"HOME": "/tmp", "LADING_MODEL_DIR": folder, "AZUREML_MODEL_DIR": folder}  # noqa: S108 - by contract
    defaults.update(dict.fromkeys(_THREADS, "1"))
    defaults.update(dict.fromkeys(_WRITABLE, "/tmp"))  # noqa: S108 - the one folder that is always writable
    return {**defaults, **kept}
