"""What a served package is told by this machine's variables."""

import re
from pathlib import Path

import pytest

from lading.core.errors import SpecError
from lading.pipeline import handed
from lading.pipeline.context import Context
from lading.pipeline.serving import PLATFORM_SETTINGS, SERVER_SETTINGS, _tell_of_records, server_settings
from lading.settings import Settings as HomeSettings
from lading_runtime.front.settings import Settings

RUNTIME = Path(__file__).parents[2] / "src" / "lading_runtime"
# where it listens and what it serves is lading's to say
OURS = {"LADING_UDS", "LADING_HOST", "LADING_PORT", "LADING_GRPC_PORT", "LADING_GRPC_UDS"}


def test_what_is_handed_on_is_a_setting_of_the_server():
    text = "".join(
        (RUNTIME / name).read_text(encoding="utf-8")
        for name in ("bill.py", "log.py", "cores.py", "launch.py", "worker/limit.py", "front/access.py")
    )
    fields = {f"LADING_{name.upper()}" for name in Settings._fields if name != "ports"}
    given = {"LADING_BILL", "LADING_MODEL_DIR", "LADING_X_Y"}
    read = set(re.findall(r"LADING_[A-Z_]+", text)) - given
    assert set(SERVER_SETTINGS) <= (fields | read) - OURS


def test_what_is_no_setting_of_the_server_stays_out():
    wanted = {"LADING_REQUEST_TIMEOUT_S": "3", "OTEL_SERVICE_NAME": "a", "AIP_PREDICT_ROUTE": "/a"}
    environ = {**wanted, "LADING_HOME": "/x", "LADING_HOST": "::", "TOKEN": "secret"}
    assert server_settings(environ) == wanted


def test_every_setting_of_the_server_is_handed_on():
    fields = {
        f"LADING_{name.upper()}" for name in Settings._fields if name not in {"ports", "package_digest"}
    }
    assert fields - OURS <= {*SERVER_SETTINGS, *handed.FILES}


def test_what_platforms_set_is_read_by_the_server():
    text = "".join(path.read_text(encoding="utf-8") for path in RUNTIME.rglob("*.py"))
    assert [name for name in PLATFORM_SETTINGS if f'"{name}"' not in text] == []


def test_files_of_secrets_are_lent_to_the_sandbox_alone(tmp_path):
    (tmp_path / "token").write_text("hush")
    (tmp_path / "token").chmod(0o600)
    with handed.files({"LADING_TOKEN_FILE": str(tmp_path / "token"), "LADING_TLS_KEY": ""}) as given:
        assert given.env == {"LADING_TOKEN_FILE": "/run/lading/token"}
        (copy,) = given.mounts.values()
        assert copy.read_text() == "hush"
        assert copy.parent.stat().st_mode & 0o077 == 0
    assert not copy.parent.exists()


def test_files_of_secrets_that_are_not_there_are_told_of_all_at_once(tmp_path):
    environ = {"LADING_TOKEN_FILE": str(tmp_path / "none"), "LADING_TLS_CERTIFICATE": str(tmp_path)}
    with pytest.raises(SpecError) as raised, handed.files(environ):
        pass
    assert [one.where for one in raised.value.issues] == ["LADING_TOKEN_FILE", "LADING_TLS_CERTIFICATE"]


@pytest.mark.parametrize(("path", "count"), [("/tmp/records", 1), ("-", 0), ("", 0)])
def test_records_that_go_with_a_sandbox_are_warned_of(tmp_path, path, count):
    told = []
    context = Context(HomeSettings(tmp_path), told.append)
    _tell_of_records(context, {"LADING_INFERENCE_LOG": path})
    assert [one.kind for one in told] == ["warning"] * count


def test_every_setting_is_documented():
    documented = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
    assert {*SERVER_SETTINGS, *OURS} <= set(re.findall(r"LADING_[A-Z_]+", documented))
