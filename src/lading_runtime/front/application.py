"""What a connection asks for answers: the application of one model, or a router to several."""

# what an application finds for a URL is its own affair
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lading_runtime.front.messages import Refusal, Response


class Application(Protocol):
    """Heads and bodies in, answers out."""

    def find(self, method: str, url: bytes) -> Any:
        """Return what answers, to be handed back; raise a Refusal where nothing does.

        Its `is_open` says whether it answers without a token, where there are tokens.
        """
        ...

    def refused(
        self, target: Any, refusal: Refusal, *, method: str, headers: Mapping[bytes, bytes], started: float
    ) -> Response:
        """Answer a request that has not come to be answered; `target` is None where nothing was found."""
        ...

    async def answer(
        self, target: Any, method: str, headers: Mapping[bytes, bytes], body: bytes, started: float
    ) -> Response:
        """Answer a request whose body is there; raise nothing but what cancels it.

        A large body is a bytearray, of which nobody changes anything.
        """
        ...
