"""Cog's `/predictions`: an `input` object in, a prediction's state out, at once or by webhooks.

`POST /predictions/{model}` is TorchServe's: a body of any form in, bare predictions out.
"""

# JSON values and a user's own objects may be of any type

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, NamedTuple, Optional

import msgspec

from lading_runtime.front import answers, bodies, encode, forms, names, webhooks
from lading_runtime.front.apart import apart
from lading_runtime.front.backend import FULL
from lading_runtime.front.decode import media_type, parse_json
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import RETRY_AFTER, Refusal, Request, Response
from lading_runtime.front.messages import encode as encoded
from lading_runtime.front.model import Model
from lading_runtime.front.predicting import Prediction, running
from lading_runtime.front.render import bare
from lading_runtime.front.routes import Table

_STARTED = datetime.now(timezone.utc)
_MAX_ID = 200
# how a prediction is answered with: its state when it is done, its state now, its events
_DONE, _LATER, _EVENTS = "done", "later", "events"
_NO_CACHE = {"cache-control": "no-cache", "x-accel-buffering": "no"}
_SHUTDOWN_AFTER_S = 0.1
_CHECK_S = 0.2


class Unprocessable(Refusal):
    """A 422, which Cog's clients read `detail` of."""

    def __init__(self, message: str, *where: str) -> None:
        """Say what is wrong, and where in the body."""
        super().__init__(422, message)
        self._where = where

    def response(self) -> Response:
        """Add `detail` to what every error has."""
        detail = [{"loc": ["body", *self._where], "msg": self.message, "type": "value_error"}]
        document = {"detail": detail, "error": self.message, "error_code": self.code, "message": self.message}
        return encoded(document, self.status)


class Asked(NamedTuple):
    """A request, read as far as it can be."""

    document: dict[str, Any]
    """All of it but the input."""
    given: bytes
    """The input, as JSON."""
    wanted: Optional[Input] = None  # noqa: UP045 - evaluated under Python 3.9 too
    is_row: bool = False
    refusal: Optional[str] = None  # noqa: UP045
    """Why the input is none that the model takes."""


async def create(model: Model, request: Request) -> Response:
    """Answer `POST /predictions`, and `PUT /predictions/{id}`, of which one at a time runs with an id."""
    is_put = request.method == "PUT"
    form = _form(model, request)
    asked = await apart(model, len(request.body), partial(_parsed, model, request))
    document = asked.document
    identity = _identity(document, request.arguments[0] if is_put else None)
    known = running(model).find(identity)
    if known is not None:
        if not is_put:
            raise _conflict(f"a prediction with the id {identity!r} is running")
        return await _state(known, form, is_shared=True)
    if asked.wanted is None and asked.refusal is None:
        raise Unprocessable("expected an object", "input")
    hook = _webhook(model, document)
    if asked.wanted is None:
        raise Unprocessable(asked.refusal or "", "input")
    if _is_full(model):
        raise _conflict("as many predictions are running as there may be")
    if not model.is_ready:
        raise Refusal(503, model.why_not_ready, headers=RETRY_AFTER)
    prediction = Prediction(identity, msgspec.Raw(asked.given), hook)
    running(model).begin(prediction, model, asked.wanted, is_row=asked.is_row)
    is_typed = model.routine is not None and model.routine.is_typed
    return await _state(prediction, form, is_shared=is_put, checks=is_typed)


async def _state(prediction: Prediction, form: str, *, is_shared: bool, checks: bool = False) -> Response:
    """Answer with a prediction's state: now, when it is done, or as events.

    `checks`: give the worker, which alone knows a typed routine's arguments, a moment to refuse the input.

    One that is `shared` goes on when the client is gone: it may come again.
    """
    if form == _EVENTS:
        stream = prediction.follow(is_shared=is_shared)
        return Response(b"", content_type=b"text/event-stream", headers=_NO_CACHE, stream=stream)
    assert prediction.task is not None
    if form == _LATER:
        document = prediction.document()
        if checks:
            await asyncio.wait({prediction.task}, timeout=_CHECK_S)
            if prediction.refusal is not None and prediction.refusal.status == 400:
                raise Unprocessable(prediction.refusal.message, "input")
        return encoded(document, 202)
    try:
        await asyncio.wait({prediction.task})
    except asyncio.CancelledError:
        if not is_shared:
            prediction.task.cancel()
        raise
    prediction.task.result()
    refusal = prediction.refusal
    if refusal is None:
        return Response(prediction.printed())
    if refusal.status == 400:
        raise Unprocessable(refusal.message, "input")
    raise refusal if refusal.reason != "queue_full" else _conflict(refusal.message)


async def cancel(model: Model, request: Request) -> Response:
    """Answer `POST /predictions/{id}/cancel`."""
    prediction = running(model).find(request.arguments[0])
    if prediction is None or prediction.task is None:
        raise Refusal(404, "no such prediction is running")
    prediction.task.cancel()
    return encoded({})


async def health(model: Model, _: Request) -> Response:
    """Answer `GET /health-check`: always 200, the status is in the body."""
    setup: dict[str, Any] = {"started_at": _STARTED.isoformat(), "status": "starting", "logs": ""}
    if model.backend.load_s:
        completed = _STARTED + timedelta(seconds=model.backend.load_s)
        setup.update(completed_at=completed.isoformat(), status="succeeded")
    version = {"cog": "0.17.0", "lading": model.bill.lading, "python": sys.version.split()[0]}
    return encoded({"status": _status(model), "setup": setup, "version": version})


async def shutdown(model: Model, _: Request) -> Response:
    """Answer `POST /shutdown`, where the settings allow it: a switch for anyone who can reach the port."""
    if not model.settings.cog_shutdown:
        raise Refusal(404, "no such route: '/shutdown' (LADING_COG_SHUTDOWN=1 makes it one)")
    asyncio.get_running_loop().call_later(_SHUTDOWN_AFTER_S, os.kill, os.getpid(), signal.SIGTERM)
    return encoded({})


async def torchserve(model: Model, request: Request) -> Response:
    """Answer `POST /predictions/{model}[/{version}]`."""
    name, version = (*request.arguments, None)[:2]
    names.check(model, str(name), version)
    wanted = await bodies.read(model, request, else_json=True, lists=True)
    return await answers.respond(model, request, wanted, bare)


def _status(model: Model) -> str:
    if model.is_draining:
        return "DEFUNCT"
    if _is_full(model):
        return "BUSY"
    return "READY" if model.is_ready else "STARTING"


def _is_full(model: Model) -> bool:
    return model.why_not_ready == FULL or len(running(model)) > model.settings.queue_length


def _form(model: Model, request: Request) -> str:
    """Tell how to answer; a stream is to be had of a generator alone."""
    if b"text/event-stream" in request.headers.get(b"accept", b""):
        if model.routine is None or not model.routine.is_stream:
            raise Refusal(406, "this model gives no stream, expected 'accept: application/json'")
        return _EVENTS
    preferences = request.headers.get(b"prefer", b"").lower().split(b",")
    return _LATER if b"respond-async" in [one.split(b";")[0].strip() for one in preferences] else _DONE


def _parsed(model: Model, request: Request) -> Asked:
    """Read a body; what is wrong with its input is told after what is wrong with the rest."""
    document = _document(request)
    given = document.pop("input", {})
    if not isinstance(given, dict):
        return Asked(document, b"")
    text = msgspec.json.encode(given)
    try:
        wanted, is_row = _read(model, given, text)
    except Refusal as refusal:
        return Asked(document, text, refusal=refusal.message)
    return Asked(document, text, wanted, is_row)


def _document(request: Request) -> dict[str, Any]:
    media_type(request.headers)  # which refuses another charset
    try:
        document = parse_json(request.body)
    except Refusal as refusal:
        raise Unprocessable(refusal.message) from None
    if not isinstance(document, dict):
        raise Unprocessable("expected an object with 'input'")
    return document


def _identity(document: dict[str, Any], of_path: str | None) -> str:
    identity = document.get("id")
    if identity is not None and (not isinstance(identity, str) or not 0 < len(identity) <= _MAX_ID):
        raise Unprocessable(f"expected a string of at most {_MAX_ID} characters", "id")
    if of_path is not None and identity not in {None, of_path}:
        raise Unprocessable(f"got {identity!r}, expected {of_path!r} as in the path, or none", "id")
    return of_path or identity or os.urandom(13).hex()


def _webhook(model: Model, document: dict[str, Any]) -> webhooks.Webhook | None:
    events = document.get("webhook_events_filter")
    if events is None:
        events = webhooks.EVENTS
    if not isinstance(events, (list, tuple)) or any(one not in webhooks.EVENTS for one in events):
        raise Unprocessable(f"expected some of {list(webhooks.EVENTS)}", "webhook_events_filter")
    url = document.get("webhook")
    if url is None:
        return None
    if not model.settings.webhooks:
        raise Unprocessable("webhooks are switched off (LADING_WEBHOOKS)", "webhook")
    try:
        return webhooks.Webhook(webhooks.check(url), events)
    except ValueError as error:
        raise Unprocessable(str(error), "webhook") from None


def _read(model: Model, given: dict[str, Any], text: bytes) -> tuple[Input, bool]:
    """Read an input: a routine's arguments, one row, columns, or what other contracts have as a body."""
    if model.routine is not None:
        return bodies.of_json(model, text), False
    schema = model.schema
    known = {one.name for one in schema.tensors}
    known |= {one.name for one in schema.columns} if schema.named else set()
    if not known & given.keys() and any(key in given for key in forms.KEYS):
        return bodies.of_document(model, given), False
    if schema.tensors or (given and all(isinstance(one, list) for one in given.values())):
        rest = {key: value for key, value in given.items() if key not in schema.params}
        return forms.with_params(schema, encode.mapping(schema, rest), {"params": given}), False
    return forms.read_unified(schema, given), True


def _conflict(message: str) -> Refusal:
    return Refusal(409, message, headers=RETRY_AFTER)


ROUTES: Table = {
    "/predictions": {"POST": create},
    "/predictions/{prediction}": {"PUT": create, "POST": torchserve},
    "/predictions/{model}/{version}": {"POST": torchserve},
    "/predictions/{prediction}/cancel": {"POST": cancel},
    "/health-check": {"GET": health},
    "/shutdown": {"POST": shutdown},
}
