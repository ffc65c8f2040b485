"""A connection's YAML, as `az ml connection create -f` takes it."""

from __future__ import annotations

import pytest

from lading.core.errors import SpecError
from lading.spec.azureml import connection

SECRET = "hunter2-correct-horse"
FEED = """\
$schema: https://azuremlschemas.azureedge.net/latest/workspaceConnection.schema.json
name: test_ws_conn_python_pat
type: python_feed
target: https://pkgs.dev.azure.com/me/_packaging/feed/pypi/simple/
credentials:
  type: pat
  pat: {pat}
"""


@pytest.fixture
def parse(tmp_path):
    def run(text, *overrides):
        return connection.parse(text, tmp_path / "connection.yml", overrides)

    return run


def issues(parse, text, *overrides):
    with pytest.raises(SpecError) as caught:
        parse(text, *overrides)
    assert SECRET not in str(caught.value)
    return [str(one).partition("connection.yml:")[2] or str(one) for one in caught.value.issues]


def test_azures_own_file_is_read_and_its_secret_kept_apart(parse):
    draft = parse(FEED.format(pat=SECRET))
    assert draft.secret == SECRET
    assert draft.connection.type == "python_feed"
    assert (draft.connection.credentials, draft.connection.user) == ("pat", "__token__")
    assert SECRET not in repr(draft)


@pytest.mark.parametrize(
    "text",
    [
        "${FEED_PAT}",
        "${{FEED_PAT}}",
        "${{ env.FEED_PAT }}",
        "'${{FEED_PAT}}'",
        "'${{ env.FEED_PAT }}'",
        "'${env:FEED_PAT}'",
    ],
)
def test_a_variable_stands_for_a_secret(parse, text):
    draft = parse(FEED.format(pat=text))
    assert (draft.secret, draft.connection.variable, draft.connection.kept) == (
        None,
        "FEED_PAT",
        "environment",
    )


def test_dumping_and_loading_agree(parse):
    text = FEED.format(pat="${FEED_PAT}") + "description: ours\ntags: {team: a}\nmetadata: {k: v}\n"
    made = parse(text).connection
    assert parse(connection.dump(made)).connection == made


def test_a_user_and_password(parse):
    draft = parse(
        "name: r\ntype: container_registry\ntarget: registry.example.com\n"
        f"credentials: {{type: username_password, username: anna, password: {SECRET}}}\n"
    )
    assert (draft.connection.user, draft.secret) == ("anna", SECRET)


def test_a_public_feed_needs_nobody(parse):
    assert parse("name: p\ntype: python_feed\ntarget: https://feed.example/simple\n").secret is None


def test_overrides_come_before_validation(parse):
    draft = parse(FEED.format(pat=SECRET), "name=other", "credentials.pat=${PAT}")
    assert (draft.connection.name, draft.connection.variable, draft.secret) == ("other", "PAT", None)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("managed_identity", "is an identity that Azure gives to its own machines"),
        ("service_principal", "Microsoft Entra"),
        ("sas", "is for Azure's storage"),
    ],
)
def test_what_cannot_be_done_here_is_refused_with_a_reason(parse, kind, reason):
    (told,) = issues(parse, FEED.replace("type: pat\n  pat: {pat}", f"type: {kind}"))
    assert reason in told
    assert told.startswith("6:")
    assert "username_password" in told


def test_a_kind_of_connection_that_nothing_is_had_by_is_refused(parse):
    (told,) = issues(parse, FEED.replace("python_feed", "snowflake").format(pat=SECRET))
    assert "nothing is had by 'snowflake' here, expected one of python_feed, git, container_registry" in told


@pytest.mark.parametrize(
    "text",
    [
        FEED.format(pat=f"{{a: {SECRET}}}"),
        FEED.format(pat=f"[{SECRET}]"),
        f"name: x\ntype: python_feed\ntarget: https://feed.example\ncredentials: {SECRET}\n",
        f"name: x\ntype: git\ntarget: https://feed.example\ncredentials: {{type: pat, pta: {SECRET}}}\n",
        f"name: x\ntype: python_feed\ntarget: https://me:{SECRET}@feed.example/simple\n",
        f"name: x\ntype: python_feed\ntarget: https://feed.example\ncredentials: {{type: {SECRET}}}\n",
    ],
)
def test_no_message_has_the_secret(parse, text):
    assert issues(parse, text)


def test_everything_that_is_wrong_is_told_at_once(parse):
    told = issues(parse, "name: a b\ntype: git\ntarget: feed\ncredentials: {type: username_password}\n")
    assert len(told) == 4
