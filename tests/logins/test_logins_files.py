"""Logins, found where other tools keep them and kept where other tools find them."""

import base64
import json
import stat
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.errors import RegistryError
from lading.core.login import Login
from lading.logins import LoginFiles, helper
from lading.logins.document import canonical

SECRET = "hunter2-registry-password"
HOST = "registry.example.com"


def auth(user, password):
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


class Home:
    """A user's home, with logins wherever a test puts them."""

    def __init__(self, folder):
        self.folder = folder
        self.runtime = folder / "run/containers/auth.json"
        self.config = folder / ".config/containers/auth.json"
        self.docker = folder / ".docker/config.json"
        self.legacy = folder / ".dockercfg"
        self.environ = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run")}
        self.warnings = []

    def write(self, path, document):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    def files(self, **more):
        return LoginFiles({**self.environ, **more}, lambda event: self.warnings.append(event.text))

    def program(self, monkeypatch, name, script):
        """Put a credential helper on PATH; it keeps what it is given beside itself."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        path = folder / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\ncd {folder}\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return folder


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


KEEPER = """
case $1 in
  store) cat > kept ;;
  get) read server; echo $server >> asked
       test -f kept && exec cat kept; echo 'credentials not found in native keychain'; exit 1 ;;
  erase) rm -f kept ;;
esac
"""


def test_files_count_in_the_order_of_the_manual_page(home):
    docker_config, named = home.folder / "other", home.folder / "named.json"
    places = [
        named,
        docker_config / "config.json",
        home.runtime,
        home.config,
        home.docker,
    ]
    home.write(home.legacy, {HOST: auth("legacy", SECRET)})
    assert home.files().find(HOST).username == "legacy"
    for user in reversed(range(5)):
        home.write(places[user], {"auths": {HOST: auth(str(user), SECRET)}})
        more = {"REGISTRY_AUTH_FILE": str(named)} if user == 0 else {}
        if user <= 1:
            more["DOCKER_CONFIG"] = str(docker_config)
        assert home.files(**more).find(HOST) == Login(str(user), SECRET)


def test_a_file_that_does_not_know_the_registry_leads_on_to_the_next(home):
    home.write(home.runtime, {"auths": {"quay.io": auth("a", SECRET)}})
    home.write(home.docker, {"auths": {HOST: auth("b", SECRET)}})
    assert home.files().find(HOST).username == "b"
    assert home.files().find("other.example.com") is None


@pytest.mark.parametrize(
    ("repository", "user"),
    [("team/app/image", "app"), ("team/app", "app"), ("team/other", "team"), ("teams", "all"), ("", "all")],
)
def test_the_longest_namespace_counts(home, repository, user):
    keys = {"quay.io": "all", "quay.io/team": "team", "quay.io/team/app": "app"}
    home.write(home.runtime, {"auths": {key: auth(name, SECRET) for key, name in keys.items()}})
    assert home.files().find("quay.io", repository).username == user


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "index.docker.io/v1/", "docker.io", "registry-1.docker.io"]
)
@pytest.mark.parametrize("asked", ["docker.io", "registry-1.docker.io", "index.docker.io"])
def test_docker_hub_has_several_names(home, key, asked):
    home.write(home.docker, {"auths": {key: auth("anna", SECRET)}})
    assert home.files().find(asked, "library/python").username == "anna"


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v1/", f"http://{HOST}/v2/"])
def test_a_registry_may_stand_as_a_url(home, key):
    home.write(home.docker, {"auths": {key: auth("anna", "a:b:c")}})
    assert home.files().find(HOST) == Login("anna", "a:b:c")


def test_a_port_is_part_of_the_registry(home):
    home.write(home.docker, {"auths": {f"{HOST}:5000": auth("anna", SECRET)}})
    assert home.files().find(HOST) is None
    assert home.files().find(f"{HOST}:5000").username == "anna"


def test_an_identity_token_is_read(home):
    entry = {**auth("anna", ""), "identitytoken": SECRET}
    home.write(home.docker, {"auths": {HOST: entry, "plain.example.com": {"username": "b", "password": "c"}}})
    assert home.files().find(HOST).identity_token == SECRET
    assert home.files().find("plain.example.com") == Login("b", "c")


def malformed():
    yield "{"
    yield "[]"
    yield json.dumps({"auths": [SECRET]})
    yield json.dumps({"auths": {HOST: SECRET}})
    yield json.dumps({"auths": {HOST: {"auth": SECRET}}})
    yield json.dumps({"auths": {HOST: {"auth": base64.b64encode(SECRET.encode()).decode()}}})
    yield json.dumps({"credHelpers": SECRET})
    yield f'{{"auths": {{"{HOST}": {{"auth": "{SECRET}'


@pytest.mark.parametrize("text", [*malformed()])
def test_a_malformed_file_is_named_and_not_quoted(home, text):
    home.write(home.docker, text)
    with pytest.raises(RegistryError) as caught:
        home.files().find(HOST)
    assert str(home.docker) in str(caught.value)
    assert SECRET not in repr(caught.value) + str(caught.value)
    # what led to it would be shown with a traceback
    assert SECRET not in str(caught.value.__cause__) + str(caught.value.__context__)


def test_an_empty_file_knows_nobody(home):
    home.write(home.docker, "")
    assert home.files().find(HOST) is None


def test_what_is_kept_is_found_and_other_entries_stay(home):
    other = {"auths": {"quay.io": auth("a", "b")}, "credsStore": "", "detachKeys": "ctrl-e", "ü": "ü"}
    home.write(home.docker, other)
    assert home.files().keep(HOST, Login("anna", SECRET)) == home.docker
    kept = json.loads(home.docker.read_text())
    assert kept == {**other, "auths": {**other["auths"], HOST: auth("anna", SECRET)}}
    assert stat.S_IMODE(home.docker.stat().st_mode) == 0o600
    assert home.files().find(HOST) == Login("anna", SECRET)
    assert home.files().forget(HOST) == [home.docker]
    assert json.loads(home.docker.read_text()) == other
    assert home.files().forget(HOST) == []
    assert [path.name for path in home.docker.parent.iterdir()] == ["config.json"]


def test_a_first_login_makes_the_file_that_every_tool_reads(home):
    files = home.files()
    assert files.find("docker.io") is None
    assert files.keep("docker.io", Login("", "", SECRET)) == home.docker
    assert list(json.loads(home.docker.read_text())["auths"]) == ["https://index.docker.io/v1/"]
    assert stat.S_IMODE(home.docker.parent.stat().st_mode) == 0o700
    assert files.find("docker.io").identity_token == SECRET


@pytest.mark.parametrize("existing", ["runtime", "config", "docker"])
def test_a_login_goes_to_the_file_that_exists(home, existing):
    path = home.write(getattr(home, existing), {})
    assert home.files().keep(HOST, Login("anna", SECRET)) == path


def test_a_login_replaces_the_one_that_counts(home):
    home.write(home.docker, {})
    home.write(home.config, {"auths": {HOST: auth("old", "old")}})
    assert home.files().keep(HOST, Login("anna", SECRET)) == home.config
    assert home.files().find(HOST).username == "anna"


def test_a_variable_names_the_file(home):
    path = home.folder / "deep/er/auth.json"
    home.write(home.docker, {"auths": {HOST: auth("old", "old")}})
    assert home.files(REGISTRY_AUTH_FILE=str(path)).keep(HOST, Login("anna", SECRET)) == path
    assert home.files(REGISTRY_AUTH_FILE=str(path)).find(HOST).username == "anna"
    assert home.files().find(HOST).username == "old"


def test_a_linked_file_stays_a_link(home):
    target = home.write(home.folder / "dotfiles/config.json", {"a": 1})
    home.docker.parent.mkdir()
    home.docker.symlink_to(target)
    home.files().keep(HOST, Login("anna", SECRET))
    assert home.docker.is_symlink()
    assert HOST in json.loads(target.read_text())["auths"]


def test_logins_at_once_are_all_kept(home):
    home.write(home.docker, {})
    threads = [
        threading.Thread(target=home.files().keep, args=(f"r{n}.example.com", Login("a", "b")))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(json.loads(home.docker.read_text())["auths"]) == 8


@pytest.mark.parametrize("document", [{"credsStore": "keeper"}, {"credHelpers": {HOST: "keeper"}}])
def test_a_helper_keeps_gives_and_forgets(home, monkeypatch, document):
    folder = home.program(monkeypatch, "keeper", KEEPER)
    home.write(home.docker, document)
    files = home.files()
    assert files.find(HOST) is None
    files.keep(HOST, Login("anna", SECRET))
    assert json.loads((folder / "kept").read_text()) == {
        "ServerURL": HOST,
        "Username": "anna",
        "Secret": SECRET,
    }
    assert SECRET not in home.docker.read_text()
    assert files.find(HOST) == files.find(HOST, "team") == Login("anna", SECRET)
    assert files.forget(HOST) == [home.docker]
    assert not (folder / "kept").exists()
    assert files.find(HOST) is None
    assert home.warnings == []


def test_a_helper_is_asked_once_and_by_the_name_docker_uses(home, monkeypatch):
    folder = home.program(monkeypatch, "keeper", KEEPER)
    home.write(home.docker, {"credsStore": "keeper"})
    home.files().keep("docker.io", Login("", "", SECRET))
    files = home.files()
    for repository in ("library/python", "library/debian"):
        assert files.find("registry-1.docker.io", repository) == Login("", "", SECRET)
    assert (folder / "asked").read_text() == "https://index.docker.io/v1/\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "not on PATH"),
        (f"echo {SECRET}; exit 3", "exit status 3"),
        (f"echo {SECRET}", "no JSON"),
        (f"""echo '{{"Username": "{SECRET}"}}'""", "no JSON"),
        ("echo '[1]'", "no JSON"),
        (f"echo {SECRET}; exec sleep 60", "within 1 s"),
    ],
)
def test_a_helper_that_does_not_work_is_told_and_passed_over(home, monkeypatch, script, said):
    monkeypatch.setattr(helper, "_TIMEOUT_S", 1.0)
    if script:
        home.program(monkeypatch, "keeper", script)
    home.write(home.docker, {"credsStore": "keeper", "auths": {"quay.io": auth("anna", SECRET)}})
    files = home.files()
    assert files.find(HOST) is None
    assert files.find("quay.io").username == "anna"
    assert len(home.warnings) == 2
    assert all(said in text and "docker-credential-keeper" in text for text in home.warnings)
    assert SECRET not in str(home.warnings)
    with pytest.raises(RegistryError) as caught:
        helper.store("keeper", HOST, Login("anna", SECRET)) if said != "no JSON" else helper.get(
            "keeper", HOST
        )
    assert SECRET not in f"{caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_a_missing_helper_is_no_hindrance_to_logging_out_elsewhere(home):
    home.write(home.runtime, {"auths": {HOST: auth("anna", SECRET)}})
    home.write(home.docker, {"credsStore": "missing"})
    assert home.files().forget(HOST) == [home.runtime]
    assert home.files().find(HOST) is None
    home.write(home.docker, {"credsStore": "missing", "auths": {HOST: {}}})
    with pytest.raises(RegistryError, match="docker-credential-missing"):
        home.files().forget(HOST)  # what the helper holds would stay


def test_a_helper_is_a_program_on_path_and_no_file_elsewhere(home, monkeypatch):
    folder = home.program(monkeypatch, "keeper", KEEPER)
    home.write(home.docker, {"credsStore": f"x/../../{folder}/docker-credential-keeper"})
    with pytest.raises(RegistryError, match="'credsStore': got 'x/"):
        home.files().find(HOST)


@pytest.mark.parametrize("name", ["../evil", "", 7, ["a"], {"a": "b"}, True])
@pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
def test_what_cannot_be_the_name_of_a_helper_is_refused_with_the_file_and_the_key(home, key, name):
    home.write(home.docker, {key: {HOST: name} if key == "credHelpers" else name})
    if name == "":  # how Docker says: none
        assert home.files().find(HOST) is None
        assert home.warnings == []
        return
    with pytest.raises(RegistryError) as caught:
        home.files().find(HOST)
    assert str(caught.value).startswith(f"{home.docker}: {key!r}: got {name!r}, expected")
    # no matter of a registry that has nothing to do with it
    assert key == "credsStore" or home.files().find("quay.io") is None


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(user=TEXT.filter(lambda text: ":" not in text), password=TEXT)
def test_a_login_comes_back_as_it_was_kept(tmp_path_factory, user, password):
    home = Home(tmp_path_factory.mktemp("home"))
    home.files().keep(HOST, Login(user, password))
    assert home.files().find(HOST) == Login(user, password)


@given(st.sampled_from(["docker.io", HOST, "localhost:5000", "quay.io/team/app"]))
def test_one_form_of_a_name_is_its_own(name):
    assert canonical(canonical(name)) == canonical(name) == name


def test_no_secret_is_shown():
    assert SECRET not in repr(Login("anna", SECRET, SECRET))
