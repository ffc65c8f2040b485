"""A request to a server of several packages in; the answer of the one that it is meant for out."""

# JSON values may be of any type

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import msgspec

from lading_runtime import log
from lading_runtime.front.messages import Refusal, Request, Response, encode
from lading_runtime.front.metrics import CONTENT_TYPE, OPEN_METRICS
from lading_runtime.front.trace import names_of
from lading_runtime.router import merge
from lading_runtime.router.fleet import Fleet
from lading_runtime.router.upstream import Upstream

# of orders to the server itself
_MOST_BYTES = 1 << 20
# roots of routes in which a model's name follows
_NAMED = ("/v2/models/", "/v1/models/", "/models/")
_OPEN_METRICS = b"application/openmetrics-text"
# what says where it is: behind `/models/NAME` that is not at the root
_DOCUMENT = "/openapi.json"
_PREFIX = b"x-forwarded-prefix"


class Target(NamedTuple):
    """What a method and URL ask for: something of this server's own, or of a package's."""

    method: str
    path: str
    query: bytes
    own: Callable[[Request], Awaitable[Response]] | None
    is_open: bool
    """Whether it answers without a token: how healthy a server is, its platform asks without one."""


class Router:
    """The application in front of several packages' servers."""

    def __init__(self, fleet: Fleet) -> None:
        """Route to what the fleet serves at the time."""
        self.fleet = fleet
        self.is_draining = False
        self._own: Mapping[tuple[str, str], Callable[[Request], Awaitable[Response]]] = {
            ("GET", "/"): self._root,
            ("GET", "/livez"): self._live,
            ("GET", "/v2/health/live"): self._live,
            ("GET", "/v2/health/ready"): self._ready,
            ("GET", "/readyz"): self._ready,
            ("GET", "/ping"): self._ready,
            ("GET", "/health"): self._ready,
            ("GET", "/healthz"): self._ready,
            ("GET", "/v2/models"): self._models,
            ("GET", "/v2/models/stats"): self._statistics,
            ("GET", "/v1/models"): self._models,
            ("GET", "/models"): self._models,
            ("GET", "/metrics"): self._metrics,
            ("POST", "/v2/repository/index"): self._index,
        }

    def find(self, method: str, url: bytes) -> Target:
        """Return what answers."""
        path, _, query = url.partition(b"?")
        text = unquote(path.decode("latin-1"), errors="replace")
        own = self._own.get(("GET" if method == "HEAD" else method, text))
        if own is None and text.startswith("/v2/repository/models/") and method == "POST":
            own = self._repository
        is_open = own is not None and own in {self._live, self._ready}
        return Target(method, text, query, own, is_open)

    def refused(
        self,
        target: Target | None,  # noqa: ARG002 - the same for every route here
        refusal: Refusal,
        *,
        method: str,  # noqa: ARG002
        headers: Mapping[bytes, bytes],
        started: float,  # noqa: ARG002
    ) -> Response:
        """Answer a request that has not come to be answered."""
        return _named(refusal.response(), headers)

    async def answer(
        self,
        target: Target,
        method: str,
        headers: Mapping[bytes, bytes],
        body: bytes,
        started: float,  # noqa: ARG002 - what is behind counts
    ) -> Response:
        """Answer a request, or have it answered."""
        try:
            if target.own is not None:
                request = Request(headers, body, (), method, target.path, target.query)
                return _named(await target.own(request), headers)
            upstream, path = self._meant(method, target.path)
            if target.path.endswith(_DOCUMENT):
                headers = _below(headers, target.path, path)
            url = quote(path, safe="/:@!$&'()*+,;=~").encode() + (
                b"?" + target.query if target.query else b""
            )
            if method in {"GET", "HEAD"} and target.path.startswith(_NAMED[:2]):
                return await upstream.told(method, url, headers)
            return await upstream.ask(method, url, headers, body)
        except Refusal as refusal:
            return _named(refusal.response(), headers)
        except Exception:  # noqa: BLE001 - a defect costs one request, and is told as every other error
            log.write("error", f"a request to {target.path} failed: {traceback.format_exc()}")
            reason = "the server failed at this request: its log says how"
            return _named(Refusal(500, reason).response(), headers)

    def _meant(self, method: str, path: str) -> tuple[Upstream, str]:
        """Find whom a path is meant for, and the path there.

        It has one version there. `/models/NAME/…` is any of its routes.
        """
        if method == "POST" and path.startswith("/predictions/"):  # TorchServe's
            name, _, rest = path[len("/predictions/") :].partition("/")
            if rest != "cancel":
                upstream = self.fleet.find(name, rest or None)
                return upstream, f"/predictions/{upstream.name}"
        for root in _NAMED:
            if path.startswith(root):
                name, slash, rest = path[len(root) :].partition("/")
                if root == "/models/":
                    upstream = self.fleet.find(name)
                    return upstream, "/invocations" if rest == "invoke" else f"/{rest}"
                name, colon, verb = name.partition(":") if root == "/v1/models/" else (name, "", "")
                version: str | None = None
                if rest.startswith("versions/"):
                    version, slash, rest = rest[len("versions/") :].partition("/")
                    if root == "/v1/models/":
                        version, colon, verb = version.partition(":")
                upstream = self.fleet.find(name, version)
                return upstream, f"{root}{upstream.name}{colon}{verb}{slash}{rest}"
        return self.fleet.default, path

    async def _repository(self, request: Request) -> Response:
        """Answer `POST /v2/repository/models/{reference}/load` and `…/unload`."""
        name, _, verb = request.path[len("/v2/repository/models/") :].rpartition("/")
        if not name or verb not in {"load", "unload"}:
            raise Refusal(404, f"no such route: {request.path[:200]!r}")
        if verb == "unload":
            await self.fleet.unload(name, _parameters(request.body))
            return encode({"name": name, "unload": True})
        parameters = _parameters(request.body)
        loaded = await self.fleet.load(name, parameters)
        return encode({"name": loaded.name, "version": loaded.version, "load": True})

    async def _index(self, request: Request) -> Response:
        """Answer `POST /v2/repository/index`, Triton's."""
        only_ready = _object(request.body).get("ready") is True
        return encode(await self.fleet.index(only_ready=only_ready))

    async def _models(self, _: Request) -> Response:
        names = list(dict.fromkeys(one.name for one in self.fleet.members))
        data = [{"id": name, "object": "model"} for name in names]
        return encode({"models": names, "object": "list", "data": data})

    async def _live(self, _: Request) -> Response:
        return encode({"live": True})

    async def _ready(self, _: Request) -> Response:
        """Say whether every model would answer."""
        why = "the server is shutting down" if self.is_draining else await self.fleet.why_not_ready()
        if why:
            return encode({"error": why, "live": True, "ready": False}, 503)
        return encode({"live": True, "ready": True})

    async def _statistics(self, _: Request) -> Response:
        """Answer `GET /v2/models/stats`, Triton's: those of every model."""
        answers = await asyncio.gather(*(_got(one, b"/v2/models/stats") for one in self.fleet.members))
        counted = [each for one in answers if one for each in msgspec.json.decode(one)["model_stats"]]
        return encode({"model_stats": counted})

    async def _root(self, _: Request) -> Response:
        models = [{"name": one.name, "version": one.version} for one in self.fleet.members]
        return encode({"status": "alive", "models": models, "healthcheck_url": "/v2/health/ready"})

    async def _metrics(self, request: Request) -> Response:
        """Merge what every server counts; OpenMetrics where that is asked for and each of them knows it."""
        members = list(self.fleet.members)
        is_open = _OPEN_METRICS in request.headers.get(b"accept", b"")
        accepted = {b"accept": _OPEN_METRICS} if is_open else {}
        texts = await asyncio.gather(*(_got(one, b"/metrics", accepted) for one in members))
        if is_open and not all(one.endswith(merge.END) for one in texts if one):
            is_open = False
            texts = await asyncio.gather(*(_got(one, b"/metrics") for one in members))
        named = [(one.name, one.version, each.decode()) for one, each in zip(members, texts)]  # noqa: B905
        body = merge.metrics(named, open_metrics=is_open)
        return Response(body, content_type=OPEN_METRICS if is_open else CONTENT_TYPE)


async def _got(
    upstream: Upstream, path: bytes, headers: Mapping[bytes, bytes] = MappingProxyType({})
) -> bytes:
    """Get a document of a package's server; nothing where there is none to be had."""
    try:
        answer = await upstream.told("GET", path, headers)
    except Refusal:
        return b""
    return answer.body if answer.status == 200 else b""


def _named(response: Response, headers: Mapping[bytes, bytes]) -> Response:
    """Give the answer of no package the names that a package's server gives its own."""
    return response._replace(headers={**names_of(headers), **(response.headers or {})})


def _below(headers: Mapping[bytes, bytes], path: str, inner: str) -> Mapping[bytes, bytes]:
    """Add where a package's routes begin, behind whatever prefix a proxy in front has cut off."""
    prefix = quote(path.removesuffix(inner)).encode()
    before = headers.get(_PREFIX, b"").rstrip(b"/")
    return {**headers, _PREFIX: before + prefix} if prefix else headers


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > _MOST_BYTES:  # reading it would hold up every package's requests
        raise Refusal(413, f"got a body of {len(body)} bytes, expected at most {_MOST_BYTES}")
    if not body.strip():
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refusal(400, f"got a body that is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise Refusal(400, "expected a JSON object")
    return document


def _parameters(body: bytes) -> dict[str, Any]:
    parameters = _object(body).get("parameters") or {}
    if not isinstance(parameters, dict) or not all(
        isinstance(parameters.get(one, ""), (str, int)) for one in parameters
    ):
        raise Refusal(400, "parameters: expected an object with 'version' or 'reference'")
    return parameters
