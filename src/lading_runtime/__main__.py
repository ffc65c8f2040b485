"""The launcher: `python -I -m lading_runtime [serve]`.

The worker is started before the front's libraries are imported, so that both come up side by side.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from lading_runtime import bill as bills
from lading_runtime import launch, log, output

# what KServe's runtimes give
_OPTIONS = {"__model_name": "MODEL_NAME", "__http_port": "LADING_HTTP_PORT"}
_WORDS = {"serve", "train"}


def begin(arguments: Sequence[str]) -> tuple[bills.Bill, launch.Started | launch.Fetching | None]:
    """Read the bill and start the worker, if there is to be one; exit 2 where that makes no sense.

    Where the model is not in the image, what fetches it is started instead.

    Platforms add arguments of their own (`--model_name=…`), which `options` takes; `serve` is what is done
    anyway, `train` is refused.
    """
    os.environ.update(options(arguments))
    try:
        bill = bills.load(os.environ.get("LADING_BILL") or bills.DEFAULT_PATH)
    except bills.BillError as error:
        log.write("error", str(error))
        sys.exit(2)
    log.describe(model=bill.name, version=bill.version)
    for text in launch.senseless(os.environ):
        log.write("warning", f"ignored {text}")
    launch.hide(os.environ)
    try:
        if bill.fetches:
            return bill, launch.fetch()
        return bill, None if bill.compiled else launch.plan(os.environ, bill).start(bill)
    except OSError as error:
        log.write("error", f"{bill.interpreter}: {error.strerror}")
        sys.exit(1)


def options(arguments: Sequence[str]) -> dict[str, str]:
    """Return the variables that arguments stand for, spelt with `_` or `-`; ignore others with one line."""
    variables = {}
    ignored = []
    rest = list(arguments)
    while rest:
        one = rest.pop(0)
        name, given, value = one.partition("=")
        if not one.startswith("-"):
            if one != "serve":
                log.write("error", f"got {one!r}, expected 'serve': this package answers requests, no more")
                sys.exit(2)
            continue
        if not given and rest and not rest[0].startswith("-") and rest[0] not in _WORDS:
            value = rest.pop(0)
        variable = _OPTIONS.get(name.replace("-", "_"))
        if variable and value:
            variables[variable] = value
        else:
            ignored.append(name)
    if ignored:
        log.write("info", f"ignored {' '.join(ignored)}: settings are LADING_* variables")
    return variables


if __name__ == "__main__":
    # as process 1 nothing but a handler makes SIGTERM end it, and the imports below take a while
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    BILL, STARTED = begin(sys.argv[1:])

    from lading_runtime.front.run import serve

    STATUS = serve(BILL, STARTED)
    output.finish()
    log.finish()
    os._exit(STATUS)  # a thread may be amid what nobody waits for any more, and would be waited for
