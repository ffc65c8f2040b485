"""Accelerators: what tensors run on, by the names that PyTorch gives its builds and uv its back ends."""

from __future__ import annotations

import difflib

_CUDA = (
    "80 90 91 92 100 101 102 110 111 112 113 114 115 116 117 118 120 121 122 123 124 125 126 128 129 130 132"
)
_ROCM = "4.0.1 4.1 4.2 5.1.1 5.2 5.3 5.4 5.4.2 5.5 5.6 5.7 6.0 6.1 6.2 6.2.4 6.3 6.4 7.0 7.1 7.2"
ACCELERATORS = (
    *("cpu", "xpu"),
    *(f"cu{one}" for one in _CUDA.split()),
    *(f"rocm{one}" for one in _ROCM.split()),
)
"""Those of uv's `--torch-backend`; a test asks uv."""


def problem(text: str) -> str | None:
    """Say what is wrong with the name of an accelerator; None where nothing is."""
    if text in ACCELERATORS:
        return None
    if text == "auto":
        return "got 'auto', expected one by name: a package is not made for the machine that packs it"
    near = ", ".join(map(repr, _near(text.lower())))
    expected = f"one such as {near}" if near else "cpu, cu118 to cu132, rocm6.0 to rocm7.2 or xpu"
    return f"got {text!r}, expected {expected}"


def _near(text: str) -> list[str]:
    """List the accelerators that may be meant: of CUDA those of the nearest versions."""
    digits = text.removeprefix("cuda").removeprefix("cu").strip("-").replace(".", "")
    if digits.isdecimal() and not text.startswith("rocm"):
        known = sorted(_CUDA.split(), key=lambda one: abs(int(one) - int(digits[:3])))
        return [f"cu{one}" for one in known[:3]]
    return [] if text in {"cuda", "gpu"} else difflib.get_close_matches(text, ACCELERATORS, 3, 0.6)


def cuda(accelerator: str | None) -> tuple[int, int] | None:
    """Return the version of CUDA (`(12, 6)` of `cu126`); None for what is not CUDA."""
    if accelerator is None or not accelerator.startswith("cu"):
        return None
    digits = accelerator.removeprefix("cu")
    return int(digits[:-1]), int(digits[-1])
