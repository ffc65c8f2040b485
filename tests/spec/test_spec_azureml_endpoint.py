"""Azure ML's endpoint and deployment files: unchanged ones are read, what is wrong is told at its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.endpoint import Probe, RequestSettings
from lading.core.errors import SpecError
from lading.spec.azureml import deployment, endpoint
from lading.spec.azureml.text import dump

ENDPOINT = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: my-endpoint
auth_mode: Key
public_network_access: disabled
identity: {type: system_assigned}
tags: {stage: 1}
traffic: {blue: 90, green: "10"}
mirror_traffic: {green: 10}
"""
DEPLOYMENT = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: my-endpoint
model: {path: ../../model-1/model/}
code_configuration:
  code: ../../model-1/onlinescoring/
  scoring_script: score.py
environment:
  conda_file: ../../model-1/environment/conda.yaml
  image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest
environment_variables: {WORKER_COUNT: 2, DEBUG: True}
instance_type: Standard_DS3_v2
instance_count: 3
app_insights_enabled: true
model_mount_path: /var/models
egress_public_network_access: disabled
scale_settings: {type: target_utilization, polling_interval: 10, target_utilization_percentage: 40,
  min_instances: 1, max_instances: 5}
request_settings: {request_timeout_ms: 3000, max_concurrent_requests_per_instance: 2, max_queue_wait_ms: 100}
liveness_probe: {initial_delay: 1, period: 5, timeout: 3, success_threshold: 1, failure_threshold: 3}
readiness_probe: {failure_threshold: 2}
data_collector:
  collections:
    model_inputs: {enabled: 'True', data: {name: in, path: azureml://datastores/x, version: 1}}
    model_outputs: {enabled: True}
  rolling_rate: Minute
  sampling_rate: 0.5
  request_logging: {capture_headers: [x-a]}
resources: {requests: {cpu: 0.1, memory: 0.5Gi}, limits: {nvidia.com/gpu: 1}}
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "file.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refused(load, path, *overrides):
    with pytest.raises(SpecError) as caught:
        load(path, overrides)
    return [str(one).replace(f"{path}:", "") for one in caught.value.issues]


def test_an_endpoint_of_azure_is_read_and_what_changes_nothing_is_told(file):
    warnings = []
    found = endpoint.load(file(ENDPOINT), events=warnings.append)
    assert found.endpoint().traffic == {"blue": 90, "green": 10}
    assert found.tags == {"stage": "1"}
    told = [one.text.rpartition("file.yml:")[2].split(": ")[:2] for one in warnings]
    assert told == [["5:24", "public_network_access"], ["6:11", "identity"]]


def test_a_deployment_of_azure_is_read_and_what_changes_nothing_is_told(file, tmp_path):
    warnings = []
    found = deployment.load(file(DEPLOYMENT), events=warnings.append)
    assert found.requests == RequestSettings(3000, 2)
    assert found.liveness_probe == Probe(1, 5, 3, 1, 3)
    assert found.readiness_probe == Probe(failure_threshold=2)
    assert found.environment_variables == {"WORKER_COUNT": "2", "DEBUG": "True"}
    assert found.code_configuration.code == str(tmp_path.parents[1] / "model-1" / "onlinescoring")
    assert found.data_collector.collections["model_inputs"].enabled == "true"
    told = {one.text.split(": ")[1] for one in warnings}
    assert told >= {"instance_type", "app_insights_enabled", "scale_settings", "data_collector", "resources"}
    assert "request_settings.max_queue_wait_ms" in told


def test_what_is_not_said_is_as_azure_has_it(file):
    warnings = []
    found = deployment.load(file("name: blue\nendpoint_name: mine\n"), events=warnings.append)
    assert (found.requests, found.instance_count) == (RequestSettings(5000, 1), 1)
    assert found.liveness_probe == found.readiness_probe == Probe(10, 10, 2, 1, 30)
    assert not found.app_insights_enabled
    assert not warnings


@pytest.mark.parametrize(("load", "text"), [(endpoint.load, ENDPOINT), (deployment.load, DEPLOYMENT)])
def test_what_was_read_is_written_back_without_loss(load, text, file):
    found = load(file(text))
    assert load(file(dump(found))) == found


def test_every_mistake_is_told_with_its_place_and_the_way_out(file):
    text = "name: 1endpoint\nauth_mode: keys\ntraffic: {blue: 60, green: 50}\n"
    text += "mirror_traffic: {blue: 51}\nnme: x\n"
    told = refused(endpoint.load, file(text))
    assert any(one.startswith("2:12: auth_mode: got 'keys'") for one in told)
    assert any(one.startswith("3:") and "must sum to less than or equal to 100%" in one for one in told)
    assert any("4:" in one and "got 51 for 'blue', expected 0 to 50" in one for one in told)
    assert any("5:1: nme: unknown key" in one and "'name'" in one for one in told)
    assert any("got '1endpoint'" in one for one in told)
    text = "name: blue\nendpoint_name: mine\nwith_package: true\n"
    text += "request_settings: {request_timeout_ms: 180001}\n"
    told = refused(deployment.load, file(text), "liveness_probe.period=0")
    assert any("with_package: unknown key" in one for one in told)
    assert any("expected 1 to 180000" in one for one in told)
    assert any("--set liveness_probe.period" in one for one in told)


@pytest.mark.parametrize("mode", ["aml_token", "AAD_Token", "amltoken"])
def test_tokens_that_azure_gives_out_are_refused_with_the_way_out(mode, file):
    (told,) = refused(endpoint.load, file(f"name: mine\nauth_mode: {mode}\n"))
    assert "Azure" in told
    assert "--set auth_mode=key" in told


@given(st.text(max_size=40))
def test_a_name_is_taken_exactly_where_azure_takes_it(name):
    is_azures = (
        3 <= len(name) <= 32
        and name.isascii()
        and name[0].isalpha()
        and name[-1] != "-"
        and name.replace("-", "").isalnum()
    )
    assert (endpoint.name_problem(name) is None) == is_azures


def test_what_azure_prints_is_read_and_a_deployment_s_name_may_have_an_underscore(tmp_path):
    printed = "id: azureml:/subscriptions/s\nprovisioning_state: Succeeded\n"
    (tmp_path / "e.yml").write_text(f"name: hello-packages\n{printed}scoring_uri: https://x\nkind: Managed\n")
    assert endpoint.load(tmp_path / "e.yml").name == "hello-packages"
    text = f"name: regular_deployment\nendpoint_name: hello-packages\nenvironment: azureml:e:1\n{printed}"
    (tmp_path / "d.yml").write_text(text)
    assert deployment.load(tmp_path / "d.yml").name == "regular_deployment"
    (tmp_path / "d.yml").write_text(text.replace("regular_", "_"))
    with pytest.raises(SpecError, match="got '_deployment'"):
        deployment.load(tmp_path / "d.yml")
