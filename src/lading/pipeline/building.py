"""An environment with a build context goes in; the base that is built of it comes out."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path, PurePosixPath

from lading.core.bases import BaseName
from lading.core.errors import Issue, SpecError
from lading.pipeline import assets
from lading.pipeline.assets import Found
from lading.pipeline.context import Context, keeping
from lading.sandbox import build


@keeping
def built(context: Context, found: Found) -> BaseName:
    """Build an environment's context, once for the same content; the archive is kept in the cache.

    SpecError where it has none; VerifyError where nothing here can build it, or the build fails.
    """
    asset = found.asset
    document = asset.document.get("build")
    if not isinstance(document, dict) or not asset.files:
        raise SpecError(Issue(str(found.reference), "has no build context"))
    dockerfile = str(PurePosixPath(str(document.get("dockerfile_path") or "Dockerfile")))
    if dockerfile not in {one.path for one in asset.files}:
        raise SpecError(Issue(str(found.reference), f"there is no {dockerfile!r} in its build context"))
    folder = context.settings.cache / "built" / asset.content.hex
    if not folder.is_dir():
        _build(context, found, dockerfile, folder)
    noted = json.loads((folder / "built.json").read_text())
    return BaseName.parse(f"{noted['form']}:{folder / noted['archive']}", Path.cwd())


def _build(context: Context, found: Found, dockerfile: str, folder: Path) -> None:
    """Build below a name that nobody sees, and give it its own at last."""
    asset = found.asset
    partial = folder.with_name(f".partial-{asset.content.short}-{os.urandom(4).hex()}")
    partial.mkdir(parents=True)
    try:
        source = assets.write(context, found, partial / "context", link=False)
        archive = f"{asset.name}-{asset.version}.tar"
        tool = build(source, dockerfile, partial / archive, key=asset.content.short, events=context.events)
        (partial / "built.json").write_text(json.dumps({"form": tool.form, "archive": archive}))
        shutil.rmtree(source)
        if not folder.is_dir():
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
