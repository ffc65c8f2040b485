"""`lading list`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from lading.cli.console import Common, Console, size
from lading.pipeline import foreign, remote
from lading.pipeline.context import Context
from lading.pipeline.foreign import Foreign
from lading.pipeline.shelf import Package

_HEADER = ["NAME", "DIGEST", "PLATFORM", "SIZE", "VERIFIED", "MODEL"]


def run(
    repository: str | None = None,
    /,
    *,
    plain_http: Annotated[bool, Parameter(negative="")] = False,
    common: Common = Common(),
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
    context = Context(common.settings(), console.event)
    if repository is not None:
        tagged = remote.tags(context, repository, plain_http=plain_http)
        rows = [
            [str(one.reference), one.descriptor.digest.short, ", ".join(one.platforms), size(one.size_bytes)]
            for one in tagged
        ]
        console.table(_HEADER[:4], rows, [one.to_json() for one in tagged])
        return 0
    found = [
        {"name": str(one.reference), **_document(one.found), "platforms": [*map(_platform, one.every)]}
        for one in foreign.listed(context)
    ]
    console.table(_HEADER, [_row(one) for one in found], found)
    return 0


def _document(found: Package | Foreign) -> dict[str, Any]:
    model = None if isinstance(found, Foreign) else found.bill.model.flavour
    return {"digest": str(found.descriptor.digest), **_platform(found), "model": model}


def _platform(found: Package | Foreign) -> dict[str, Any]:
    if isinstance(found, Foreign):
        return {"platform": found.platform, "size_bytes": found.size_bytes, "verified": None}
    return {
        "platform": str(found.image.platform),
        "size_bytes": found.image.size_bytes,
        "verified": bool(found.report and found.report["passed"]),
    }


def _row(document: dict[str, Any]) -> list[str]:
    return [
        document["name"],
        document["digest"].removeprefix("sha256:")[:12],
        ", ".join(one["platform"] or "" for one in document["platforms"]),
        size(document["size_bytes"]),
        _verified(document["platforms"]),
        document["model"] or "no package of lading's",
    ]


def _verified(platforms: list[dict[str, Any]]) -> str:
    passed = [one["platform"] for one in platforms if one["verified"]]
    if passed and len(passed) < len(platforms):
        return f"verified for {', '.join(passed)}"
    if passed:
        return "verified"
    return "" if all(one["verified"] is None for one in platforms) else "not verified"
