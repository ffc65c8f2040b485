"""Azure ML's endpoint and deployment files go in; what answers requests on this machine comes out."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lading import __version__, deploy
from lading.core import typed
from lading.core.endpoint import PINS, Endpoint, KeyType
from lading.core.errors import DeployError, Issue, RegistryError, SpecError, without_secrets
from lading.core.ports import Event
from lading.pipeline import targets
from lading.pipeline.context import Context
from lading.pipeline.publish import url
from lading.spec.azureml import endpoint as endpoint_file

_ANSWER_S = 200.0
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Given:
    """What a command line says of an endpoint or a deployment: a file, and what goes before it."""

    file: Path | None = None
    overrides: tuple[str, ...] = ()
    name: str | None = None
    endpoint_name: str | None = None
    allow_unsafe: tuple[str, ...] = ()
    """What a model that is packaged first may name."""

    def all(self) -> list[str]:
        """Return every override."""
        named = {"name": self.name, "endpoint_name": self.endpoint_name}
        return [*self.overrides, *(f"{key}={value}" for key, value in named.items() if value is not None)]


def folder(context: Context) -> deploy.Folder:
    """Return where this workspace's endpoints are written down."""
    return deploy.Folder(context.settings.home / "endpoints")


def supervise(context: Context) -> None:
    """Be the supervisor until told to end."""
    deploy.Supervisor(folder(context), targets.all_targets(context), __version__, context.events).run()


def up(context: Context) -> dict[str, Any]:
    """Have a supervisor in the background, of this version of lading; return its process and version."""
    home = folder(context)
    known = deploy.hello(home)
    if known and known["version"] != __version__:
        what = f"the supervisor is lading {known['version']}: it is started anew, and its instances with it"
        context.events(Event("endpoint", "warning", what))
        deploy.end(home)
    argv = [sys.executable, "-m", "lading", "endpoint", "up", "--foreground"]
    return deploy.ensure(home, [*argv, "--home", str(context.settings.home)])


def down(context: Context) -> bool:
    """End the supervisor and all that it runs; what there is stays written down. Tell whether it ran."""
    return deploy.end(folder(context))


def create_endpoint(context: Context, given: Given, *, host: str = _HOST, port: int = 0) -> dict[str, Any]:
    """Create an endpoint, which answers at once, if only that it has no deployment; else change it.

    One that is there keeps its address, its keys and, where the file has none, its traffic.
    """
    found = endpoint_file.load(given.file, given.all(), context.events)
    endpoint = found.endpoint(host, port)
    known = next((one for one in list_endpoints(context) if one["name"] == endpoint.name), None)
    if known is None:
        ask(context, {"do": "create endpoint", "endpoint": typed.to_json(endpoint)})
        return show_endpoint(context, endpoint.name)
    if port and port != known["port"]:
        what = f"listens on port {known['port']} already"
        raise SpecError(Issue(f"endpoint {endpoint.name!r}", what, "delete it, or leave --port away"))
    return _change(context, _with_traffic(endpoint, typed.from_json(Endpoint, known, "endpoint")))


def update_endpoint(
    context: Context,
    given: Given,
    *,
    traffic: Mapping[str, int] | None = None,
    mirror_traffic: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Change an endpoint: what a file or overrides say of it; the rest stays.

    Of `traffic` and `mirror_traffic` all is said: a deployment that is not named has none.
    """
    name = given.name
    if given.file is not None:
        name = endpoint_file.load(given.file, given.all()).name
    before = typed.from_json(Endpoint, show_endpoint(context, _named(name)), "endpoint")
    more = [
        f"{key}={{{', '.join(f'{one}: {share}' for one, share in shares.items())}}}"
        for key, shares in (("traffic", traffic), ("mirror_traffic", mirror_traffic))
        if shares is not None
    ]
    known = endpoint_file.of(before)
    found = endpoint_file.load(given.file, [*given.all(), *more], context.events, known=known)
    return _change(context, _with_traffic(found.endpoint(), before))


def _with_traffic(endpoint: Endpoint, before: Endpoint) -> Endpoint:
    """Keep what is not for a file to say."""
    return replace(
        endpoint,
        host=before.host,
        port=before.port,
        traffic=endpoint.traffic or before.traffic,
        mirror_traffic=endpoint.mirror_traffic or before.mirror_traffic,
    )


def _change(context: Context, endpoint: Endpoint) -> dict[str, Any]:
    ask(context, {"do": "update endpoint", "endpoint": typed.to_json(endpoint)})
    return show_endpoint(context, endpoint.name)


def list_endpoints(context: Context) -> list[dict[str, Any]]:
    """Tell of every endpoint, as it is now; nothing is started where there is none."""
    if not folder(context).has_endpoints() and deploy.hello(folder(context)) is None:
        return []
    found: list[dict[str, Any]] = ask(context, {"do": "state"})
    return [_shown(one) for one in found]


def look(context: Context) -> list[dict[str, Any]]:
    """Tell of every endpoint, and warn of those that are damaged."""
    found = list_endpoints(context)
    for one in damaged(context):
        context.events(Event("endpoint", "warning", str(one)))
    return found


def _shown(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Add what Azure tells of an endpoint."""
    root = url(endpoint["host"], endpoint["port"], "http")
    state = "Failed" if endpoint["trouble"] else "Succeeded"
    uris = {"scoring_uri": f"{root}/score", "openapi_uri": f"{root}/swagger.json"}
    return {**endpoint, **uris, "provisioning_state": state}


def show_endpoint(context: Context, name: str) -> dict[str, Any]:
    """Tell of an endpoint, as it is now; RegistryError where there is none."""
    found = list_endpoints(context)
    for one in found:
        if one["name"] == name:
            return one
    known = ", ".join(one["name"] for one in found) or "none"
    issue = Issue(f"endpoint {name!r}", f"there is no such endpoint; there are: {known}")
    raise RegistryError(issue, *damaged(context))


def damaged(context: Context) -> list[Issue]:
    """List the files of endpoints that cannot be read, so that they are not served."""
    issues: list[Issue] = []
    for _ in folder(context).endpoints(issues.append):
        pass
    return issues


def delete_endpoint(context: Context, name: str) -> None:
    """Delete an endpoint and its deployments; what is being answered is. The last ends the supervisor."""
    if not folder(context).has(name):
        show_endpoint(context, name)
    ask(context, {"do": "delete endpoint", "name": name})
    if not folder(context).has_endpoints():
        down(context)


def keys(context: Context, name: str) -> dict[str, str]:
    """Return an endpoint's keys."""
    show_endpoint(context, name)
    found: dict[str, str] = ask(context, {"do": "keys", "name": name})
    return found


def regenerate_key(context: Context, name: str, key: KeyType) -> None:
    """Make one of the keys anew: the one before it opens nothing from now on."""
    show_endpoint(context, name)
    ask(context, {"do": "new key", "name": name, "key": key})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def invoke(
    context: Context,
    name: str,
    body: bytes,
    *,
    deployment: str | None = None,
    content_type: str = "application/json",
) -> Answer:
    """Send a request to an endpoint; DeployError where it is not answered well, with what there is to do."""
    found = show_endpoint(context, name)
    if found["trouble"]:  # whoever listens there instead is not told a key
        raise DeployError(Issue(f"endpoint {name!r}", found["trouble"], "end what listens there"))
    headers = {"content-type": content_type, "authorization": f"Bearer {keys(context, name)['primary']}"}
    headers |= {PINS: deployment} if deployment else {}
    connection = http.client.HTTPConnection(_near(found["host"]), found["port"], timeout=_ANSWER_S)
    where = f"endpoint {name!r}"
    try:
        connection.request("POST", "/score", body, headers)
        response = connection.getresponse()
        answer = Answer(response.status, response.read(), {k.lower(): v for k, v in response.headers.items()})
    except (OSError, http.client.HTTPException) as error:
        raise DeployError(Issue(where, f"has not answered: {error}")) from error
    finally:
        connection.close()
    if answer.status < 300:
        return answer
    by = answer.headers.get(PINS)
    said = without_secrets(answer.body.decode(errors="replace").strip()[:2000])
    model = answer.headers.get("ms-azureml-model-error-statuscode")
    what = f"answered {answer.status}" + (f" (the model: {model})" if model else "") + f": {said}"
    fix = f"its log: lading deployment get-logs -n {by} -e {name}" if by else None
    raise DeployError(Issue(where, what, fix))


def _near(host: str) -> str:
    """Return where this machine reaches what listens on an address."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - an address, not a bind


def _named(name: str | None) -> str:
    if name is None:
        raise SpecError(Issue("name", "is missing", "give --name NAME, or --file FILE"))
    return name


def ask(context: Context, order: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON value
    """Give the supervisor an order; one that has died is started anew."""
    up(context)
    try:
        return deploy.ask(folder(context).root, order)
    except deploy.SilentError:  # it was on its way out
        up(context)
        return deploy.ask(folder(context).root, order)
