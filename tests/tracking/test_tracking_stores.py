"""The same models of a server, a file of SQLite and a folder, of MLflow 2 and 3: found and told alike."""

import sqlite3

import pytest

from keeping import COMMIT, MODELS, RUNS, Kept, files_of, write, write_folder, write_sqlite
from lading.core.errors import RegistryError, SpecError
from lading.core.tracked import ModelURI, Record
from lading.tracking import OfflineError


@pytest.fixture(params=["folder", "sqlite", "server"])
def kind(request):
    return request.param


@pytest.fixture(params=[2, 3])
def major(request):
    return request.param


@pytest.fixture
def kept(kind, major, asking, serve, tmp_path):
    """Have a store of a kind."""
    if kind == "server":
        return serve(major).kept
    top = tmp_path / "mlruns"
    kept = Kept(major, top.as_uri() if kind == "folder" else str(top), top)
    uri = write_folder(top, kept) if kind == "folder" else write_sqlite(tmp_path / "mlflow.db", kept)
    asking.environ["MLFLOW_TRACKING_URI"] = uri
    return kept


def contents(folder):
    return {
        one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()
    }


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("models:/iris/2", 2),
        ("models:/iris@champion", 2),
        ("models:/iris/latest", 3),
        ("models:/iris/production", 1),
        (f"runs:/{RUNS[1]}/classifier", 2),
        (f"models:/{MODELS[2]}", 3),
    ],
)
def test_every_way_to_name_a_model_leads_to_its_files(kept, major, asking, text, number):
    if major == 2 and text.startswith("models:/m-"):
        with pytest.raises(RegistryError, match="there is no logged model"):
            asking(text)
        return
    found = asking(text)
    assert contents(found.path) == files_of(number)
    record = found.record
    assert (record.asked, record.run_id, record.commit) == (text, RUNS[number - 1], COMMIT)
    assert record.model_id == (MODELS[number - 1] if major == 3 else None)
    assert (record.name, record.version) == (("iris", str(number)) if "iris" in text else (None, None))


def test_what_is_recorded_is_little_and_nothing_secret(kept, kind, asking):
    record = asking("models:/iris@champion").record
    assert record.metrics == {"accuracy": 0.5}, "no number is left out"
    assert record.params == {"C": "1.0"}, "what is called like a secret, or is a path, is left out"
    assert (record.server is None, record.location is None) == ((kind != "server"),) * 2


def test_a_path_below_a_model_or_a_run_is_a_file_or_a_folder(kept, asking):
    assert asking("models:/iris/1/sub/deep.txt").path.read_bytes() == b"deep"
    assert contents(asking("models:/iris@champion/sub").path) == {"deep.txt": b"deep", "empty": b""}
    assert asking(f"runs:/{RUNS[0]}/notes/about this.txt").path.read_bytes() == b"beside"
    assert contents(asking(f"runs:/{RUNS[0]}/classifier/sub").path) == {"deep.txt": b"deep", "empty": b""}


def test_offline_a_store_of_this_machine_is_read_and_no_other(kept, kind, asking):
    asking.offline = True
    if kind == "server":
        with pytest.raises(OfflineError, match="is out of reach offline"):
            asking("models:/iris/1")
    else:
        assert contents(asking("models:/iris/1").path) == files_of(1)


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("models:/iris/9", "'iris' has no version 9", "versions there: 1,"),
        ("models:/iris@chmpion", "'iris' has no alias 'chmpion'", "aliases there: champion"),
        (
            "models:/iris/Staging",
            "no version in the stage 'Staging'",
            "stages with versions there: None, Production",
        ),
        ("models:/irs/1", "no model 'irs' is registered", "did you mean 'iris'?"),
        ("models:/irs@x", "no model 'irs' is registered", "did you mean 'iris'?"),
        ("models:/irs/latest", "no model 'irs' is registered", "did you mean 'iris'?"),
        ("models:/iris", "there is no logged model 'iris'", "models:/iris/VERSION or models:/iris@ALIAS"),
        ("runs:/abc/x", "there is no run 'abc'", "is it kept elsewhere?"),
        ("models:/what is? #this", "there is no logged model 'what is? #this'", ""),
        (f"runs:/{RUNS[0]}/nothing", "", ""),
    ],
)
def test_what_is_not_there_is_told_with_what_is(kept, asking, text, what, fix):
    with pytest.raises(RegistryError) as caught:
        asking(text)
    (issue,) = caught.value.issues
    assert what in issue.what
    assert fix in (issue.fix or "")
    assert "Traceback" not in str(caught.value)


def test_without_a_variable_the_store_that_mlflow_would_find_is_asked(asking, tmp_path):
    with pytest.raises(
        RegistryError, match="no tracking server is named, and there is no store here"
    ) as caught:
        asking("models:/iris/1")
    assert "set MLFLOW_TRACKING_URI" in str(caught.value)
    here = tmp_path / "empty"
    write_sqlite(here / "mlflow.db", Kept(3, str(here / "kept"), here / "kept"))
    assert asking("models:/iris/1").record.model_id == MODELS[0]
    write_folder(here / "mlruns", Kept(2, str(here / "mlruns"), here / "mlruns"))
    assert asking("models:/iris/1").record.model_id is None, "a folder with experiments goes before"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("postgresql://me:hunter2@db/mlflow", "start `mlflow server` on it"),
        ("mysql+pymysql://me:hunter2@db/mlflow", "start `mlflow server` on it"),
        ("databricks", "expected a server's http:// or https:// URL"),
        ("sqlite://", "expected a server's http:// or https:// URL"),
    ],
)
def test_a_store_that_cannot_be_asked_is_refused_without_its_password(asking, uri, said):
    asking.environ["MLFLOW_TRACKING_URI"] = uri
    with pytest.raises(SpecError) as caught:
        asking("models:/iris/1")
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("uri", ["./nowhere", "sqlite:///nowhere.db", "file:///nowhere"])
def test_a_store_that_is_not_there_is_told(asking, uri):
    asking.environ["MLFLOW_TRACKING_URI"] = uri
    with pytest.raises(RegistryError, match="there is no such") as caught:
        asking(f"runs:/{RUNS[0]}/classifier")
    assert "MLFLOW_TRACKING_URI" in str(caught.value)


def test_a_file_that_is_no_store_is_told(asking, tmp_path):
    (tmp_path / "x.db").write_bytes(b"no database at all" * 100)
    asking.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tmp_path}/x.db"
    with pytest.raises(RegistryError, match="cannot be read as a store of MLflow's: file is not a database"):
        asking("models:/iris/1")


def test_a_file_of_sqlite_is_never_written(asking, tmp_path):
    path = tmp_path / "mlflow.db"
    asking.environ["MLFLOW_TRACKING_URI"] = write_sqlite(path, Kept(3, str(tmp_path / "a"), tmp_path / "a"))
    path.chmod(0o444)
    before = path.read_bytes()
    asking("models:/iris/1")
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.glob("mlflow.db*")] == ["mlflow.db"]


def test_a_folder_that_was_moved_with_its_artifacts_is_read_where_it_is(asking, tmp_path):
    for major in (2, 3):
        before = tmp_path / f"before{major}"
        write_folder(before, Kept(major, before.as_uri(), before))
        before.rename(tmp_path / f"after{major}")
        asking.environ["MLFLOW_TRACKING_URI"] = str(tmp_path / f"after{major}")
        assert contents(asking("models:/iris@champion").path) == files_of(2)
        assert contents(asking(f"runs:/{RUNS[2]}/classifier").path) == files_of(3)


def test_a_version_that_is_not_ready_is_not_taken(asking, tmp_path):
    path = tmp_path / "mlflow.db"
    asking.environ["MLFLOW_TRACKING_URI"] = write_sqlite(path, Kept(3, str(tmp_path / "a"), tmp_path / "a"))
    base = sqlite3.connect(path)
    base.execute("UPDATE model_versions SET status = 'PENDING_REGISTRATION' WHERE version = 1")
    base.execute("UPDATE logged_models SET status = 1 WHERE model_id = ?", (MODELS[2],))
    base.commit()
    base.close()
    with pytest.raises(RegistryError, match="is PENDING_REGISTRATION, and not READY"):
        asking("models:/iris/1")
    with pytest.raises(RegistryError, match="is PENDING, and not READY"):
        asking(f"models:/{MODELS[2]}")


def test_a_name_is_no_way_out_of_a_folder(asking, tmp_path):
    top = tmp_path / "mlruns"
    asking.environ["MLFLOW_TRACKING_URI"] = write_folder(top, Kept(2, top.as_uri(), top))
    write(tmp_path / "secret/meta.yaml", {"run_id": "x", "artifact_uri": "/etc"})
    for text in ("runs:/../secret", "models:/../1"):
        with pytest.raises((RegistryError, SpecError)):
            asking(text)


def test_a_registry_of_its_own_is_asked_for_versions_alone(asking, serve, tmp_path):
    keeper = serve(3)
    write_folder(tmp_path / "other", Kept(3, "mlflow-artifacts:", tmp_path / "unused"))
    asking.environ["MLFLOW_REGISTRY_URI"] = str(tmp_path / "other")
    assert asking("models:/iris@champion").record.version == "2"
    assert not [url for url, _ in keeper.asked if "model-versions" in url or "registered-models" in url]


def test_a_record_has_no_credentials_and_a_uri_stays_as_it_was_written():
    assert Record("models:/iris/1").asked == str(ModelURI.parse("models:/iris/1"))
