"""Configurations in JSON that name code, told by what stands in them: pieces in, findings out.

Keras makes a model of any such text, in whatever archive or file it lies; so do skops and Transformers.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator
from typing import Any

from lading.core.errors import ModelError
from lading.core.scan import Finding, Policy
from lading.model import keras, skops
from lading.model.protobuf import parts
from lading.scan import rules, templates
from lading.scan.archives import unreadable
from lading.scan.piece import Piece

_LONGEST_BYTES = 32 << 20
_KEYS = re.compile(
    rb'"(auto_map|custom_pipelines|class_name|__loader__|chat_template)"|\\u00[4-7][0-9a-fA-F]'
)
"""Names of what is looked for, or letters that are spelt so that they are not found."""
_BLANK = b" \t\r\n\xef\xbb\xbf"
_NODE, _METADATA = 1, 5
"""keras_metadata.pb (keras/protobuf/saved_metadata.proto)."""


def of_json(piece: Piece, policy: Policy) -> Iterator[Finding]:
    """Tell what code a configuration of Keras', skops' or Transformers' names."""
    start = piece.start(64)
    is_wide = b"\0" in start[:4]
    if not piece.last.endswith(".json") and not start.lstrip(_BLANK).startswith(b"{") and not is_wide:
        return
    if is_wide and not start.replace(b"\0", b"").lstrip(_BLANK + b"\xfe\xff").startswith(b"{"):
        return
    with piece.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if not is_wide and _KEYS.search(data) is None:
            return
    if piece.size_bytes > _LONGEST_BYTES:
        yield unreadable(piece, piece.name, "a configuration that names code, and is too long to be read")
        return
    try:
        document = json.loads(piece.path.read_bytes())
    except RecursionError:
        yield unreadable(piece, piece.name, "a configuration that is nested too deeply")
        return
    except ValueError:
        return
    yield from _of_document(piece, document, policy)


def _of_document(piece: Piece, document: Any, policy: Policy) -> Iterator[Finding]:  # noqa: ANN401 - JSON
    for risk in dict.fromkeys(keras.config_risks(document, piece.name)):
        yield Finding(rules.KERAS_CODE, piece.file, risk.where, risk.name, risk.why)
    if not isinstance(document, dict):
        return
    if isinstance(document.get("__loader__"), str):
        yield from _of_skops(piece, document, policy)
    yield from templates.of_document(piece, document)
    for name in sorted(_strings(document.get("auto_map"))):
        why = "code that Transformers runs where trust_remote_code is set"
        yield Finding(rules.REMOTE_CODE, piece.file, piece.name, name, why)
    pipelines = document.get("custom_pipelines")
    for name, one in pipelines.items() if isinstance(pipelines, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("impl"), str):
            why = f"code of the pipeline {name!r}, run where trust_remote_code is set"
            yield Finding(rules.REMOTE_CODE, piece.file, piece.name, one["impl"], why)


def _of_skops(piece: Piece, tree: dict[str, Any], policy: Policy) -> Iterator[Finding]:
    told = skops.of_schema(tree, piece.name)
    for risk in told.risks:
        yield Finding(rules.SKOPS_TYPE, piece.file, risk.where, risk.name, risk.why)
    for name in told.types:
        if policy.denies(name) and all(name != risk.name for risk in told.risks):
            yield Finding(rules.DENIED, piece.file, piece.name, name, "denied by the policy")


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def of_keras_metadata(piece: Piece) -> Iterator[Finding]:
    """Tell of byte code in what Keras 2 keeps beside a SavedModel."""
    if piece.last != "keras_metadata.pb":
        return
    try:
        with piece.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            texts = [
                data[at:end]
                for _, node in parts(data, (0, len(data)), _NODE)
                for _, (at, end) in parts(data, node, _METADATA)
            ]
        found = [risk for one in texts for risk in keras.code_risks(json.loads(one), piece.name)]
    except (ValueError, IndexError, RecursionError, ModelError) as error:
        yield unreadable(piece, piece.name, f"cannot be read: {error}")
        return
    for risk in dict.fromkeys(found):
        yield Finding(rules.KERAS_CODE, piece.file, risk.where, risk.name, risk.why)
