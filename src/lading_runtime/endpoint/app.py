"""A request to an endpoint in; the answer of the deployment that it falls to out."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import random
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from lading_runtime import log
from lading_runtime.endpoint.deployment import Deployment
from lading_runtime.front.access import Access
from lading_runtime.front.messages import Refusal, Response
from lading_runtime.front.trace import names_of

_SCORE = b"/score"
_PINS = b"azureml-model-deployment"
# the endpoint's key is nothing for its models to see
_OWN = {b"authorization", _PINS}


class Target(NamedTuple):
    """A method and a URL, as they were sent."""

    method: str
    url: bytes
    is_open: bool = False


class Keys(Access):
    """The endpoint's keys, as digests, until they are changed."""

    def __init__(self) -> None:
        """Let nobody in yet."""
        super().__init__(())
        self.digests: list[str] = []

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Refuse a request without one of the keys."""
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        given = hashlib.sha256(key.strip()).hexdigest() if scheme.lower() == b"bearer" else ""
        if not sum([hmac.compare_digest(given, one) for one in self.digests]):
            what = "expected 'authorization: Bearer …' with a key of the endpoint"
            raise Refusal(401, what, headers={"www-authenticate": "Bearer"})


class Split:
    """Shares in, whose turn it is out: of every hundred in a row each has its share, spread evenly."""

    def __init__(self, shares: Mapping[str, int]) -> None:
        """Begin anywhere in the row: a client that asks once in a while meets all of them."""
        self.shares = {name: share for name, share in shares.items() if share > 0}
        self._owed = {name: random.uniform(0, share) for name, share in self.shares.items()}  # noqa: S311

    def turn(self) -> str | None:
        """Return whose turn it is; None where nobody has a share."""
        if not self.shares:
            return None
        for name, share in self.shares.items():
            self._owed[name] += share
        chosen = max(self._owed, key=self._owed.__getitem__)
        self._owed[chosen] -= sum(self.shares.values())
        return chosen


class Endpoint:
    """The application in front of an endpoint's deployments."""

    def __init__(self, keys: Keys, drained: Callable[[str], None]) -> None:
        """Have no deployment yet; `drained` hears of each instance that is asked nothing any more."""
        self._keys = keys
        self._drained = drained
        self._deployments: dict[str, Deployment] = {}
        self._traffic = Split({})
        self._mirror: dict[str, int] = {}
        self._owed: dict[str, int] = {}
        self._shadows: set[asyncio.Task[None]] = set()

    def apply(self, facts: Mapping[str, Any]) -> None:
        """Be what the facts say, from the next request on."""
        self._keys.digests = [str(one) for one in facts["keys"]]
        named: Mapping[str, Any] = facts["deployments"]
        for name, one in named.items():
            self._deployments.setdefault(name, Deployment(name, self._drained)).apply(one)
        for name in [name for name in self._deployments if name not in named]:
            gone = self._deployments.pop(name)
            gone.apply(
                {"timeout_s": 0, "concurrency": 1, "instance_count": 0, "scoring": "", "instances": ()}
            )
        if {name: share for name, share in facts["traffic"].items() if share} != self._traffic.shares:
            self._traffic = Split(facts["traffic"])
        self._mirror = {name: share for name, share in facts["mirror"].items() if name in named}

    def find(self, method: str, url: bytes) -> Target:
        """Return what was asked for: every route is a deployment's own."""
        return Target(method, url)

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
        """Have a request answered, and its copy where traffic is mirrored."""
        try:
            deployment, is_pinned = self._choose(headers)
            handed = {name: value for name, value in headers.items() if name not in _OWN}
            if not is_pinned:
                self._shadow(target, method, handed, body, deployment.name)
            return await deployment.answer(method, _url(target.url, deployment), handed, body)
        except Refusal as refusal:
            return _named(refusal.response(), headers)
        except Exception:  # noqa: BLE001 - a defect costs one request, and is told as every other error
            log.write("error", f"a request failed: {traceback.format_exc()}")
            return _named(
                Refusal(500, "the endpoint failed at this request: its log says how").response(), headers
            )

    def _choose(self, headers: Mapping[bytes, bytes]) -> tuple[Deployment, bool]:
        pinned = headers.get(_PINS, b"").decode("latin-1").strip()
        name = pinned or self._traffic.turn()
        if name in self._deployments:
            return self._deployments[name], bool(pinned)
        known = ", ".join(map(repr, self._deployments)) or "none"
        if pinned:
            raise Refusal(404, f"got deployment {pinned[:100]!r}, expected one of: {known}")
        raise Refusal(404, f"no deployment has traffic; there are: {known}")

    def _shadow(
        self, target: Target, method: str, headers: Mapping[bytes, bytes], body: bytes, chosen: str
    ) -> None:
        """Send a copy to whom a share is mirrored; nobody waits for it, and nothing comes of its answer."""
        for name, share in self._mirror.items():
            owed = self._owed.get(name, 0) + share
            self._owed[name] = owed % 100
            if owed >= 100 and name != chosen:
                task = asyncio.get_running_loop().create_task(
                    _drop(self._deployments[name], target, method, headers, body)
                )
                self._shadows.add(task)
                task.add_done_callback(self._shadows.discard)


async def _drop(
    deployment: Deployment, target: Target, method: str, headers: Mapping[bytes, bytes], body: bytes
) -> None:
    with suppress(Refusal):
        response = await deployment.answer(method, _url(target.url, deployment), headers, body)
        if response.stream is not None:
            async for _ in response.stream:
                pass


def _url(url: bytes, deployment: Deployment) -> bytes:
    """Say where a deployment scores: `/score` is that of the endpoint, whatever servers call it."""
    path, mark, query = url.partition(b"?")
    return deployment.scoring.encode() + mark + query if path == _SCORE else url


def _named(response: Response, headers: Mapping[bytes, bytes]) -> Response:
    """Give an answer that is no deployment's the names that a server gives its own."""
    names = names_of(headers)
    azures = {"x-ms-request-id": names["x-request-id"]}
    return response._replace(headers={**names, **azures, **(response.headers or {})})
