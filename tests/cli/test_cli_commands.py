"""The command line: help, documents, exit statuses, and what is said to people and to programs."""

import io
import json
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from lading.cli.main import COMMANDS, GROUPS, build
from models import write_iris
from running import LADING, Lading

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare(tmp_path):
    """A lading with an empty home."""
    return Lading(tmp_path / "home")


def test_every_command_has_a_file_and_every_file_a_command():
    files = {path.stem for path in (ROOT / "src/lading/cli").glob("*.py")}
    shared = {"__init__", "assets", "console", "main", "options", "verbs"}
    assert files - shared == {*COMMANDS, *(name.replace("-", "_") for name in GROUPS)}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_examples(bare, name):
    said = bare(name, "--help")
    assert "For example:" in said
    assert f"lading {name}" in said


def test_the_help_of_every_verb_has_examples():
    for group, (_, verbs) in GROUPS.items():
        for verb in verbs:
            out = io.StringIO()
            build(group, verb).help_print([group, verb], console=Console(file=out, width=100))
            said = out.getvalue()
            assert "For example:" in said, (group, verb)
            assert f"lading {group} {verb}" in said


def test_the_generated_pages_are_the_commands_own_help(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["generate.py", str(tmp_path)])
    runpy.run_path(str(ROOT / "docs/generate.py"), run_name="__main__")
    for page in ("commands.md", "spec.md"):
        assert (tmp_path / page).read_text() == (ROOT / "docs" / page).read_text(), "run scripts/fix"


def test_what_the_readme_calls_exists():
    text = (ROOT / "README.md").read_text()
    called = set(re.findall(r"^\$ lading (\w+)", text, re.MULTILINE)) | set(
        re.findall(r"`lading (\w+)", text)
    )
    assert called <= {*COMMANDS, *GROUPS}
    for script in re.findall(r"^\$ (scripts/\w+)", text, re.MULTILINE):
        assert (ROOT / script).is_file()
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / link).exists(), link


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["pakc"], 2, "pack"),
        (["pack", "--bogus"], 2, "--bogus"),
        (["pack"], 2, "lading.yaml"),
        (["pack", "/nowhere/model.pkl"], 3, "/nowhere/model.pkl"),
        (["pack", "model.pkl", "-t", "No Name"], 2, "No Name"),
        (["pack", "model.pkl", "--platform", "vax"], 2, "linux/amd64"),
        (["show", "nope:1"], 8, "is not in the store"),
        (["verify", "nope:1"], 8, "is not in the store"),
        (["serve", "nope:1"], 8, "is not in the store"),
        (["run", "nope:1"], 8, "is not in the store"),
        (["tag", "nope:1", "other:1"], 8, "is not in the store"),
        (["untag", "nope:1"], 8, "is not in the store"),
        (["rm", "nope:1"], 8, "is not in the store"),
        (["export", "nope:1", "x.tar"], 8, "is not in the store"),
        (["inspect", "empty.pkl"], 3, "empty"),
    ],
)
def test_a_mistake_has_its_status_and_its_words(bare, tmp_path, arguments, status, said):
    (tmp_path / "empty.pkl").write_bytes(b"")
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04N.")
    assert said in bare.fails(status, *arguments, cwd=tmp_path)


def test_an_unknown_key_of_the_configuration_is_told(bare, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('debian_miror = "x"\n')
    said = bare.fails(2, "list", env={"LADING_CONFIG": str(config)})
    assert "debian_miror: unknown key" in said
    assert "debian_mirror" in said


def test_init_writes_a_spec_that_packs_and_never_over_another(bare, tmp_path):
    folder = write_iris(tmp_path / "iris")
    (folder / "lading.yaml").unlink()
    assert bare("init", "model.joblib", cwd=folder).strip() == "lading.yaml"
    assert "is there already" in bare.fails(2, "init", "model.joblib", cwd=folder)
    bare("init", "model.joblib", "--force", cwd=folder)
    assert json.loads(bare("inspect", "--json", cwd=folder))["format"] == "sklearn"


def test_the_schema_is_json(bare):
    assert json.loads(bare("schema"))["title"] == "lading.yaml"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(bare, shell):
    said = bare("completion", shell)
    assert all(name in said for name in (*COMMANDS, *GROUPS))


def test_the_bash_completion_is_bash(bare, tmp_path):
    script = tmp_path / "completion.bash"
    script.write_text(bare("completion", "bash"))
    subprocess.run(["bash", "-n", script], check=True)


def test_an_empty_store_lists_nothing(bare):
    assert bare.json("list") == []
    assert bare.json("gc")["bytes"] == 0


def test_output_into_a_closed_pipe_is_no_defect(bare):
    command = f"{' '.join(LADING)} schema | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, env=bare.env)
    assert done.stdout.strip() == "{"
    assert not done.stderr


def test_inspect_tells_what_a_model_needs(bare, tmp_path):
    import sklearn

    facts = json.loads(bare("inspect", str(write_iris(tmp_path / "iris") / "model.joblib"), "--json"))
    assert facts["framework_version"] == sklearn.__version__
    assert facts["flavour"] == "sklearn LogisticRegression"
    assert f"scikit-learn=={sklearn.__version__}" in [one["text"] for one in facts["requirements"]]


def test_a_program_gets_the_issues_as_json(bare):
    done = bare.run("show", "nope:1", "--json")
    error = json.loads(done.stdout)
    assert (error["error"], error["exit_status"], done.returncode) == ("RegistryError", 8, 8)
    assert error["issues"][0]["what"] == "is not in the store"


def test_an_interrupt_is_told_in_one_line_and_has_its_status(bare, tmp_path):
    folder = write_iris(tmp_path / "iris")
    process = subprocess.Popen(
        [*LADING, "pack", folder, "-t", "iris:1"],
        env=bare.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "inspect" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "interrupted; what was built is kept"


def test_output_that_cannot_be_written_is_no_defect(bare):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*LADING, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, env=bare.env, check=False
        )
    assert done.returncode == 8
    assert "No space left on device" in done.stderr
    assert "defect" not in done.stderr


def test_a_terminal_without_arrows_gets_question_marks(bare, tmp_path):
    model = write_iris(tmp_path / "iris") / "model.joblib"
    said = bare("inspect", model, env={"PYTHONIOENCODING": "ascii"})
    assert "4 columns ? 1" in said


def test_a_damaged_lock_is_told_before_it_is_made_anew(lading, tmp_path):
    folder = write_iris(tmp_path / "iris")
    lading("lock", folder)
    pylock = folder / "pylock.toml"
    pylock.write_text(pylock.read_text().replace("sha256", "sha265"))
    assert "warning" in lading.run("lock", folder).stderr
    assert "warning" not in lading.run("lock", folder).stderr
