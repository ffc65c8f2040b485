from __future__ import annotations

import pytest

from lading.core.errors import LockError, RegistryError
from lading.core.spec import Indexes
from lading.lock import resolve, write

SECRET = "hunter2-correct-horse"
CREDENTIALS = f"feed:{SECRET}"


@pytest.fixture
def lock_of(environ, fetch, resolve_base, bring_python):
    def run(question, variables=None, *, offline=False):
        fetch.credentials = CREDENTIALS
        known = {**environ, **(variables or {})}
        return resolve(
            question,
            fetch=fetch,
            resolve_base=resolve_base,
            bring_python=bring_python,
            environ=known,
            offline=offline,
        )

    return run


@pytest.fixture
def private(smith, serve):
    smith.wheel("secretlib", "1.0", size_bytes=1000)
    return serve(credentials=CREDENTIALS)


def written(lock, folder):
    return "".join(path.read_text() for path in write(lock, folder))


def test_credentials_from_variables_do_not_reach_the_lock(private, ask, lock_of, tmp_path):
    variables = {
        "UV_INDEX": f"corp={private.url}",
        "UV_INDEX_CORP_USERNAME": "feed",
        "UV_INDEX_CORP_PASSWORD": SECRET,
        "UV_DEFAULT_INDEX": private.url,
    }
    lock = lock_of(ask("secretlib"), variables)
    (wheel,) = lock.platforms[0].model
    assert wheel.url == f"http://{private.host}/files/{wheel.filename}"
    assert wheel.size_bytes == (private.folder / wheel.filename).stat().st_size
    assert SECRET not in written(lock, tmp_path)


def test_an_index_of_the_spec_takes_credentials_from_variables_by_its_name(private, ask, lock_of):
    variables = {"UV_INDEX_CORP_USERNAME": "feed", "UV_INDEX_CORP_PASSWORD": SECRET}
    lock = lock_of(ask("secretlib", indexes=Indexes(url=f"corp={private.url}")), variables)
    assert lock.platforms[0].model[0].name == "secretlib"


def test_netrc_is_honoured(private, ask, lock_of, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login feed password {SECRET}\n")
    netrc.chmod(0o600)
    lock = lock_of(ask("secretlib", indexes=Indexes(url=private.url)), {"NETRC": str(netrc)})
    assert SECRET not in written(lock, tmp_path)


def test_the_index_of_pips_configuration_is_honoured(private, ask, lock_of, tmp_path):
    path = tmp_path / "pip.conf"
    path.write_text(f"[global]\nindex-url = http://{CREDENTIALS}@{private.host}/simple\n")
    lock = lock_of(ask("secretlib"), {"PIP_CONFIG_FILE": str(path)})
    assert SECRET not in written(lock, tmp_path)


def test_uvs_own_user_configuration_is_honoured(smith, serve, ask, lock_of, tmp_path):
    smith.wheel("lib", "1.0")
    index = serve()
    path = tmp_path / "home/.config/uv/uv.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'[[index]]\nurl = "{index.url}"\ndefault = true\n')
    # pip's word counts only where uv's configuration names no index
    lock = lock_of(ask("lib"), {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"})
    assert lock.platforms[0].model[0].url.startswith(f"http://{index.host}/")


def test_credentials_in_a_requirements_file_do_not_reach_the_lock(private, ask, lock_of, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text(f"--index-url http://feed:${{FEED_TOKEN}}@{private.host}/simple\nsecretlib\n")
    lock = lock_of(ask(requirements_file=path), {"FEED_TOKEN": SECRET})
    assert SECRET not in written(lock, tmp_path)


def test_a_refusal_is_a_registry_error_without_the_secret(private, ask, lock_of):
    variables = {"UV_DEFAULT_INDEX": f"http://feed:wrong-{SECRET}@{private.host}/simple"}
    with pytest.raises(RegistryError) as caught:
        lock_of(ask("secretlib"), variables)
    assert "401" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_index_that_does_not_answer_is_a_registry_error(ask, lock_of):
    with pytest.raises(RegistryError, match="look at the network"):
        lock_of(ask("lib", indexes=Indexes(url="http://127.0.0.1:9/simple")))


def test_a_link_with_a_query_is_refused_for_it_may_be_a_token(smith, serve, ask, lock_of):
    smith.wheel("lib", "1.0")
    index = serve()
    index.query = "?sig=token"
    with pytest.raises(LockError, match="carries a query") as caught:
        lock_of(ask("lib", indexes=Indexes(url=index.url)))
    assert "sig=token" not in str(caught.value)


def test_a_secret_in_a_path_fails_closed(smith, serve, ask, lock_of):
    smith.wheel("lib", "1.0")
    index = serve()
    variables = {"UV_INDEX_CORP_PASSWORD": "lib-1.0-py3"}
    with pytest.raises(LockError, match="a secret would be written"):
        lock_of(ask("lib", indexes=Indexes(url=index.url)), variables)


def test_a_direct_url_with_credentials_is_refused(ask, lock_of):
    with pytest.raises(LockError, match="carries credentials") as caught:
        lock_of(ask(f"lib @ https://{CREDENTIALS}@example.org/lib-1.0-py3-none-any.whl"))
    assert SECRET not in str(caught.value)


def test_the_first_index_that_has_a_name_is_taken(smith, serve, ask, lock_of):
    own = smith.wheel("lib", "1.0")
    index = serve()
    lock = lock_of(ask("lib", indexes=Indexes(url="http://127.0.0.1:9/simple", extra=(index.url,))))
    assert lock.platforms[0].model[0].filename == own.name


def test_a_server_that_does_not_tell_lengths_is_measured_by_download(smith, serve, ask, lock_of, fetch):
    path = smith.wheel("lib", "1.0", size_bytes=500)
    index = serve(tells_length=False)
    lock = lock_of(ask("lib", indexes=Indexes(url=index.url)))
    assert lock.platforms[0].model[0].size_bytes == path.stat().st_size
    assert any(asked.startswith("GET") for asked in fetch.asked)


def test_offline_answers_from_the_cache(smith, serve, ask, lock_of):
    smith.wheel("lib", "1.0")
    index = serve()
    question = ask("lib", indexes=Indexes(url=index.url))
    first = lock_of(question)
    assert lock_of(question, offline=True) == first


def test_offline_without_a_cache_says_so(smith, serve, ask, lock_of):
    smith.wheel("lib", "1.0")
    index = serve()
    with pytest.raises(LockError, match="without --offline"):
        lock_of(ask("lib", indexes=Indexes(url=index.url)), offline=True)
    assert index
