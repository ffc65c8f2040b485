"""`lading verify`."""

from __future__ import annotations

from lading.cli.console import Common, Console, SandboxKind, size
from lading.core.platform import Platform
from lading.pipeline import running
from lading.pipeline.context import Context


def run(
    package: str,
    /,
    *,
    sandbox: SandboxKind | None = None,
    platform: str | None = None,
    common: Common = Common(),
) -> int:
    """Run a package in a sandbox and replay its recorded predictions.

    For example:

        lading verify iris:1

        lading verify iris:1 --sandbox podman --json

        lading verify iris:1 --platform linux/arm64   # emulated, where qemu-user-static is installed

    Args:
        package: A name, a digest, or the beginning of one.
        sandbox: unshare, bwrap, podman or docker; default: the first that works.
        platform: One of a package of several platforms; default: this machine's.
    """
    console = Console(common)
    context = Context(common.settings(), console.event)
    chosen = Platform.parse(platform) if platform else None
    report = running.verify_package(context, package, sandbox, chosen)
    lines = [f"{'ok' if one.passed else 'no'}  {one.name}: {one.detail}" for one in report.checks]
    if report.dropped:
        saved = f"{len(report.dropped)} libraries, {size(report.saved_bytes)}"
        lines.append(f"ok  left out, and not needed: {saved}")
    console.result("\n".join(lines), report.to_json())
    return 0
