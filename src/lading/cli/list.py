"""`lading list`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from lading import pipeline
from lading.cli.console import Common, Console, size

_HEADER = ["NAME", "DIGEST", "PLATFORM", "SIZE", "VERIFIED", "MODEL"]


def run(
    repository: str | None = None,
    /,
    *,
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),  # noqa: B008 - frozen
) -> int:
    """List the packages in the store, or the tags of a repository in a registry.

    For example:

        lading list

        lading list registry.example.com/team/iris --json

    Args:
        repository: Registry and repository; default: the store of this machine.
        plain_http: Speak to the registry without TLS, which loopback is spoken to without anyway.
    """
    console = Console(common)
    context = pipeline.Context(common.settings(), console.event)
    if repository is not None:
        tagged = pipeline.tags(context, repository, plain_http=plain_http)
        rows = [
            [str(one.reference), one.descriptor.digest.short, ", ".join(one.platforms), size(one.size_bytes)]
            for one in tagged
        ]
        console.table(_HEADER[:4], rows, [one.to_json() for one in tagged])
        return 0
    found = [{"name": str(one.reference), **_document(one.found)} for one in pipeline.listed(context)]
    console.table(_HEADER, [_row(one) for one in found], found)
    return 0


def _document(found: pipeline.Package | pipeline.Foreign) -> dict[str, Any]:
    digest = str(found.descriptor.digest)
    if isinstance(found, pipeline.Foreign):
        return {
            "digest": digest,
            "platform": found.platform,
            "size_bytes": found.size_bytes,
            "verified": None,
            "model": None,
        }
    return {
        "digest": digest,
        "platform": str(found.image.platform),
        "size_bytes": found.image.size_bytes,
        "verified": bool(found.report and found.report["passed"]),
        "model": found.bill.model.flavour,
    }


def _row(document: dict[str, Any]) -> list[str]:
    verified = {True: "verified", False: "not verified", None: ""}[document["verified"]]
    return [
        document["name"],
        document["digest"].removeprefix("sha256:")[:12],
        document["platform"] or "",
        size(document["size_bytes"]),
        verified,
        document["model"] or "no package of lading's",
    ]
