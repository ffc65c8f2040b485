"""A request to an inference routine of one's own in, one internal request out: JSON, a form, or a file.

What the parameters are only the worker knows, so that a body is handed on as it is, if it is well-formed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional
from urllib.parse import quote

from lading_runtime import wire
from lading_runtime.front import multipart
from lading_runtime.front.decode import check_json, is_json
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal, Request

_EVENTS = b"text/event-stream"
_JSON = b"application/json"


class Routine(NamedTuple):
    """What a loaded routine says of itself."""

    parameters: Optional[Sequence[str]] = None  # noqa: UP045 - evaluated under Python 3.9 too
    """What is read by name; None where it is given the body as it is."""
    is_stream: bool = False
    """Whether it is a generator."""
    takes_table: bool = False
    """Whether its one parameter is a table or an array of all rows, which the front reads itself."""
    takes_headers: bool = False
    takes_request: bool = False
    """Whether it is given the request itself, as Azure ML's `@rawhttp` asks."""
    by_name: bool = False
    """Whether it is given an object's values as they are, as Azure ML's `@input_schema` asks."""
    is_azures: bool = False
    """Whether it is a scoring script of Azure ML's."""
    media: Sequence[str] = ("application/json",)
    """The media types that it takes, such as `image/*`."""
    answers: Optional[str] = None  # noqa: UP045
    """The media type of an answer that is a picture or a file, not JSON."""

    @property
    def is_typed(self) -> bool:
        """Tell whether it has parameters that are read by name."""
        return self.parameters is not None

    @property
    def is_raw(self) -> bool:
        """Tell whether it is given a body of any type, as text or bytes."""
        return self.parameters is None and "*/*" in self.media

    def accepts(self, kind: str) -> bool:
        """Tell whether it takes a media type."""
        return any(
            one in {kind, "*/*"} or (one.endswith("/*") and kind.startswith(one[:-1])) for one in self.media
        )


def learn(facts: Mapping[str, Any]) -> Routine:
    """Read what the worker told."""
    schema = facts.get("schema") or {}
    return Routine(
        schema.get("parameters"),
        bool(schema.get("stream")),
        bool(facts.get("table")),
        bool(facts.get("headers")),
        bool(facts.get("request")),
        bool(facts.get("by_name")),
        bool(facts.get("azures")),
        tuple(schema.get("media") or ("application/json",)),
        schema.get("output_media"),
    )


def read(routine: Routine, request: Request, kind: str, *, else_json: bool = False) -> Input:
    """Read a body by its media type; refuse one that the routine does not take."""
    about = _about(routine, request)
    if routine.takes_request or routine.by_name:
        return _media(request.body, kind, about)
    if routine.is_raw:
        return _whole(request, kind, about)
    if kind == "application/x-www-form-urlencoded" and request.body.lstrip()[:1] in {b"{", b"["}:
        kind = "application/json"  # what curl calls a body of which it was told nothing
    if not is_json(kind) and not routine.accepts(kind):
        if not else_json:
            expected = ", ".join(repr(one) for one in routine.media)
            raise Refusal(415, f"got content-type {kind!r}, expected {expected}")
        kind = "application/json"
    if routine.is_typed and request.query:
        about["query"] = request.query.decode("latin-1")
    if is_json(kind):
        # nothing at all is no value for any parameter
        is_empty = routine.is_typed and not request.body.strip()
        return of_json(b"{}" if is_empty else request.body, about)
    if kind == "multipart/form-data":
        return _form(multipart.parse(request.body, request.headers.get(b"content-type", b"")), about)
    if kind == "application/x-www-form-urlencoded":
        return _form(multipart.parse_urlencoded(request.body), about)
    return _media(request.body, kind, about)


def _whole(request: Request, kind: str, about: dict[str, Any]) -> Input:
    """Hand a body on as it is, be it what it says that it is or not."""
    if is_json(kind):
        with contextlib.suppress(Refusal):
            return of_json(request.body, about)
    return _media(request.body, kind, about)


def _media(data: bytes, kind: str, about: dict[str, Any]) -> Input:
    about = {**about, "type": kind}
    return Input("media", [(wire.tensor("body", "UINT8", [len(data)], data, about), data)])


def own_query(routine: Routine, query: bytes) -> str:
    """Return what of a request's target is called as a parameter; the rest may be a proxy's."""
    from urllib.parse import parse_qsl, urlencode  # some milliseconds, of every start

    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode([(name, value) for name, value in pairs if name in (routine.parameters or ())])


def of_json(body: bytes, about: Mapping[str, Any] | None = None) -> Input:
    """Hand a JSON text on as it is, having made sure that it is one."""
    return Input("json", [(wire.tensor("body", wire.JSON, [1], check_json(body), about), body)])


def _form(parts: Sequence[multipart.Part], about: Mapping[str, Any]) -> Input:
    if not parts:
        return of_json(b"{}", about)
    tensors = []
    for part in parts:
        more = {"type": part.content_type.partition(";")[0].strip().lower()}
        if part.filename is not None:
            more["filename"] = part.filename
        entry = wire.tensor(part.name, "UINT8", [len(part.data)], part.data, {**about, **more})
        tensors.append((entry, part.data))
        about = {}
    return Input("form", tensors)


def _about(routine: Routine, request: Request) -> dict[str, Any]:
    """Return what the worker is told besides the body: whether an answer may be a file, and the headers."""
    about: dict[str, Any] = {}
    if wants_file(routine, request):
        accept = request.headers.get(b"accept", b"")
        wants_jpeg = b"image/jpeg" in accept and not admits(accept, "image/png")
        about["raw"] = "image/jpeg" if wants_jpeg else True
    if routine.takes_headers:
        about["headers"] = _headers(request)
    if routine.takes_request:
        query = request.query.decode("latin-1")
        target = quote(request.path) + (f"?{query}" if query else "")
        about["request"] = {"method": request.method, "target": target, "headers": _headers(request)}
    return about


def _headers(request: Request) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()}


def in_parts(wanted: Input) -> Input:
    """Ask for the answer in parts."""
    if not wanted.tensors:
        return wanted
    (entry, data), *others = wanted.tensors
    entry = {**entry, "parameters": {**entry["parameters"], "stream": True}}
    return wanted._replace(tensors=[(entry, data), *others])


def wants_file(routine: Routine, request: Request) -> bool:
    """Tell whether a picture or a file is to be sent as it is: not where JSON is asked for by name."""
    accept = request.headers.get(b"accept", b"")
    if _JSON in accept:
        return False
    if routine.answers is not None:
        return True
    return _EVENTS not in accept


def wants_events(routine: Routine, request: Request, *, by_default: bool) -> bool:
    """Tell whether to answer by server-sent events: where asked for, or not declined."""
    accept = request.headers.get(b"accept", b"")
    if _EVENTS in accept:
        return True
    return by_default and routine.is_stream and _JSON not in accept and admits(accept, "text/event-stream")


def admits(accept: bytes, kind: str) -> bool:
    """Tell whether an `Accept` header takes a media type; one that is empty takes all."""
    ranges = [one.partition(";")[0].strip() for one in accept.decode("latin-1").lower().split(",")]
    return not accept or not {kind, "*/*", kind.partition("/")[0] + "/*"}.isdisjoint(ranges)
