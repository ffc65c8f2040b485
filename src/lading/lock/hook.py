"""A source distribution → a wheel, by its own build hook. Runs inside the sandbox, on the package's Python.

It imports the standard library alone, for nothing of lading is there; it runs on every Python a base has.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tarfile
import zipfile
from pathlib import Path


def main(settings_text: str, archive: str, requirements: str, tmp: str) -> None:
    """Unpack an archive below `tmp` and run a hook of its backend (PEP 517).

    What it asks for besides comes to lie in `tmp/requires.json`, the wheel in `tmp/wheel`.
    """
    settings = json.loads(settings_text)
    source, wheels = Path(tmp, "source"), Path(tmp, "wheel")
    wheels.mkdir()
    unpack(archive, source)
    os.chdir(next(source.iterdir()))
    os.umask(0o022)
    # a build may start another Python, which has to find the same
    os.environ["PYTHONPATH"] = requirements
    # in place of this file's own folder
    sys.path[:1] = [*(str(Path(path).resolve()) for path in settings["path"]), requirements]
    module, _, attributes = settings["backend"].partition(":")
    backend = importlib.import_module(module)
    for name in filter(None, attributes.split(".")):
        backend = getattr(backend, name)
    if settings["asks"]:
        ask = getattr(backend, "get_requires_for_build_wheel", None)
        wanted = ask({}) if ask else []
        Path(tmp, "requires.json").write_text(json.dumps(wanted), encoding="utf-8")
    else:
        backend.build_wheel(str(wheels), {})


def unpack(archive: str, folder: Path) -> None:
    """Unpack a tar or zip file; the sandbox is what keeps its members from doing harm."""
    if archive.endswith(".zip"):
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)  # noqa: S202 - see above
        return
    with tarfile.open(archive) as tar:
        tar.extractall(folder)  # noqa: S202 - see above


if __name__ == "__main__":
    main(*sys.argv[1:])
