"""The command line: arguments go in, an exit status comes out.

0 done · 1 a defect of lading's · 2 usage or spec · 3 model · 4 lock · 5 integrity · 6 verification ·
7 trust · 8 registry, store or network · 9 deployment · 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from lading import __version__
from lading.core.errors import LadingError

# name → what it does; the file of a command is imported when it is called
COMMANDS = {
    "pack": "Turn a model into a sealed, verified package.",
    "lock": "Resolve a model's environment and pin every byte of it.",
    "init": "Write a commented lading.yaml for a model.",
    "inspect": "Tell what a model is and needs, without loading it.",
    "verify": "Run a package in a sandbox and replay its recorded predictions.",
    "serve": "Run a package and answer requests on this machine.",
    "list": "List the packages in the store.",
    "show": "Show the bill of a package.",
    "tag": "Give a package a further name.",
    "untag": "Take a name from a package.",
    "rm": "Remove packages.",
    "gc": "Free the space that nothing needs any more.",
    "export": "Write a package as an OCI layout, an OCI archive or a docker-archive.",
    "schema": "Print the JSON Schema of lading.yaml, for editors.",
    "completion": "Print the completion script of a shell.",
}


def build(chosen: str | None = None) -> App:
    """Build the application. The chosen command tells its own help; the others are not even imported."""
    app = App(
        name="lading",
        help="Turn a trained model into a sealed, tested OCI package, without Docker.",
        version=__version__,
        help_epilogue="Start with `lading pack ./model -t name:1`, then `lading serve name:1`.",
        help_format="markdown",
        version_format="plaintext",  # markdown would cost a tenth of a second
        result_action="return_value",
        default_parameter=Parameter(show_default=False),  # the text tells it where it is of interest
    )
    for name, summary in COMMANDS.items():
        app.command(
            f"lading.cli.{name}:run", name=name, help=None if name == chosen else summary, help_epilogue=""
        )
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = build(tokens[0] if tokens else None)(tokens, exit_on_error=False)
    except CycloptsError:
        return 2
    except LadingError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("interrupted; what was built is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of our output has gone: keep the interpreter from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:  # noqa: BLE001 - the one place that turns a defect into a line
        if "--verbose" in tokens or "-v" in tokens:
            traceback.print_exc()
        print(f"error: a defect in lading: {type(error).__name__}: {error}", file=sys.stderr)
        print("  fix: run it again with --verbose and report what it prints", file=sys.stderr)
        return 1
    return status if isinstance(status, int) else 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
