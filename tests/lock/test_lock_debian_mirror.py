from __future__ import annotations

from pathlib import Path

import pytest

from lading.core.digest import Digest
from lading.core.errors import LockError
from lading.core.lock import LockedDeb
from lading.lock.debian_mirror import Mirror, find_mirror

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://one.example/debian
Suites: bookworm
 bookworm-updates
Components: main contrib

Types: deb
URIs: http://one.example/debian-security/
Suites: bookworm-security
Components: main
"""


@pytest.fixture
def apt(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def find(apt: Path, configured: str | None = None, **environ: str) -> Mirror:
    return find_mirror(configured, environ=environ, apt=apt, acquire={})


def test_the_new_style_of_sources_is_read(apt):
    (apt / "sources.list.d" / "debian.sources").write_text(DEB822)
    mirror = find(apt)
    assert mirror.main == "http://one.example/debian"
    assert mirror.security == "http://one.example/debian-security"


def test_the_old_style_of_sources_is_read(apt):
    (apt / "sources.list").write_text(
        "# deb http://no.example/debian trixie main\n"
        "deb-src http://no.example/debian trixie main\n"
        "deb [arch=amd64 trusted=no] http://one.example/debian trixie main non-free # here\n"
        "deb http://two.example/sec trixie-security main\n"
    )
    mirror = find(apt)
    assert (mirror.main, mirror.security) == ("http://one.example/debian", "http://two.example/sec")


def test_a_disabled_source_is_passed_over(apt):
    (apt / "sources.list.d" / "debian.sources").write_text(
        DEB822.replace("Types: deb\n", "Types: deb\nEnabled: no\n")
    )
    assert find(apt).security == "http://one.example/debian-security"
    (apt / "sources.list.d" / "debian.sources").write_text(f"Enabled: no\n{DEB822}")
    with pytest.raises(LockError, match="no Debian mirror is known"):
        find(apt)


def test_others_that_use_debians_suites_come_after_debian(apt, tmp_path):
    key = tmp_path / "vendor.gpg"
    key.write_bytes(b"")
    (apt / "sources.list.d" / "a.list").write_text(
        f"deb [signed-by={key}] https://a.example/debian bookworm main\n"
    )
    (apt / "sources.list.d" / "b.list").write_text("deb https://b.example/ cloud-sdk-bookworm main\n")
    (apt / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert find(apt).main == "http://one.example/debian"
    assert find(apt).keyrings == ()


def test_a_mirror_that_signs_with_its_own_key_brings_the_key(apt, tmp_path):
    key = tmp_path / "own.gpg"
    key.write_bytes(b"")
    (apt / "sources.list").write_text(f"deb [signed-by={key}] https://own.example/debian trixie main\n")
    assert find(apt).keyrings == (key,)


def test_ubuntu_is_not_taken_for_debian(apt):
    (apt / "sources.list").write_text("deb http://one.example/ubuntu noble main universe\n")
    with pytest.raises(LockError) as caught:
        find(apt)
    assert "LADING_DEBIAN_MIRROR" in str(caught.value)
    assert "--base" in str(caught.value)


def test_a_list_of_mirrors_in_a_file_is_followed(apt, tmp_path):
    names = tmp_path / "mirrors.txt"
    names.write_text("# ours\nhttps://first.example/debian priority:1\nhttps://second.example/debian\n")
    (apt / "sources.list").write_text(f"deb mirror+file:{names} bookworm main\n")
    assert find(apt).main == "https://first.example/debian"


def test_the_environment_comes_before_the_configuration_and_that_before_apt(apt):
    (apt / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert find(apt, "http://two.example/debian").main == "http://two.example/debian"
    chosen = find(apt, "http://two.example/debian", LADING_DEBIAN_MIRROR="http://three.example/debian/")
    assert chosen.main == "http://three.example/debian"
    assert chosen.security == "http://three.example/debian-security"


def test_security_updates_can_be_elsewhere_or_renounced(apt):
    main = {"LADING_DEBIAN_MIRROR": "http://one.example/debian"}
    assert (
        find(apt, **main, LADING_DEBIAN_SECURITY_MIRROR="http://s.example/x").security == "http://s.example/x"
    )
    assert find(apt, **main, LADING_DEBIAN_SECURITY_MIRROR="none").security is None


def test_credentials_leave_the_uri(apt):
    mirror = find(apt, LADING_DEBIAN_MIRROR="https://me:s3cr%40t@one.example:8443/debian")
    assert mirror.main == "https://one.example:8443/debian"
    assert mirror.credentials == {"one.example": ("me", "s3cr@t")}
    assert "s3cr" not in repr(mirror)


def test_a_mirror_of_another_scheme_is_refused(apt):
    with pytest.raises(LockError, match="got a URI of scheme 'ftp'"):
        find(apt, LADING_DEBIAN_MIRROR="ftp://one.example/debian")


def test_apts_proxies_are_taken_by_host(apt):
    (apt / "sources.list.d" / "debian.sources").write_text(
        DEB822.replace("one.example/debian-security", "two.example/debian-security")
    )
    acquire = {
        "Acquire::http::Proxy": "http://proxy.example:3128",
        "Acquire::http::Proxy::two.example": "DIRECT",
        "Acquire::Check-Valid-Until": "false",
    }
    mirror = find_mirror(environ={}, apt=apt, acquire=acquire)
    assert mirror.proxies == {"one.example": "http://proxy.example:3128"}
    assert not mirror.checks_valid_until


def test_a_package_is_looked_for_first_where_its_pool_is():
    mirror = Mirror("http://one.example/debian", "http://one.example/debian-security")
    deb = LockedDeb("a", "1", "all", "pool/main/a/a_1_all.deb", Digest.of(b""), 0)
    fixed = LockedDeb("a", "2", "all", "pool/updates/main/a/a_2_all.deb", Digest.of(b""), 0)
    assert mirror.urls(deb)[0] == "http://one.example/debian/pool/main/a/a_1_all.deb"
    assert mirror.urls(fixed)[0] == "http://one.example/debian-security/pool/updates/main/a/a_2_all.deb"
