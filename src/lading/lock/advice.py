"""A lock → what its author should know of it."""

from __future__ import annotations

from collections.abc import Iterator

from lading.core.lock import Lock
from lading.lock.accelerators import FAMILY

_MANY_BYTES = 1 << 30
_CUDA_PREFIXES = ("nvidia-", "cuda-", "triton")


def of(lock: Lock) -> Iterator[str]:
    """Tell what is not an error, and probably not meant."""
    yield from _apart(lock)
    yield from _heavy(lock)
    locked = {one.name for part in lock.platforms for one in part.model}
    if lock.accelerator and not locked & FAMILY:
        yield f"accelerator {lock.accelerator} has chosen nothing: nothing of PyTorch's is asked for"


def _apart(lock: Lock) -> Iterator[str]:
    """Tell which packages have another version on one platform than on another."""
    versions: dict[str, dict[str, set[str]]] = {}
    for part in lock.platforms:
        for one in (*part.model, *part.server):
            versions.setdefault(one.name, {}).setdefault(one.version, set()).add(str(part.platform))
    for name, found in sorted(versions.items()):
        # an environment of the server's own may well have another version than the model's
        if len(found) > 1 and len({frozenset(on) for on in found.values()}) > 1:
            told = ", ".join(f"{version} for {' and '.join(sorted(on))}" for version, on in found.items())
            yield f"{name} is {told}: pin a version that has wheels for all, to have the same everywhere"


def _heavy(lock: Lock) -> Iterator[str]:
    """Tell what PyTorch's builds for CUDA weigh, where nobody has asked for them."""
    for part in lock.platforms if lock.accelerator is None else ():
        sizes = {one.name: one.size_bytes for one in part.model}
        libraries_bytes = sum(size for name, size in sizes.items() if name.startswith(_CUDA_PREFIXES))
        if "torch" in sizes and libraries_bytes > _MANY_BYTES:
            weight = f"{(sizes['torch'] + libraries_bytes) / 1e9:.1f} GB"
            yield (
                f"torch is the build for CUDA, {weight} with its libraries "
                f"for {part.platform}. Set 'accelerator: cpu' for a package without a GPU, "
                "or one such as 'cu126' to choose the CUDA"
            )
