"""Fetch what the bill says, then become the server: `python -I -m lading_runtime.download [-- COMMAND …]`.

`--report` writes a JSON line to standard output whenever the state changes, for the native server, which
starts this beside itself; `--keep` fills the cache alone, and prints the folders. Exit status 1: given up.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

if __package__ in {None, ""}:  # run by path: the package is found by its location
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from lading_runtime import log
from lading_runtime.bill import DEFAULT_PATH
from lading_runtime.download import place, view, wanted
from lading_runtime.download.failure import FetchError
from lading_runtime.download.transfer import Progress

PATIENCE = "LADING_DOWNLOAD_PATIENCE_S"
_PATIENCE_S, _SHORT_S = 300.0, 20.0
_PAUSE_S, _MAX_PAUSE_S = 1.0, 30.0
_TOLD_EVERY_S = 0.5
# a token is not for the model to know
_HIDDEN = "LADING_SOURCE_"


class Teller:
    """Tells of the state: lines of JSON for who asked for them, else lines of the log."""

    def __init__(self, *, reports: bool) -> None:
        """Report to standard output, or log."""
        self._reports = reports
        self._last = ""
        self._done = -1
        """What was there when last something was said: an error stands until there is more."""
        self.progress = Progress(0)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def tell(self, text: str, level: str = "info") -> None:
        """Say what is waited for, or what is wrong."""
        if text == self._last:
            return
        self._last = text
        self._done = max(self._done, self.progress.done)
        log.write(level, text)
        self._report(text)

    def close(self) -> None:
        """Say no more."""
        self._ended.set()
        self._thread.join()

    def _report(self, text: str) -> None:
        if self._reports:
            try:
                os.write(1, json.dumps({"state": text}).encode() + b"\n")
            except OSError:
                os._exit(1)  # who asked is gone

    def _run(self) -> None:
        while not self._ended.wait(_TOLD_EVERY_S):
            progress = self.progress
            if (done := progress.done) > self._done and progress.total:
                self._done = done
                source = f" from {progress.source}" if progress.source else ""
                self._report(
                    f"downloading{source}: {place.in_words(done)} of {place.in_words(progress.total)}"
                )


def fetch(teller: Teller, *, links: bool) -> list[str]:
    """Fetch all that the bill wants; raise FetchError where it cannot be had within the patience there is."""
    environ = os.environ
    path = environ.get("LADING_BILL") or DEFAULT_PATH
    try:
        with open(path, "rb") as stream:
            bill = json.load(stream)
    except (OSError, ValueError) as error:
        raise FetchError(f"{path}: {error}", final=True) from error
    folders = []
    for one in wanted.read(bill, environ.get("LADING_MODEL_SOURCE", "")):
        started = time.monotonic()
        folders.append(_patiently(one, teller))
        if links:
            place.link(one, folders[-1], environ.get("LADING_MODEL_LINKS") or wanted.LINKS)
        took = time.monotonic() - started
        log.write("info", f"{one.name}: {place.in_words(one.size_bytes)} verified in {took:.1f} s")
    return folders


def _patiently(one: wanted.Wanted, teller: Teller) -> str:
    """Try again, ever more seldom: a registry may be restarting, a secret about to be mended."""
    try:
        patience_s = float(os.environ.get(PATIENCE) or _PATIENCE_S)
    except ValueError:
        patience_s = _PATIENCE_S
    begun, pause_s = time.monotonic(), _PAUSE_S
    while True:
        before = teller.progress.done
        try:
            return place.provide(one, os.environ, teller.progress, teller.tell)
        except FetchError as error:
            if teller.progress.done > before:
                begun, pause_s = time.monotonic(), _PAUSE_S
            left_s = (min(patience_s, _SHORT_S) if error.final else patience_s) - (time.monotonic() - begun)
            if left_s <= 0:
                raise
            pause_s = max(pause_s, error.pause_s)
            teller.tell(f"{one.name} cannot be had yet: {error}", "warning")
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 2.0, _MAX_PAUSE_S)


def main(arguments: list[str]) -> int:
    """Do what the module says."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    own, command = arguments[:cut], arguments[cut + 1 :]
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # as process 1 nothing else ends it
    teller = Teller(reports="--report" in own)
    try:
        folders = fetch(teller, links="--keep" not in own)
    except FetchError as error:
        teller.tell(f"giving up: {error}", "error")
        log.finish()
        return 1
    finally:
        teller.close()
    if "--keep" in own:
        print("\n".join(folders))  # noqa: T201 - this is what was asked for
    log.finish()
    if command:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        variables = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
        if folder := view.real(variables):
            variables[view.VARIABLE] = folder
        try:
            os.execvpe(command[0], command, variables)  # noqa: S606 - the image's own
        except OSError as error:
            log.write("error", f"{command[0]}: {error.strerror}")
            log.finish()
            return 127
    return 0


if __name__ == "__main__":
    STATUS = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(STATUS)
