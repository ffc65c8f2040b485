"""A saved model loaded in a process of its own: a job goes in, its answers and what it imported come out.

Run as `python -m lading_runtime.trial JOB ANSWER`. `JOB` is a pickle of the one who saves: `loader`, `path`,
`options`, `code`, `sample` (tensors: name, datatype, shape and bytes), `kind` and `without`, modules that are
not to be found. Nothing in it needs a library: what is imported is what the model needs.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Mapping
from typing import Any

from lading_runtime import wire
from lading_runtime.worker import inputs


def request_of(kind: str, tensors: Any) -> inputs.Request:
    """Make the request that the front makes of columns (`frame`), of one `array`, or of named `tensors`."""
    entries = [
        wire.tensor(name, datatype or wire.JSON, shape, data, about)
        for name, datatype, shape, data, about in tensors
    ]
    header = {"parameters": {"content": kind}, "inputs": entries}
    return inputs.Request(header, memoryview(b"".join(one[3] for one in tensors)))


class Without:
    """A finder that finds all but some modules."""

    def __init__(self, finder: Any, names: frozenset[str]) -> None:
        """Wrap a finder of `sys.meta_path`."""
        self._finder, self._names = finder, names

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Find nothing where the module is one of those."""
        if name.partition(".")[0] in self._names or not hasattr(self._finder, "find_spec"):
            return None
        return self._finder.find_spec(name, path, target)

    def __getattr__(self, name: str) -> Any:
        """Be the finder in all else."""
        return getattr(self._finder, name)


def plain(value: Any) -> Any:
    """Return lists and dictionaries of plain values."""
    if hasattr(value, "arrays"):
        value = value.arrays
        value = next(iter(value.values())) if len(value) == 1 else value
    if hasattr(value, "iloc") and hasattr(value, "columns"):
        return [list(map(plain, row)) for row in value.to_numpy().tolist()]
    if hasattr(value, "toarray"):
        value = value.toarray()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def run(job: Mapping[str, Any]) -> Any:
    """Load and predict; return the answer."""
    if job["without"]:
        hidden = frozenset(job["without"])
        sys.meta_path[:] = [Without(one, hidden) for one in sys.meta_path]
    if job["code"]:
        sys.path.insert(0, job["code"])
    name = job["loader"]
    loader = importlib.import_module(name if "." in name else "lading_runtime.loaders." + name)
    model = loader.load(job["path"], job["options"])
    return plain(model.predict(request_of(job["kind"], job["sample"]))) if job["sample"] else None


def main(job: str, answer: str) -> int:
    """Read the job, write the answer: a pickle of plain values, or what went wrong."""
    with open(job, "rb") as stream:  # noqa: PTH123 - as the worker has it
        asked = pickle.load(stream)  # noqa: S301 - written by the process that started this one
    found: dict[str, Any] = {"error": None, "value": None}
    try:
        found["value"] = run(asked)
    except BaseException as error:  # noqa: BLE001 - whatever a model raises
        found["error"] = f"{type(error).__name__}: {error}"
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    found["modules"] = {name: file for name, file in files.items() if file}
    with open(answer, "wb") as stream:  # noqa: PTH123
        pickle.dump(found, stream)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
