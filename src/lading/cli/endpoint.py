"""`lading endpoint`: one address in front of deployments."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from lading.cli.assets import File, Name, Named, Set
from lading.cli.console import Console, GroupCommon
from lading.core.errors import Issue, SpecError
from lading.pipeline import endpoints
from lading.pipeline.context import Context


def create(
    *,
    file: File = None,
    name: Annotated[str | None, Parameter(alias="-n")] = None,
    auth_mode: str | None = None,
    set_: Set = (),
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(alias="-p")] = 0,
    common: GroupCommon = GroupCommon(),
) -> None:
    """Create an endpoint, or change the one of that name.

    For example:

        lading endpoint create -f endpoint.yml

        lading endpoint create -n my-endpoint --port 9000

    Args:
        name: Its name, in place of the file's.
        auth_mode: key; Azure's tokens are refused.
        host: Address to listen on; default: 127.0.0.1, this machine alone.
        port: Port to listen on; default: any that is free, and the same from then on.
    """
    console, context = begin(common)
    more = [f"auth_mode={auth_mode}"] if auth_mode else []
    given = endpoints.Given(file, (*set_, *more), name)
    _print(console, endpoints.create_endpoint(context, given, host=host, port=port))


def show(*, name: Named, common: GroupCommon = GroupCommon()) -> None:
    """Show an endpoint, its traffic and its deployments.

    For example:

        lading endpoint show -n my-endpoint
    """
    console, context = begin(common)
    _print(console, endpoints.show_endpoint(context, name))


def list_(*, common: GroupCommon = GroupCommon()) -> None:
    """List the endpoints.

    For example:

        lading endpoint list
    """
    console, context = begin(common)
    found = endpoints.look(context)
    rows = [
        (one["name"], one["scoring_uri"], _shares(one["traffic"]), str(len(one["deployments"])))
        for one in found
    ]
    console.table(("NAME", "SCORING URI", "TRAFFIC", "DEPLOYMENTS"), rows, found)


def update(
    *,
    name: Name = None,
    file: File = None,
    traffic: Annotated[str | None, Parameter(alias="-r")] = None,
    mirror_traffic: str | None = None,
    set_: Set = (),
    common: GroupCommon = GroupCommon(),
) -> None:
    """Change an endpoint: its traffic, what is mirrored, its tags.

    For example:

        lading endpoint update -n my-endpoint --traffic "blue=90 green=10"

        lading endpoint update -n my-endpoint --mirror-traffic "green=10"

    Args:
        traffic: Shares in per cent; a deployment that is not named has none.
        mirror_traffic: A deployment and the share, 50 % at most, of which it is sent copies.
    """
    console, context = begin(common)
    found = endpoints.update_endpoint(
        context,
        endpoints.Given(file, set_, name),
        traffic=None if traffic is None else _parse("--traffic", traffic),
        mirror_traffic=None if mirror_traffic is None else _parse("--mirror-traffic", mirror_traffic),
    )
    _print(console, found)


def delete(
    *,
    name: Named,
    yes: Annotated[bool, Parameter(alias="-y", negative="")] = False,
    common: GroupCommon = GroupCommon(),
) -> None:
    """Delete an endpoint and its deployments; what is being answered is.

    For example:

        lading endpoint delete -n my-endpoint --yes

    Args:
        yes: Do not ask first.
    """
    console, context = begin(common)
    confirm(f"endpoint {name!r} and its deployments", yes=yes)
    endpoints.delete_endpoint(context, name)
    console.result(f"deleted {name}", {"deleted": name})


def invoke(
    *,
    name: Named,
    request_file: Annotated[Path, Parameter(alias="-r")],
    deployment_name: Annotated[
        str | None, Parameter(name=["--deployment-name", "--deployment", "-d"])
    ] = None,
    content_type: str = "application/json",
    common: GroupCommon = GroupCommon(),
) -> None:
    """Send a request to an endpoint and print the answer.

    For example:

        lading endpoint invoke -n my-endpoint -r sample-request.json

        lading endpoint invoke -n my-endpoint -r sample-request.json --deployment green

    Args:
        request_file: What to send; - is standard input.
        deployment_name: The deployment that is to answer, whatever its traffic.
        content_type: What the request is; default: application/json.
    """
    _, context = begin(common)
    try:
        body = sys.stdin.buffer.read() if str(request_file) == "-" else request_file.read_bytes()
    except OSError as error:
        raise SpecError(Issue(str(request_file), f"cannot be read: {error.strerror}")) from error
    answer = endpoints.invoke(context, name, body, deployment=deployment_name, content_type=content_type)
    sys.stdout.buffer.write(answer.body + (b"" if answer.body.endswith(b"\n") else b"\n"))
    sys.stdout.buffer.flush()


def get_credentials(*, name: Named, common: GroupCommon = GroupCommon()) -> None:
    """Print the keys of an endpoint, as JSON.

    For example:

        lading endpoint get-credentials -n my-endpoint
    """
    console, context = begin(common)
    found = endpoints.keys(context, name)
    document = {"primaryKey": found["primary"], "secondaryKey": found["secondary"]}
    console.result("\n".join(f"{key}: {value}" for key, value in document.items()), document)


def regenerate_keys(
    *,
    name: Named,
    key_type: Literal["primary", "secondary"] = "primary",
    common: GroupCommon = GroupCommon(),
) -> None:
    """Make a key of an endpoint anew; the one before it opens nothing any more.

    For example:

        lading endpoint regenerate-keys -n my-endpoint --key-type secondary

    Args:
        key_type: primary or secondary; default: primary.
    """
    console, context = begin(common)
    endpoints.regenerate_key(context, name, key_type)
    console.result(f"the {key_type} key of {name} is new", {"name": name, "key_type": key_type})


def up(
    *,
    foreground: Annotated[bool, Parameter(negative="")] = False,
    common: GroupCommon = GroupCommon(),
) -> None:
    """Serve every endpoint that there is: after this machine has been started anew, for one.

    For example:

        lading endpoint up

        lading endpoint up --foreground

    Args:
        foreground: Be the supervisor, for a service manager that keeps it running.
    """
    console, context = begin(common)
    if foreground:
        endpoints.supervise(context)
        return
    found = endpoints.up(context)
    console.result(f"supervisor: process {found['process_id']}", found)


def down(*, common: GroupCommon = GroupCommon()) -> None:
    """End all instances and the supervisor; endpoints stay, and are served again by the next command.

    For example:

        lading endpoint down
    """
    console, context = begin(common)
    was_up = endpoints.down(context)
    console.result("ended" if was_up else "nothing ran", {"ended": was_up})


def confirm(what: str, *, yes: bool) -> None:
    """Ask whether to delete; where nobody can be asked, `yes` must have been said."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise SpecError(Issue("--yes", f"nobody can be asked whether to delete {what}", "give --yes"))
    if input(f"delete {what}? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise SpecError(Issue("--yes", "nothing was deleted"))


def begin(common: GroupCommon, workspace: str | None = None) -> tuple[Console, Context]:
    """Return what prints, and what a command works on."""
    console, settings = Console(common), common.settings()
    if workspace:
        settings = replace(settings, workspace=workspace)
    return console, Context(settings, console.event)


def _parse(option: str, text: str) -> dict[str, int]:
    """Read `blue=90 green=10`."""
    shares = {}
    for word in text.replace(",", " ").split():
        name, _, share = word.partition("=")
        if not share.isdecimal():
            what = f"got {word!r}, expected NAME=PERCENT, such as 'blue=90 green=10'"
            raise SpecError(Issue(option, what))
        shares[name] = int(share)
    return shares


def _shares(shares: dict[str, int]) -> str:
    return " ".join(f"{name}={share}" for name, share in shares.items()) or "none"


def _print(console: Console, found: dict[str, Any]) -> None:
    lines = [f"{found['name']}  {found['scoring_uri']}", f"  traffic   {_shares(found['traffic'])}"]
    if found["mirror_traffic"]:
        lines.append(f"  mirrored  {_shares(found['mirror_traffic'])}")
    if found["trouble"]:
        lines.append(f"  trouble   {found['trouble']}")
    for one in found["deployments"]:
        ready = sum(each["state"] == "ready" for each in one["instances"])
        state = f"{one['provisioning_state']}, {ready} of {one['instance_count']} ready"
        lines.append(f"  {one['name']:<9} {one['environment']}: {state}")
    console.result("\n".join(lines), found)
