"""What the model's interpreter runs: finds `lading_runtime` by its location, then serves one model.

Run by path, with the socket's number and the job as arguments. Nothing is added to `sys.path`: of the
server's environment the model sees this one package.
"""

from __future__ import annotations

import importlib.util
import os
import sys


def _import_runtime() -> None:
    package = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120 - pathlib costs 3 ms
    spec = importlib.util.spec_from_file_location(
        "lading_runtime",
        os.path.join(package, "__init__.py"),  # noqa: PTH118
        submodule_search_locations=[package],
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lading_runtime"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    _import_runtime()
    from lading_runtime.worker.loop import run

    sys.exit(run(int(sys.argv[1]), sys.argv[2]))
