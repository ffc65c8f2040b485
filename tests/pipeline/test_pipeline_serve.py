"""What a served package is told by this machine's variables."""

import re
from pathlib import Path

from lading.pipeline.serve import SERVER_SETTINGS, server_settings

RUNTIME = Path(__file__).parents[2] / "src" / "lading_runtime"
# where it listens and what it serves is lading's to say
OURS = {"LADING_UDS", "LADING_HOST", "LADING_PORT"}


def test_every_setting_of_the_server_is_handed_on_but_where_it_listens():
    text = "".join((RUNTIME / name).read_text(encoding="utf-8") for name in ("front/settings.py", "log.py"))
    assert set(SERVER_SETTINGS) | OURS == set(re.findall(r"LADING_[A-Z_]+", text))


def test_what_is_no_setting_of_the_server_stays_out():
    environ = {"LADING_REQUEST_TIMEOUT_S": "3", "LADING_HOME": "/x", "LADING_HOST": "::", "TOKEN": "secret"}
    assert server_settings(environ) == {"LADING_REQUEST_TIMEOUT_S": "3"}


def test_every_setting_is_documented():
    documented = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
    assert {*SERVER_SETTINGS, *OURS} <= set(re.findall(r"LADING_[A-Z_]+", documented))
