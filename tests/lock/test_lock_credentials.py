from __future__ import annotations

import os

import pytest

from lading.core.errors import LockError
from lading.core.spec import Indexes
from lading.lock import credentials, indexes


def test_secrets_are_found_in_variables_urls_and_netrc(tmp_path):
    (tmp_path / ".netrc").write_text("machine h login me password netrc-word\n")
    environ = {
        "HOME": str(tmp_path),
        "UV_INDEX_CORP_PASSWORD": "variable-word",
        "HTTPS_PROXY": "http://me:proxy-word@proxy:3128",
        "PIP_INDEX_URL": "https://lonely-token@h/simple",
        "OTHER": "https://h/simple",
    }
    found = credentials.known(environ, ["index-url = https://me:file%2Fword@h/simple"])
    assert found == {"variable-word", "proxy-word", "lonely-token", "netrc-word", "file%2Fword", "file/word"}


def test_secrets_are_blotted_out():
    text = "cannot fetch https://me:word1234@h/simple with word1234, see mytestfile and test"
    assert credentials.redact(text, {"word1234", "test"}) == (
        "cannot fetch https://***@h/simple with ***, see mytestfile and ***"
    )


@pytest.mark.parametrize(
    ("text", "occurs"),
    [
        ("https://h/word1234/x.whl", True),
        ("xword1234x", True),
        ("https://me@h/x.whl", True),
        ("pytest-1.0.whl", False),
        ("test-1.0.whl", True),
        ("file:///home/me@work/x.whl", False),
        ("lib @ https://h/x.whl", False),
    ],
)
def test_a_secret_is_noticed_where_it_stands(text, occurs):
    assert credentials.occurs(text, {"word1234", "test"}) is occurs


@pytest.mark.parametrize("url", ["https://u:p@h/x.whl", "https://token@h/x.whl", "https://h/x.whl?sig=1"])
def test_a_url_that_carries_something_is_refused(url):
    with pytest.raises(LockError) as caught:
        credentials.clean(url, "package 'x'")
    assert "'https://h/x.whl'" in str(caught.value)


def test_a_fragment_is_taken_off():
    assert credentials.clean("https://h/x.whl#sha256=1", "x") == "https://h/x.whl"


def machine(tmp_path, **more):
    return {
        "HOME": str(tmp_path),
        "XDG_CONFIG_DIRS": str(tmp_path / "xdg"),
        "PIP_CONFIG_FILE": os.devnull,
        **more,
    }


def test_the_index_of_the_spec_wins(tmp_path):
    environ = machine(tmp_path, PIP_INDEX_URL="https://pip/simple", UV_INDEX="corp=https://corp/simple")
    found = indexes.settings(Indexes("https://spec/simple", ("https://extra/simple",)), environ)
    assert found.variables == {
        "UV_DEFAULT_INDEX": "https://spec/simple",
        "UV_INDEX": "https://extra/simple corp=https://corp/simple",
    }


def test_pips_configuration_counts_where_nothing_else_is_said(tmp_path):
    environ = machine(tmp_path, PIP_INDEX_URL="https://pip/simple", PIP_FIND_LINKS="/a,b /c")
    found = indexes.settings(Indexes(), environ)
    assert found.variables == {
        "UV_DEFAULT_INDEX": "https://pip/simple",
        "UV_FIND_LINKS": "file:///a%2Cb,file:///c",
    }


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_FIND_LINKS"])
def test_pips_configuration_does_not_count_beside_uvs_variables(tmp_path, name):
    environ = machine(tmp_path, PIP_INDEX_URL="https://pip/simple", **{name: "https://uv/simple"})
    assert indexes.settings(Indexes(), environ).variables == {}


def test_pips_files_are_read_in_pips_order(tmp_path):
    for folder, url in (("xdg/pip", "system"), (".pip", "old"), (".config/pip", "user")):
        path = tmp_path / folder / "pip.conf"
        path.parent.mkdir(parents=True)
        path.write_text(f"[global]\nindex_url = https://{url}/simple\nno-index = false\n")
    environ = machine(tmp_path)
    del environ["PIP_CONFIG_FILE"]
    assert indexes.pip_places(environ).url == "https://user/simple"
    assert (
        indexes.pip_places({**environ, "PIP_INDEX_URL": "https://variable/simple"}).url
        == "https://variable/simple"
    )
    assert indexes.pip_places({**environ, "PIP_CONFIG_FILE": os.devnull}).url is None


def test_a_broken_configuration_of_pip_is_passed_over(tmp_path):
    path = tmp_path / "pip.conf"
    path.write_text("no section = here\n")
    assert indexes.pip_places(machine(tmp_path, PIP_CONFIG_FILE=str(path))).url is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('index-url = "https://h/simple"', True),
        ('[pip]\nfind-links = ["/x"]', True),
        ('[[index]]\nurl = "https://h/simple"', True),
        ("offline = false", False),
        ("broken", True),
    ],
)
def test_uvs_own_files_are_looked_at(tmp_path, text, names):
    path = tmp_path / ".config/uv/uv.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert indexes.uv_names_places(machine(tmp_path)) is names
    assert not indexes.uv_names_places(machine(tmp_path, UV_NO_CONFIG="1"))
