"""`lading verify`."""

from __future__ import annotations

from lading import pipeline
from lading.cli.console import Common, Console, SandboxKind


def run(
    package: str,
    /,
    *,
    sandbox: SandboxKind | None = None,
    common: Common = Common(),  # noqa: B008 - frozen
) -> int:
    """Run a package in a sandbox and replay its recorded predictions.

    For example:

        lading verify iris:1

        lading verify iris:1 --sandbox podman --json

    Args:
        package: A name, a digest, or the beginning of one.
        sandbox: unshare, bwrap, podman or docker; default: the first that works.
    """
    console = Console(common)
    report = pipeline.verify_package(pipeline.Context(common.settings(), console.event), package, sandbox)
    lines = [f"{'ok' if one.passed else 'no'}  {one.name}: {one.detail}" for one in report.checks]
    console.result("\n".join(lines), report.to_json())
    return 0
