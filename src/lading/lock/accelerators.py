"""An accelerator → how uv is told to choose PyTorch's builds for it.

uv's own back end (`--torch-backend`) takes the packages of PyTorch's family from PyTorch's index of that
accelerator, wherever else they are to be had. It asks no other place (astral-sh/uv, issue 19569): a mirror is
named to uv as an index for exactly these packages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

FAMILY = frozenset(
    {
        *("fbgemm-gpu", "fbgemm-gpu-genai", "pytorch-triton", "pytorch-triton-rocm", "pytorch-triton-xpu"),
        *("torch", "torch-tensorrt", "torchao", "torcharrow", "torchaudio", "torchcodec", "torchcsprng"),
        *("torchdistx", "torchrec", "torchserve", "torchtext", "torchtune", "torchvision"),
        *("triton", "triton-rocm", "triton-xpu", "xformers"),
    }
)
"""What uv's back end takes from PyTorch's index; a test asks uv."""
INDEX = "pytorch"
"""The mirror's name: credentials are had from UV_INDEX_PYTORCH_USERNAME and UV_INDEX_PYTORCH_PASSWORD."""
MIRROR_FIX = "name a mirror of PyTorch's indexes in LADING_PYTORCH_INDEX, which has a folder for each"


@dataclass(frozen=True, slots=True)
class Torch:
    """Which builds of PyTorch are wanted, and the mirror that has them (None: PyTorch's own index)."""

    accelerator: str
    mirror: str | None = None

    @property
    def arguments(self) -> list[str]:
        """What uv is told on its command line."""
        return [] if self.mirror else ["--torch-backend", self.accelerator]

    def sources(self, names: Iterable[str]) -> str:
        """Write what a project says of where its requirements come from, in TOML."""
        mine = sorted(FAMILY.intersection(names))
        if not self.mirror or not mine:
            return ""
        url = json.dumps(f"{self.mirror.rstrip('/')}/{self.accelerator}")
        lines = [f'{name} = {{ index = "{INDEX}" }}\n' for name in mine]
        index = f'\n[[tool.uv.index]]\nname = "{INDEX}"\nurl = {url}\nexplicit = true\n'
        return "\n[tool.uv.sources]\n" + "".join(lines) + index

    def unsaid(self, found: Iterable[str], asked: Iterable[str]) -> tuple[str, ...]:
        """Name what nobody asks for by name, and has therefore come from another place than the mirror."""
        return tuple(sorted(FAMILY.intersection(found).difference(asked))) if self.mirror else ()

    def lacks(self, name: str) -> tuple[str, str]:
        """Say of a package of the family that its index has it not, and what helps."""
        fix = f"choose another accelerator than {self.accelerator}"
        if not self.mirror:
            return f"PyTorch's index of {self.accelerator} has no {name!r}", fix
        what = f"the mirror {self.mirror.rstrip('/')} has no folder {self.accelerator} with {name!r}"
        return what, f"add it there, name another mirror in LADING_PYTORCH_INDEX, or {fix}"
