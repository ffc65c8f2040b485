"""A spec whose model a tracking server keeps goes in; the same with the model on this machine comes out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from lading import model, spec
from lading.core import typed
from lading.core.assets import AssetDraft
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, RegistryError, without_secrets
from lading.core.ports import Event
from lading.core.spec import PackageSpec
from lading.core.tracked import ModelURI, Record, is_tracked
from lading.pipeline.context import Context
from lading.tracking import Brought, OfflineError, Tracking
from lading.tracking.stores import REGISTRY, TRACKING


def bring(context: Context, what: PackageSpec) -> PackageSpec:
    """Have the model here, if it is not: in the cache, or where a store of this machine keeps it."""
    if what.model_uri is None:
        return what
    brought = fetch(context, what.model_uri)
    name = what.name or spec.package_name(Path(brought.called))
    return replace(what, name=name, model=brought.path, model_uri=None, record=brought.record)


def asset(context: Context, draft: AssetDraft) -> AssetDraft:
    """Have the files of an asset here, if they are not; its properties say where they came from."""
    if draft.uri is None:
        return draft
    brought = fetch(context, draft.uri)
    record = brought.record
    told = {
        "source": record.asked,
        "name": record.name,
        "version": record.version,
        "model_id": record.model_id,
        "run_id": record.run_id,
        "source.git.commit": record.commit,
    }
    properties = {f"mlflow.{key}": value for key, value in told.items() if value}
    return replace(draft, path=brought.path, uri=None, properties={**properties, **draft.properties})


def fetch(context: Context, uri: ModelURI) -> Brought:
    """Bring what a URI names; offline, what it named when it was last asked for."""
    key = _key(uri)
    cache, offline = context.settings.cache / "models", context.offline
    tracking = Tracking(cache, os.environ, context.digests.of, context.events, offline=offline)
    try:
        brought = tracking.bring(uri)
    except OfflineError:
        return _remembered(context, uri, key)
    if brought.is_cached:
        context.hold(brought.path.parent)
        document = {
            "path": str(brought.path),
            "called": brought.called,
            "record": typed.to_json(brought.record),
        }
        context.layers.note(key, document)
    return brought


def place(context: Context, target: str) -> Path:
    """Return the path that a text means, of a tracked model where it was brought to."""
    return fetch(context, ModelURI.parse(target)).path if is_tracked(target) else Path(target)


def init(context: Context, target: str, folder: Path) -> str:
    """Draft the text of a lading.yaml in `folder` for a model."""
    if not is_tracked(target):
        return spec.draft(model.inspect(Path(target).absolute()), folder)
    brought = fetch(context, ModelURI.parse(target))
    return spec.draft(model.inspect(brought.path), folder, name=brought.called, uri=target)


def _key(uri: ModelURI) -> str:
    """Name what is remembered of a URI, at the stores that are named now."""
    stores = [without_secrets(os.environ.get(one, "")) for one in (TRACKING, REGISTRY)]
    return Digest.of("\n".join(("tracked", *stores, str(uri))).encode()).hex


def _remembered(context: Context, uri: ModelURI, key: str) -> Brought:
    match context.layers.recall(key):
        case {"path": str(path), "called": str(called), "record": dict(record)} if Path(path).exists():
            what = f"{uri} is what it was when it was last fetched, for lading is offline"
            context.events(Event("model", "warning", what))
            context.hold(Path(path).parent)
            try:
                return Brought(
                    Path(path), typed.from_json(Record, record, "record"), is_cached=True, called=called
                )
            except IntegrityError:  # another version of lading noted it
                pass
    what = "is not in the cache, and tracking servers are out of reach offline"
    raise RegistryError(Issue(str(uri), what, "run once without --offline"))
