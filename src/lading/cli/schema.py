"""`lading schema`."""

from __future__ import annotations

from lading import spec


def run() -> int:
    """Print the JSON Schema of lading.yaml, so that editors complete and check it.

    For example:

        lading schema > lading.schema.json

    and as the first line of lading.yaml: `# yaml-language-server: $schema=lading.schema.json`
    """
    print(spec.schema(), end="")
    return 0
