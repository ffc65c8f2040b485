"""The launcher: `python -I -m lading_runtime [serve]`.

The worker is started before the front's libraries are imported, so that both come up side by side.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from lading_runtime import bill as bills
from lading_runtime import launch, log


def begin(arguments: Sequence[str]) -> tuple[bills.Bill, launch.Started]:
    """Read the bill and start the worker; exit 2 where that makes no sense.

    Platforms add arguments of their own (`--model_name=…`): options are ignored with one line, `serve` is
    what is done anyway, `train` is refused.
    """
    ignored = [one for one in arguments if one.startswith("-")]
    words = [one for one in arguments if not one.startswith("-")]
    # a word behind an option without '=' may be its value
    if words and words[0] != "serve" and words[0] == arguments[0]:
        log.write("error", f"got {words[0]!r}, expected 'serve': this package answers requests, no more")
        sys.exit(2)
    if ignored:
        log.write("info", f"ignored {' '.join(ignored)}: settings are LADING_* variables")
    try:
        bill = bills.load(os.environ.get("LADING_BILL") or bills.DEFAULT_PATH)
    except bills.BillError as error:
        log.write("error", str(error))
        sys.exit(2)
    log.describe(model=bill.name, version=bill.version)
    try:
        return bill, launch.plan(os.environ, bill).start(bill)
    except OSError as error:
        log.write("error", f"{bill.interpreter}: {error.strerror}")
        sys.exit(1)


if __name__ == "__main__":
    # as process 1 nothing but a handler makes SIGTERM end it, and the imports below take a while
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    BILL, STARTED = begin(sys.argv[1:])

    from lading_runtime.front.run import serve

    sys.exit(serve(BILL, STARTED))
