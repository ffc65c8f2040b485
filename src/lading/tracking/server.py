"""A tracking server, asked over plain HTTP: MLflow's REST API 2.0, of its versions 2 and 3.

Source: `mlflow/protos/{service,model_registry}.proto`, `mlflow/server/handlers.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

from lading.core.errors import Issue, RegistryError
from lading.core.ports import Event, Events
from lading.http.client import Response, public
from lading.http.patience import Patience
from lading.tracking import access
from lading.tracking.documents import read, table, tables, text
from lading.tracking.kept import COMMIT, READY, Logged, Made, Run, Version
from lading.tracking.made import made

_API = "/api/2.0/mlflow/"
_MOST_BYTES = 16 << 20
_MOST_MODELS, _MOST_PAGES = 50, 20
_FETCHED_S = 300.0
"""How long a server may take until a file begins: it may fetch all of it from a bucket first."""
_NOT_THERE = {"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"}
_UNKNOWN = {"ENDPOINT_NOT_FOUND"}
_STATUSES = {1: "PENDING", 2: READY, 3: "UPLOAD_FAILED"}


class Server:
    """A server that is asked as whoever the variables say; a stranger to any other host."""

    is_local = False

    def __init__(self, url: str, environ: Mapping[str, str], events: Events, *, is_own: bool = True) -> None:
        """Take its URL; nothing is sent yet. One that is not one's `own` is told no credentials."""
        self.base, pair = access.split(url)
        self.name = public(self.base)
        self._authorize = access.authorize(self.base, pair, environ) if is_own else None
        if self._authorize and access.is_overheard(self.base, self._authorize):
            what = f"{self.name} is told who asks without TLS, which whoever is between can read"
            events(Event("model", "warning", what))
        self._client = access.client(environ) if is_own else access.stranger()
        self._patience = Patience("model", events)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def version(self, name: str, version: str) -> Version | None:
        """Find a version of a registered model."""
        asked = {"name": name, "version": version}
        document = self._ask("model-versions/get", asked)
        found = table(document, "model_version")
        if not found:
            return None
        place = text(self._ask("model-versions/get-download-uri", asked), "artifact_uri")
        return _version(found, place)

    def versions(self, name: str) -> Sequence[Version]:
        """List the latest version of each stage; nothing for a model that is not registered."""
        document = self._ask("registered-models/get", {"name": name})
        latest = tables(table(document, "registered_model"), "latest_versions")
        return [_version(one, "") for one in latest]

    def aliases(self, name: str) -> Mapping[str, str]:
        """Tell the version of each alias of a registered model."""
        document = self._ask("registered-models/get", {"name": name})
        found = tables(table(document, "registered_model"), "aliases")
        return {text(one, "alias"): text(one, "version") for one in found}

    def names(self) -> Sequence[str]:
        """List registered models, some of them where there are many."""
        document = self._ask("registered-models/search", {"max_results": "200"})
        return [text(one, "name") for one in tables(document, "registered_models")]

    def run(self, run_id: str) -> Run | None:
        """Find a run."""
        run = table(self._ask("runs/get", {"run_id": run_id}), "run")
        info, data = table(run, "info"), table(run, "data")
        if not info:
            return None
        return Run(run_id, text(info, "experiment_id"), text(info, "artifact_uri"), _made(data))

    def logged(self, model_id: str) -> Logged | None:
        """Find a logged model; a server of MLflow 2 has none."""
        model = table(self._ask(f"logged-models/{quote(model_id, safe='')}", {}), "model")
        return _logged(model) if model else None

    def logged_by(self, run: Run, name: str) -> Logged | None:
        """Find the last model that a run has logged under a name."""
        quote = '"' if "'" in name else "'"
        body: dict[str, Any] = {
            "experiment_ids": [run.experiment_id],
            "filter": f"name = {quote}{name}{quote}",
            "max_results": _MOST_MODELS,
        }
        for _ in range(_MOST_PAGES):  # the latest come first
            document = self._ask("logged-models/search", body, method="POST")
            for one in tables(document, "models"):
                found = _logged(one)
                if (found.run_id, found.name) == (run.run_id, name):
                    return found
            body["page_token"] = text(document, "next_page_token")
            if not body["page_token"]:
                return None
        return None

    def document(self, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        """Ask for a JSON document below the server's own path; None where it says that there is none."""
        url = f"{self.base}{path}?{urlencode(query)}" if query else f"{self.base}{path}"
        return self._patience.persist(url, lambda: self._read("GET", url, None))

    @contextmanager
    def open(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Iterator[Response]:
        """Open a file below the server's own path; RegistryError unless it is there. Transient may pass."""
        url = f"{self.base}{path}?{urlencode(query)}" if query else f"{self.base}{path}"
        with self._client.send(
            "GET", url, headers, authorize=self._authorize, answer_within_s=_FETCHED_S
        ) as response:
            if response.status not in {200, 206, 416}:
                raise _refusal(response, _error(response)[1])
            yield response

    def persist(self) -> Patience:
        """Return how often a request is repeated."""
        return self._patience

    def _ask(self, what: str, asked: Mapping[str, Any], method: str = "GET") -> dict[str, Any]:
        """Ask the API; an empty document where the server says that there is no such thing."""
        url = f"{self.base}{_API}{what}"
        body = json.dumps(asked).encode() if method == "POST" else None
        if body is None and asked:
            url = f"{url}?{urlencode(asked)}"
        return self._patience.persist(url, lambda: self._read(method, url, body)) or {}

    def _read(self, method: str, url: str, body: bytes | None) -> dict[str, Any] | None:
        headers = {"Content-Type": "application/json"} if body else {}
        with self._client.send(method, url, headers, body=body, authorize=self._authorize) as response:
            if response.status != 200:
                code, message = _error(response)
                is_missing = response.status == 404 and (code in _NOT_THERE or code in _UNKNOWN)
                if is_missing or (response.status == 404 and "/logged-models/" in url):
                    return None
                raise _refusal(response, message)
            document = read(response.text(_MOST_BYTES))
            if not isinstance(document, dict):
                fix = "let MLFLOW_TRACKING_URI be the URL that MLflow's pages are at, without what follows #"
                raise RegistryError(
                    Issue(public(response.url), "answers, but not as a tracking server does", fix)
                )
            return document


def _error(response: Response) -> tuple[str, str]:
    """Read MLflow's code and message of a failure."""
    document = read(response.text(_MOST_BYTES))
    if not isinstance(document, dict):
        return "", ""
    return text(document, "error_code"), text(document, "message").partition("\n")[0][:300]


def _refusal(response: Response, message: str) -> RegistryError:
    line = f"{response.line}: {message}" if message else response.line
    if response.status in {401, 403}:
        return access.unauthorised(response.url, line)
    fix = "let MLFLOW_TRACKING_URI be the URL that MLflow's pages are at" if not message else None
    if "%23" in response.url and "invalid path" in message.lower():
        fix = "MLflow's server cuts names at '#': log it again under a name without"
    return RegistryError(Issue(public(response.url), line, fix))


def _version(found: Mapping[str, Any], place: str) -> Version:
    source = text(found, "source")
    of_source = source.removeprefix("models:/") if source.startswith("models:/m-") else None
    return Version(
        text(found, "name"),
        text(found, "version"),
        place or source,
        text(found, "run_id") or None,
        text(found, "model_id") or of_source,
        text(found, "current_stage") or "None",
        text(found, "status") or READY,
    )


def _logged(model: Mapping[str, Any]) -> Logged:
    info, data = table(model, "info"), table(model, "data")
    status = info.get("status")
    return Logged(
        text(info, "model_id"),
        text(info, "name"),
        text(info, "artifact_uri"),
        text(info, "source_run_id") or None,
        _STATUSES.get(status, str(status))
        if isinstance(status, int)
        else text(info, "status").split("_", 2)[-1],
        _made({**data, "tags": tables(info, "tags")}),
    )


def _made(data: Mapping[str, Any]) -> Made:
    tags = {text(one, "key"): text(one, "value") for one in tables(data, "tags")}
    metrics = ((text(one, "key"), one.get("value")) for one in tables(data, "metrics"))
    params = ((text(one, "key"), text(one, "value")) for one in tables(data, "params"))
    return made(tags.get(COMMIT), metrics, params)
