"""`AMLResponse`: what a scoring script answers with besides values, without Flask."""

# a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from lading_runtime.azureml.values import Headers

_JSON = "application/json"
_TYPE = "Content-Type"


class AMLResponse:
    """A body with a status and headers."""

    def __init__(
        self,
        message: Any,
        status_code: Any,
        response_headers: Optional[Mapping[str, str]] = None,  # noqa: UP045 - evaluated under Python 3.8 too
        json_str: bool = False,  # noqa: FBT001, FBT002 - Azure's own signature
        run_function_failed: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Take a text, bytes, or with `json_str` any value; None is an empty JSON object."""
        is_json = json_str or message is None
        # Flask takes a status with its reason too
        self.status_code = int(status_code.split()[0] if isinstance(status_code, str) else status_code)
        self.headers = Headers({_TYPE: _JSON if is_json else "text/html; charset=utf-8"})
        self._body = b""
        self.set_data(json.dumps({} if message is None else message) if is_json else message)
        given = response_headers or {}
        if not is_json and any(name.lower() == _TYPE.lower() for name in given):
            self.headers.remove(_TYPE)
        self.headers["x-ms-run-function-failed"] = run_function_failed
        for name, value in given.items():
            for one in value.split(","):  # how Azure's has a header several times
                self.headers.add_header(name, one.strip())

    def set_data(self, message: Any) -> None:
        """Take another body: a text, bytes, or what gives some of them."""
        pieces = [message] if isinstance(message, (str, bytes, bytearray, memoryview)) else message
        self._body = b"".join([one.encode() if isinstance(one, str) else bytes(one) for one in pieces])

    def get_data(self, as_text: bool = False) -> Any:  # noqa: FBT001, FBT002 - Flask's own
        """Return the body as bytes, or as text."""
        return self._body.decode() if as_text else self._body

    @property
    def data(self) -> bytes:
        """The body."""
        return self._body

    @data.setter
    def data(self, message: Any) -> None:
        self.set_data(message)

    @property
    def content_type(self) -> Any:
        """What the body is."""
        return self.headers.get(_TYPE)

    @content_type.setter
    def content_type(self, value: str) -> None:
        self.headers[_TYPE] = value

    @property
    def mimetype(self) -> str:
        """What the body is, without parameters."""
        return str(self.content_type or "").partition(";")[0].strip().lower()

    @property
    def json(self) -> Any:
        """The body's values."""
        return json.loads(self._body)
