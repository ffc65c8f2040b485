"""A sealed image goes in; a report, or a running server, comes out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lading import image as images
from lading import lock as locks
from lading import servers, verify
from lading.core import canonical
from lading.core.bill import Bill
from lading.core.descriptor import REPORT, Descriptor
from lading.core.errors import IntegrityError, Issue, RegistryError, VerifyError
from lading.core.image import Image
from lading.core.platform import Platform
from lading.core.ports import Event
from lading.core.report import Report
from lading.core.server import NATIVE
from lading.core.spec import Example
from lading.image.describe import USER
from lading.image.referrers import EMPTY_CONFIG
from lading.pipeline import delivery, shelf, summary
from lading.pipeline.context import Context, keeping
from lading.sandbox import relayed
from lading.store import documents

_NO_PYTHON = "its image has no Python, which hands requests on to a server in a sandbox"
_GO = "import os, sys; p, *c = sys.argv[1:]; os.path.isdir(p) and os.chdir(p); os.execvp(c[0], c)"
ROUNDING = 1e-9
"""How far two runs of the same model may be apart: libraries round by processor, threads and build."""
_MAX_EXAMPLES_BYTES = 256 << 20
_SIGNATURE_FIX = (
    "save the model with a signature of what it answers, record what it is to answer with 'example:' in "
    "lading.yaml (inputs and outputs), or pack it with --no-verify"
)


@dataclass(frozen=True, slots=True)
class Original:
    """What a model itself answers in, where a form answers in its place."""

    image: Image
    bill: Bill


def verify_image(
    context: Context,
    image: Image,
    bill: Bill,
    examples: Sequence[Example],
    *,
    sandbox: str | None,
    again: bool,
    original: Original | None = None,
    proof: Mapping[str, Any] | None = None,
) -> Report:
    """Run an image in a sandbox and keep the report with it; VerifyError where it does not do what it did.

    An image that passed before is not run once more, unless `again`: it has the same bytes. With an
    `original` that is run as well, and the answers of both are compared. `proof` is of its form, or says why
    there is none.
    """
    if not again and (before := _passed(context, image)):
        context.events(Event("verify", "stage", summary.of_report(before, image.platform, again=True)))
        _warn(context, before)
        return before
    report, answers = _run(context, image, bill, examples, sandbox)
    if original:
        expected_report, expected = _run(context, original.image, original.bill, examples, sandbox)
        _keep(context, original.image, original.bill, expected_report, "the model itself, ")
        tolerance = bill.model.compiled.tolerance if bill.model.compiled else 0.0
        # on another processor the model's own libraries may round otherwise
        if again or not (proof or {}).get("proved"):
            tolerance = max(tolerance, ROUNDING)
        checks = (*report.checks, *verify.same(answers, expected, tolerance))
        report = replace(report, checks=checks)
    report = replace(report, proof=dict(proof or {}))
    _keep(context, image, bill, report)
    _warn(context, report)
    return report


def can_verify(context: Context, image: Image, bill: Bill, sandbox: str | None) -> bool:
    """Tell whether an image can be run here, and asked; a warning where it is for lack of a Python."""
    if not bill.environment.interpreter:
        context.events(Event("verify", "warning", f"{image.platform} is not verified: {_NO_PYTHON}"))
        return False
    return context.cannot_run(image.platform, sandbox) is None


def _warn(context: Context, report: Report) -> None:
    for check in report.checks:
        if check.name in {verify.SIGNATURE, verify.UNPROVED} and check.passed:
            context.events(Event("verify", "warning", check.detail))


def answers(
    context: Context, image: Image, bill: Bill, examples: Sequence[Example], sandbox: str | None
) -> list[Any]:
    """Return what an image answers to examples; VerifyError where anything that is checked fails."""
    report, found = _run(context, image, bill, examples, sandbox)
    if not report.passed:
        raise VerifyError(*_issues(report, bill))
    return found


def _run(
    context: Context, image: Image, bill: Bill, examples: Sequence[Example], sandbox: str | None
) -> tuple[Report, list[Any]]:
    argv, env = on_socket(image, bill, f"/tmp/{verify.SOCKET}")  # noqa: S108 - in the sandbox
    lent = delivery.lend(context, bill)
    answers: list[Any] = []
    with temporary_folder() as tmp:
        report = verify.check(
            context.sandbox(image.layers, sandbox, platform=image.platform, user=user(image)),
            bill=bill,
            examples=examples,
            image=image.descriptor.digest,
            server=servers.find(bill.server.name),
            argv=argv,
            env={**env, **lent.env},
            mounts=lent.mounts,
            tmp=tmp,
            events=context.events,
            answers=answers,
            drift=locks.drift_of_bill(bill),
        )
    return replace(report, dropped=bill.environment.dropped), answers


def _keep(context: Context, image: Image, bill: Bill, report: Report, whose: str = "") -> None:
    """Keep a report with its image, and tell of it; raise VerifyError where it says that something failed."""
    attach(context, image.descriptor, canonical.encode(report.to_json()), REPORT)
    if not report.passed:
        raise VerifyError(*_issues(report, bill))
    context.events(Event("verify", "stage", whose + summary.of_report(report, image.platform, again=False)))
    if accelerator := _untried(bill):
        context.events(Event("verify", "warning", f"{accelerator} was not tried: a sandbox has no GPU"))


@keeping
def verify_package(
    context: Context, text: str, sandbox: str | None, platform: Platform | None = None
) -> Report:
    """Verify a package in the store, on the examples that it carries."""
    package = shelf.find(context, text, platform)
    examples = recorded_examples(context, package)
    return verify_image(
        context,
        package.image,
        package.bill,
        examples,
        sandbox=sandbox,
        again=True,
        original=_original(context, package),
        proof=(package.report or {}).get("proof"),
    )


def _original(context: Context, package: shelf.Package) -> Original | None:
    """Find what a compiled package is compared with; a warning where it was left behind."""
    if package.bill.model.compiled is None:
        return None
    try:
        found = shelf.original(context, package)
    except RegistryError as error:
        what = f"not compared with the model: {error.issues[0].what}"
        context.events(Event("verify", "warning", what))
        return None
    return Original(found.image, found.bill)


def _untried(bill: Bill) -> str | None:
    """Name the accelerator that a package was made for and has not been run on."""
    accelerator = bill.environment.accelerator
    return None if accelerator == "cpu" else accelerator


def _issues(report: Report, bill: Bill) -> Iterator[Issue]:
    for check in report.checks:
        if not check.passed:
            is_signature = check.name == "predictions" and verify.OF_SIGNATURE in check.detail
            yield Issue(check.name, check.detail, _SIGNATURE_FIX if is_signature else None)
    for one in locks.drift_of_bill(bill):
        yield Issue("version drift", one, "ask for the version that it was saved with, or save it again")
    if report.emulator:
        what = f"it ran under {report.emulator}, which may lack what a real processor has"
        yield Issue("emulated", what, "verify it on such a machine, and pack here with --no-verify")
    if accelerator := _untried(bill):
        what = f"it ran without {accelerator}: a sandbox has no GPU"
        yield Issue("accelerator", what, "a model that needs one is packed with --no-verify")
    if bill.environment.slim:
        what = "it ran without what --slim leaves out of the wheels: tests, sources, static libraries, docs"
        yield Issue(
            "slim", what, "pack it without --slim, and without 'slim: true', to see whether that is it"
        )
    if report.output:
        yield Issue("the package's last output", "\n" + report.output.rstrip()[-4000:])


def _passed(context: Context, image: Image) -> Report | None:
    """Return the last report of an image, if it passed."""
    document = shelf.report(context, image.descriptor.digest)
    if not document or not document.get("passed"):
        return None
    try:
        return Report.from_json(document)
    except IntegrityError:
        return None


def attach(context: Context, image: Descriptor, document: bytes, media_type: str) -> None:
    """Keep a document with an image, as an artefact that refers to it."""
    manifest, descriptor = images.attach(image, document, media_type)
    for blob in (document, EMPTY_CONFIG, manifest):
        documents.write(context.store, blob)
    context.store.refer(descriptor)


def attach_original(context: Context, image: Descriptor, original: Descriptor) -> None:
    """Keep the image of a model with that of its compiled form."""
    document, descriptor = images.attach_original(image, original)
    documents.write(context.store, document)
    context.store.refer(descriptor)


def command(image: Image, arguments: Sequence[str] = ()) -> tuple[list[str], dict[str, str]]:
    """Read from the image's config how it starts; `arguments` take the place of its own."""
    settings = canonical.decode(image.config, "image config").get("config") or {}
    env = dict(one.split("=", 1) for one in settings.get("Env") or ())
    return [*(settings.get("Entrypoint") or ()), *(arguments or settings.get("Cmd") or ())], env


def on_port(
    image: Image, bill: Bill, host: str, port: int, arguments: Sequence[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """Read how an image starts, made to listen on a port; `arguments` take the place of its own."""
    argv, env = command(image, arguments)
    listening = servers.find(bill.server.name).listen(host, port)
    return [*_there(image, bill), *argv, *listening.arguments], {**env, **listening.variables}


def _there(image: Image, bill: Bill) -> Sequence[str]:
    """Return what goes to the image's working directory first: a sandbox starts at the root."""
    settings = canonical.decode(image.config, "image config").get("config") or {}
    folder = str(settings.get("WorkingDir") or "/")
    # the native server goes there itself
    if folder == "/" or bill.server.name == NATIVE or not bill.environment.interpreter:
        return ()
    return f"{bill.server.path}/bin/python", "-ISc", _GO, folder


def on_socket(image: Image, bill: Bill, socket: str) -> tuple[list[str], dict[str, str]]:
    """Read how an image starts, made to answer on a Unix socket: itself, or with a relay beside it."""
    if bill.server.name == NATIVE:
        argv, env = command(image)
        return argv, {**env, "LADING_UDS": socket}
    if not bill.environment.interpreter:
        raise VerifyError(Issue(bill.name, _NO_PYTHON, "run it in an engine: `lading run`"))
    python = f"{bill.server.path}/bin/python"
    argv, env = on_port(image, bill, "127.0.0.1", bill.server.port)
    return relayed(argv, python=python, port=bill.server.port, socket=socket), env


def user(image: Image) -> str:
    """Read from the image's config whom it runs as."""
    settings = canonical.decode(image.config, "image config").get("config") or {}
    return str(settings.get("User") or USER)


def recorded_examples(context: Context, package: shelf.Package) -> tuple[Example, ...]:
    """Read the recorded examples from the layer that holds them, each checked against the bill."""
    layers = {one.title: one for one in package.image.layers}
    if not package.bill.examples:
        return ()
    found: dict[str, Any] = {}
    with shelf.reading(context, layers["examples"].descriptor, "examples") as archive:
        for member in archive:
            if member.isreg() and member.size <= _MAX_EXAMPLES_BYTES:
                stream = archive.extractfile(member)
                assert stream
                found[f"/{member.name}"] = canonical.decode(stream.read(), member.name)
    missing = [one.path for one in package.bill.examples if one.path not in found]
    if missing:
        raise IntegrityError(*(Issue(path, "is in the bill, but not in the image") for path in missing))
    recorded = [found[one.path] for one in package.bill.examples]
    return tuple(
        Example(one["inputs"], one["outputs"], one["tolerance"], name=f"example {number}")
        for number, one in enumerate(recorded, 1)
    )


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Lend a folder that the sandbox's user may write to, and take everything away after."""
    with tempfile.TemporaryDirectory(prefix="lading-", ignore_cleanup_errors=True) as name:
        # the sandbox's user is another than ours, and must pass through; only what it is given is writable
        Path(name).chmod(0o711)
        yield Path(name)
