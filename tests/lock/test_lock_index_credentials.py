"""Who the downloads are, on which host."""

import pytest

from lading.core.spec import Indexes
from lading.lock.index_credentials import by_host


@pytest.fixture
def environ(tmp_path):
    return {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}


def test_an_index_of_the_spec_has_the_credentials_of_its_name(environ):
    environ |= {"UV_INDEX_MY_FEED_USERNAME": "me", "UV_INDEX_MY_FEED_PASSWORD": "secret"}
    indexes = Indexes(
        extra=("my-feed=https://packages.example.com:8443/simple", "https://other.example.com/simple")
    )
    assert by_host(indexes, environ) == {"packages.example.com:8443": ("me", "secret")}


def test_credentials_in_a_variables_url_belong_to_its_host(environ):
    environ["UV_INDEX"] = "https://me:p%40ss@one.example.com/simple two=https://two.example.com/simple"
    environ["UV_INDEX_TWO_PASSWORD"] = "token"
    assert by_host(Indexes(), environ) == {
        "one.example.com": ("me", "p@ss"),
        "two.example.com": ("", "token"),
    }


def test_uvs_own_file_names_indexes_too(environ, tmp_path):
    (tmp_path / "uv.toml").write_text('[[index]]\nname = "corp"\nurl = "https://corp.example.com/simple"\n')
    environ |= {"UV_CONFIG_FILE": str(tmp_path / "uv.toml"), "UV_INDEX_CORP_USERNAME": "me"}
    assert by_host(Indexes(), environ) == {"corp.example.com": ("me", "")}


def test_a_keyring_is_asked_where_uv_asks_it(environ, tmp_path, monkeypatch):
    program = tmp_path / "keyring"
    program.write_text('#!/bin/sh\n[ "$2 $3" = "corp.example.com me" ] && echo secret\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    environ |= {"UV_INDEX_CORP_USERNAME": "me", "UV_KEYRING_PROVIDER": "subprocess"}
    indexes = Indexes(url="corp=https://corp.example.com/simple")
    assert by_host(indexes, environ) == {"corp.example.com": ("me", "secret")}
    assert by_host(indexes, {**environ, "UV_KEYRING_PROVIDER": "disabled"}) == {
        "corp.example.com": ("me", "")
    }
