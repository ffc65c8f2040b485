"""`lading completion`."""

from __future__ import annotations

from typing import Literal

from lading.cli.main import build


def run(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion script of a shell.

    For example:

        source <(lading completion bash)

        lading completion zsh > ~/.zfunc/_lading

    Args:
        shell: bash, zsh or fish.
    """
    print(build().generate_completion(shell=shell), end="")
    return 0
