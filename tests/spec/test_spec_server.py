import pytest

from lading.core.errors import SpecError
from lading.core.spec import Route, ServerSettings
from lading.spec import parse


def read(text, tmp_path):
    return parse(text, tmp_path / "lading.yaml")


def test_a_server_may_be_a_name_alone(tmp_path):
    found = read("server: azureml_online\n", tmp_path)
    assert (found.server, found.server_settings) == ("azureml_online", ServerSettings())


def test_a_server_may_be_asked_for_more(tmp_path):
    text = """\
server:
  type: azureml_online
  version: 1.4.1
  model_name: iris
  model_version: 3
  model_mount_path: /models/
  scoring_route: {port: 5001, path: /score}
  configuration: {workers: 2}
"""
    found = read(text, tmp_path)
    assert found.server == "azureml_online"
    assert found.server_settings == ServerSettings(
        version="1.4.1",
        model_name="iris",
        model_version="3",
        model_mount_path="/models",
        scoring=Route(5001, "/score"),
        configuration={"workers": "2"},
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{type: azureml}", "server.type: got 'azureml', expected"),
        ("{tipe: lading}", "server.tipe: unknown key"),
        ("{model_mount_path: models}", "server.model_mount_path: got 'models', expected an absolute path"),
        ("{model_mount_path: /a/../b}", "server.model_mount_path: got '/a/../b', expected an absolute path"),
        ("{model_name: a/b}", "server.model_name: got 'a/b', expected a name without a slash"),
        ("{scoring_route: {port: 0, path: x}}", "server.scoring_route.port: got 0, expected 1 to 65535"),
        ("{scoring_route: {port: 1, path: x}}", "server.scoring_route.path: got 'x', expected a path that"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(text, message, tmp_path):
    with pytest.raises(SpecError) as caught:
        read(f"name: iris\nserver: {text}\n", tmp_path)
    assert message in str(caught.value)
    assert "lading.yaml:2:" in str(caught.value)
