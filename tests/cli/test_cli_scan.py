"""`lading inspect --scan`: findings, exit statuses, SARIF, JSON, and a policy's mistakes."""

import json
import os
import pickle

import pytest

from lading.cli.main import main


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.fixture
def folder(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    (models / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    (models / "fine.pkl").write_bytes(pickle.dumps({"a": 1}))
    return models


def test_findings_are_told_and_fail(folder, capsys):
    assert main(["inspect", str(folder), "--scan", "--second-opinion"]) == 3
    printed = capsys.readouterr().out
    assert "error: evil.pkl:" in printed
    assert "posix.system" in printed
    assert printed.endswith("1 finding in 2 files\n")
    assert main(["inspect", str(folder / "fine.pkl"), "--scan"]) == 0
    assert capsys.readouterr().out == "nothing found in 1 file\n"


def test_json_and_sarif_hold_the_same(folder, tmp_path, capsys):
    assert main(["inspect", str(folder), "--scan", "--json", "--sarif", str(tmp_path / "out.sarif")]) == 3
    document = json.loads(capsys.readouterr().out)
    (finding,) = document["findings"]
    assert finding["name"] == "posix.system"
    assert finding["digest"].startswith("sha256:")
    run = json.loads((tmp_path / "out.sarif").read_text())["runs"][0]
    (result,) = run["results"]
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == finding["rule"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "evil.pkl"
    assert main(["inspect", str(folder), "--scan", "--sarif", "-"]) == 3
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"


def test_a_policy_lets_pass_and_its_mistakes_are_told(folder, tmp_path, capsys):
    policy = tmp_path / "policy.yaml"
    policy.write_text("allow:\n  globals: [posix.system]\n")
    assert main(["inspect", str(folder), "--scan", "--policy", str(policy)]) == 0
    assert capsys.readouterr().out == "nothing found in 2 files, 1 allowed by the policy\n"
    policy.write_text("allow:\n  globals: ['os system']\n  digests: [sha256:1]\ndney: {}\n")
    assert main(["inspect", str(folder), "--scan", "--policy", str(policy)]) == 2
    told = capsys.readouterr().err
    assert "os system" in told
    assert "policy.yaml:3" in told
    assert "did you mean 'deny'" in told


def test_how_to_scan_is_nothing_without_scanning(folder, capsys):
    assert main(["inspect", str(folder), "--policy", "x.yaml", "--second-opinion"]) == 2
    told = capsys.readouterr().err
    assert "--policy" in told
    assert "--second-opinion" in told
    assert "add --scan" in told
