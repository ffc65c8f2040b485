"""What a served package is told by this machine's variables."""

import re
from pathlib import Path

from lading.pipeline.serve import SERVER_SETTINGS, server_settings
from lading_runtime.front.settings import Settings

RUNTIME = Path(__file__).parents[2] / "src" / "lading_runtime"
# where it listens and what it serves is lading's to say
OURS = {"LADING_UDS", "LADING_HOST", "LADING_PORT", "LADING_GRPC_PORT"}


def test_what_is_handed_on_is_a_setting_of_the_server():
    text = "".join(
        (RUNTIME / name).read_text(encoding="utf-8")
        for name in ("log.py", "cores.py", "launch.py", "worker/limit.py")
    )
    fields = {f"LADING_{name.upper()}" for name in Settings._fields if name != "ports"}
    given = {"LADING_BILL", "LADING_MODEL_DIR", "LADING_X_Y"}
    read = set(re.findall(r"LADING_[A-Z_]+", text)) - given
    assert set(SERVER_SETTINGS) <= (fields | read) - OURS


def test_what_is_no_setting_of_the_server_stays_out():
    wanted = {"LADING_REQUEST_TIMEOUT_S": "3", "OTEL_SERVICE_NAME": "a"}
    environ = {**wanted, "LADING_HOME": "/x", "LADING_HOST": "::", "TOKEN": "secret"}
    assert server_settings(environ) == wanted


def test_every_setting_is_documented():
    documented = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
    assert {*SERVER_SETTINGS, *OURS} <= set(re.findall(r"LADING_[A-Z_]+", documented))
