"""What `lading run` is told of ports and variables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.errors import SpecError
from lading.pipeline.publish import Published
from lading.pipeline.variables import read as variables

PORTS = st.integers(1, 65535)
HOSTS = st.sampled_from(["127.0.0.1", "0.0.0.0", "[::1]"])


@given(HOSTS, PORTS, PORTS)
def test_a_published_port_reads_as_engines_read_it(host, port, inner):
    whole = Published.parse(f"{host}:{port}:{inner}/tcp")
    assert (whole.host, whole.port, whole.container_port) == (host.strip("[]"), port, inner)
    assert Published.parse(f"{port}:{inner}").host == "0.0.0.0"
    assert Published.parse(f"{host}::{inner}").port == 0
    assert Published.parse(f"{inner}").port == 0


@pytest.mark.parametrize(
    "text", ["", ":", "x", "80:", "0:80", "70000:80", "1.2.3.4:80", "80:80:80:8", "8-:8"]
)
def test_what_is_no_port_is_refused(text):
    with pytest.raises(SpecError, match="9000:8080"):
        Published.parse(text)


def test_variables_are_read_as_engines_read_them(tmp_path):
    path = tmp_path / "env"
    path.write_text("# a comment\n\n  A=1 = one\nB\nC=from the file\n")
    found = variables(["C=given", "D", "E="], [path], {"B": "mine", "D": "mine too", "OTHER": "stays out"})
    assert found == {"A": "1 = one", "B": "mine", "C": "given", "D": "mine too", "E": ""}


def test_every_mistake_is_told_at_once_and_no_value(tmp_path):
    path = tmp_path / "env"
    path.write_text("TOKEN=abc\nMIISECRETPIECE\n")
    with pytest.raises(SpecError) as raised:
        variables(["UNSET", "=x", "A B=hunter2"], [path, tmp_path / "missing"], {})
    text = str(raised.value)
    assert len(raised.value.issues) == 5
    assert "'UNSET' has no value" in text
    assert f"{path}:2" in text
    assert "PIECE" not in text
    assert "hunter2" not in text
