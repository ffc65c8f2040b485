"""`rawhttp`, and the request that it asks for: what Flask's has that scoring scripts use, without Flask."""

# a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import functools
import io
import json
import urllib.parse
from typing import Any, Optional, TypeVar

from lading_runtime.azureml import forms
from lading_runtime.azureml.values import Headers, MultiDict

_Function = TypeVar("_Function")
_rawHttpRequested = False  # noqa: N816 - as Azure's own module has it
_JSON = "application/json"


def rawhttp(function: _Function) -> _Function:
    """Have `run` called with the request itself."""
    global _rawHttpRequested  # noqa: PLW0603 - it is one switch of the process
    _rawHttpRequested = True
    return function


class BadRequest(Exception):  # noqa: N818 - Werkzeug's name of it
    """The body is none that was asked for; not caught, it is the script's failure, as with Azure's server."""


class AMLRequest:
    """A request. What is not a method is read when it is asked for, and once."""

    def __init__(self, method: str, target: str, headers: Headers, body: bytes = b"") -> None:
        """Take the parts; `target` is the path with its query, as it was sent."""
        self.method = method
        self.headers = headers
        path, _, query = target.partition("?")
        self.path = urllib.parse.unquote(path)
        self.query_string = query.encode("latin-1")
        self.scheme = headers.get("X-Forwarded-Proto", "http")
        self.is_secure = self.scheme == "https"
        self.host = headers.get("Host", "localhost")
        self.remote_addr: Optional[str] = None  # noqa: UP045 - evaluated under Python 3.8 too
        self.content_type: Optional[str] = headers.get("Content-Type")  # noqa: UP045
        self.mimetype = (self.content_type or "").partition(";")[0].strip().lower()
        self.mimetype_params = forms.parameters(self.content_type or "")
        self.content_encoding: Optional[str] = headers.get("Content-Encoding")  # noqa: UP045
        self.content_length: Optional[int] = headers.get("Content-Length", type=int)  # noqa: UP045
        self.user_agent: str = headers.get("User-Agent", "")
        self.referrer: Optional[str] = headers.get("Referer")  # noqa: UP045
        self.root_path = self.script_root = ""
        self.is_json = self.mimetype == _JSON or (
            self.mimetype.startswith("application/") and self.mimetype.endswith("+json")
        )
        self._unread = body
        self._read: Optional[bytes] = None  # noqa: UP045

    def __repr__(self) -> str:
        """Print what it asks for."""
        return f"<Request {self.url!r} [{self.method}]>"

    @property
    def full_path(self) -> str:
        """The path with its query."""
        return f"{self.path}?{self.query_string.decode('latin-1')}"

    @property
    def host_url(self) -> str:
        """Where the server is."""
        return f"{self.scheme}://{self.host}/"

    url_root = root_url = host_url

    @property
    def base_url(self) -> str:
        """The URL without its query."""
        return self.host_url + self.path.lstrip("/")

    @property
    def url(self) -> str:
        """The whole URL."""
        query = self.query_string.decode("latin-1")
        return self.base_url + (f"?{query}" if query else "")

    @functools.cached_property
    def args(self) -> MultiDict:
        """The query."""
        query = self.query_string.decode("latin-1")
        return MultiDict(urllib.parse.parse_qsl(query, keep_blank_values=True))

    @functools.cached_property
    def _form(self) -> tuple[MultiDict, MultiDict]:
        if self.mimetype not in forms.KINDS:
            return MultiDict(), MultiDict()
        body = self._unread if self._read is None else self._read
        self._unread = b""  # as where it is read once, from a socket
        return forms.parse(body, self.content_type or "")

    @property
    def form(self) -> MultiDict:
        """The fields of a form."""
        return self._form[0]

    @property
    def files(self) -> MultiDict:
        """The files of a form."""
        return self._form[1]

    @functools.cached_property
    def values(self) -> MultiDict:
        """The query and, of a request with a body, the form's fields."""
        sources = (self.args, self.form) if self.method in {"POST", "PUT", "PATCH"} else (self.args,)
        return MultiDict((name, one) for each in sources for name, many in each.lists() for one in many)

    @functools.cached_property
    def cookies(self) -> MultiDict:
        """The cookies."""
        pairs = (one.partition("=") for one in self.headers.get("Cookie", "").replace(", ", "; ").split(";"))
        return MultiDict((name.strip(), value.strip().strip('"')) for name, found, value in pairs if found)

    @functools.cached_property
    def stream(self) -> io.BytesIO:
        """The body, as an open file."""
        return io.BytesIO(self._unread if self._read is None else self._read)

    @property
    def data(self) -> bytes:
        """The body; of a form nothing, unless `get_data` has read it before, as with Flask."""
        return bytes(self.get_data(parse_form_data=True))

    def get_data(
        self,
        cache: bool = True,  # noqa: FBT001, FBT002 - Flask's own signature
        as_text: bool = False,  # noqa: FBT001, FBT002
        parse_form_data: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Return the body as bytes, or as text; what has been read as a form before is not in it."""
        body = self._read
        if body is None:
            if parse_form_data:
                _ = self._form
            body, self._unread = self._unread, b""
            if cache:
                self._read = body
        return body.decode(errors="replace") if as_text else body

    @property
    def json(self) -> Any:
        """The parsed body, which has to say that it is JSON."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: FBT001, FBT002
        """Return the parsed body; `force`: whatever it is said to be; `silent`: None for what is none."""
        if not (force or self.is_json):
            if silent:
                return None
            raise BadRequest(
                "415 Unsupported Media Type: Did not attempt to load JSON data because the request "
                "Content-Type was not 'application/json'."
            )
        try:
            return json.loads(self.get_data(cache=cache))
        except ValueError as error:
            if silent:
                return None
            raise BadRequest(f"400 Bad Request: Failed to decode JSON object: {error}") from error
