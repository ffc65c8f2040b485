"""The command line: arguments go in, an exit status comes out.

0 done · 1 a defect of lading's · 2 usage or spec · 3 model · 4 lock · 5 integrity · 6 verification ·
7 trust · 8 registry, store or network · 9 deployment · 130 interrupted.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from lading import __version__
from lading.core.errors import Issue, LadingError, RegistryError, disk_fix, without_secrets

# name → what it does; the file of a command is imported when it is called
COMMANDS = {
    "pack": "Turn a model into a sealed, verified package.",
    "lock": "Resolve a model's environment and pin every byte of it.",
    "init": "Write a commented lading.yaml for a model.",
    "inspect": "Tell what a model is and needs, without loading it.",
    "convert": "Write a model in a form that runs no code when it is loaded.",
    "verify": "Run a package in a sandbox and replay its recorded predictions.",
    "run": "Run a package in docker, podman or the sandbox.",
    "serve": "Run one or more packages and answer requests on this machine.",
    "score": "Score files with a package, in mini batches.",
    "push": "Push a package to a registry.",
    "pull": "Pull a package, or any image, from a registry.",
    "copy": "Copy an image from one registry to another.",
    "login": "Log in to a registry.",
    "logout": "Forget the login for a registry.",
    "list": "List the packages in the store, or the tags in a registry.",
    "show": "Show the bill of a package.",
    "rebuild": "Make a package again from its own bill and lock, and compare digests.",
    "diff": "Tell what differs between two packages, and whether a client would notice.",
    "tag": "Give a package a further name.",
    "untag": "Take a name from a package.",
    "rm": "Remove packages.",
    "du": "Tell what the store and the caches take.",
    "gc": "Free the space that nothing needs any more.",
    "fsck": "Check every byte of the store, and mend it.",
    "export": "Write a package as an OCI layout, an OCI archive or a docker-archive.",
    "schema": "Print the JSON Schema of lading.yaml, for editors.",
    "completion": "Print the completion script of a shell.",
}
# group → what it is about, and its verbs; the file of a group has a function for each (`list_` for list)
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "environment": (
        "Environments in a workspace: what packages are laid upon, in versions that never change.",
        {
            "create": "Keep an environment.",
            "show": "Show an environment.",
            "list": "List environments, or the versions of one.",
            "archive": "Hide an environment, or a version of it.",
            "restore": "Show an archived environment again.",
            "update": "Edit the description or tags of a version.",
            "label": "Give a version a label.",
            "share": "Copy a version into a registry.",
            "delete": "Forget a version.",
        },
    ),
    "connection": (
        "Who you are at Python feeds, git servers and container registries.",
        {
            "create": "Keep who you are at a feed, a git server or a registry.",
            "show": "Show a connection, without its secret.",
            "list": "List the connections.",
            "delete": "Forget a connection and its secret.",
        },
    ),
    "registry": (
        "Registries that assets are shared by.",
        {
            "create": "Declare where a registry is.",
            "show": "Show where a registry is.",
            "list": "List the registries that are declared.",
            "delete": "Forget where a registry is.",
        },
    ),
    "model": (
        "Models in a workspace, in versions that never change.",
        {
            "create": "Register a model.",
            "show": "Show a model.",
            "list": "List models, or the versions of one.",
            "archive": "Hide a model, or a version of it.",
            "restore": "Show an archived model again.",
            "update": "Edit the description, tags or stage of a version.",
            "label": "Give a version a label.",
            "download": "Write a model's files.",
            "share": "Copy a version into a registry.",
            "package": "Package a model, as az ml model package does.",
            "delete": "Forget a version.",
        },
    ),
    "signature": (
        "What models take and answer: inferred, shown, and written as others write it.",
        {
            "infer": "Infer a signature of data, of type hints or of a model.",
            "show": "Show the signature of a model or a package.",
            "convert": "Write a signature in another notation.",
        },
    ),
    "package": (
        "Model packages: a model, its environment and an inference server, as Azure ML describes them.",
        {
            "create": "Package a model.",
            "show": "Show a package as it was resolved.",
            "list": "List packages, or the versions of one.",
            "archive": "Hide a package, or a version of it.",
            "restore": "Show an archived package again.",
            "delete": "Forget a version.",
        },
    ),
    "endpoint": (
        "Have one address in front of deployments.",
        {
            "create": "Create an endpoint, or change the one of that name.",
            "show": "Show an endpoint, its traffic and its deployments.",
            "list": "List the endpoints.",
            "update": "Change an endpoint: its traffic, what is mirrored, its tags.",
            "delete": "Delete an endpoint and its deployments.",
            "invoke": "Send a request to an endpoint and print the answer.",
            "get-credentials": "Print the keys of an endpoint.",
            "regenerate-keys": "Make a key of an endpoint anew.",
            "up": "Serve every endpoint that there is.",
            "down": "End all instances and the supervisor; endpoints stay.",
        },
    ),
    "deployment": (
        "Have packages answer at an endpoint.",
        {
            "create": "Create a deployment and wait until it answers.",
            "show": "Show a deployment and the state of each of its instances.",
            "list": "List the deployments of an endpoint, or all of them.",
            "update": "Change a deployment without a gap.",
            "delete": "Delete a deployment that has no traffic.",
            "get-logs": "Print what a deployment's instances wrote last.",
            "logs": "The same as get-logs.",
        },
    ),
    "deploy": (
        "What puts a package on a platform of others.",
        {
            "azureml": "Write the YAML that puts a package on Azure ML.",
            "app-service": "Print the settings of Azure App Service for a package.",
        },
    ),
}
_BUILTIN = {"list"}
"""Verbs whose function has an underscore behind its name, for the name is Python's."""


def build(*chosen: str) -> App:
    """Build the application. The chosen command, or group and verb, tells its own help.

    The others are not even imported.
    """
    app = App(
        name="lading",
        help="Turn a trained model into a sealed, tested OCI package, without Docker.",
        version=__version__,
        help_epilogue="Start with `lading pack ./model -t name:1`, then `lading serve name:1`.",
        help_format="markdown",
        version_format="plaintext",  # markdown would cost a tenth of a second
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        default_parameter=Parameter(show_default=False),  # the text tells it where it is of interest
    )
    for name, summary in COMMANDS.items():
        _add(app, name, f"lading.cli.{name}:run", None if (name,) == chosen[:1] else summary)
    for group, (about, verbs) in GROUPS.items():
        below = App(name=group, help=about, help_epilogue="", version_flags=())
        for verb, summary in verbs.items():
            function = f"{verb.replace('-', '_')}{'_' if verb in _BUILTIN else ''}"
            where = f"lading.cli.{group.replace('-', '_')}:{function}"
            _add(below, verb, where, None if (group, verb) == chosen[:2] else summary)
        app.command(below)
    return app


def _add(app: App, name: str, where: str, summary: str | None) -> None:
    app.command(where, name=name, help=summary, help_epilogue="")


def main(arguments: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - one for each way to end
    """Run one command; return its exit status."""
    if arguments is None:
        _insist_on_utf8()
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    _heed_signals()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            # a terminal that has no arrow gets a question mark
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        status = build(*tokens[:2])(tokens, exit_on_error=False)
    except CycloptsError:
        return 2
    except LadingError as error:
        _report(error, as_json="--json" in tokens)
        return error.exit_status
    except KeyboardInterrupt:
        kept = "" if tokens[:1] in (["serve"], ["run"]) else "; what was built is kept"
        print(f"interrupted{kept}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _discard_output()
        return 141
    except OSError as error:
        # what stages do with files they report themselves: this is our own output, or a temporary folder
        _discard_output()
        issue = Issue(
            str(error.filename or "temporary file or output"), error.strerror or str(error), disk_fix(error)
        )
        print(f"error: {issue}", file=sys.stderr)
        return RegistryError.exit_status
    except Exception as error:  # noqa: BLE001 - the one place that turns a defect into a line
        if "--verbose" in tokens or ("-v" in tokens and tokens[0] in COMMANDS):
            traceback.print_exc()
        print(f"error: a defect in lading: {type(error).__name__}: {error}", file=sys.stderr)
        print("  fix: run it again with --verbose and report what it prints", file=sys.stderr)
        return 1
    return status if isinstance(status, int) else 0


def _report(error: LadingError, *, as_json: bool) -> None:
    """Tell people every issue, and programs too where they asked for JSON; never a secret."""
    print(f"error: {without_secrets(str(error))}", file=sys.stderr)
    if as_json:
        issues = [{"where": one.where, "what": one.what, "fix": one.fix} for one in error.issues]
        document = {"error": type(error).__name__, "exit_status": error.exit_status, "issues": issues}
        print(without_secrets(json.dumps(document, indent=2)))


def _discard_output() -> None:
    """Keep the interpreter from complaining at its exit of output that cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _heed_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # what nohup has us ignore, we ignore
            signal.signal(number, _interrupt)


def _insist_on_utf8() -> None:
    """Begin again in UTF-8 mode where the locale is another: names of files become paths in images."""
    if sys.getfilesystemencoding().lower() != "utf-8" and not sys.flags.utf8_mode:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", "-m", "lading", *sys.argv[1:]])  # noqa: S606 - itself


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
