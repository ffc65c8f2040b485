from __future__ import annotations

import base64
import dataclasses
import functools
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from channels import Channel, distribution
from lading.core.errors import LockError, RegistryError
from lading.core.lock import LockedBase
from lading.core.model import Requirement
from lading.core.platform import Libc, Platform
from lading.core.spec import Indexes
from lading.fetch import HttpFetch
from lading.layers import conda as layers
from lading.lock import CondaSolver, conda, drift, resolve, sources

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
BASE = LockedBase("debian:bookworm", "bookworm", (), Libc("glibc", 2, 36))


@pytest.fixture
def channel(tmp_path):
    """A channel whose packages hold nothing that runs."""
    made = Channel(tmp_path / "channel")
    for subdir, libc in (("linux-64", "2.17"), ("linux-aarch64", "2.28")):
        made.package("python", "3.10.9", subdir=subdir)
        made.package("python", "3.11.4", subdir=subdir, depends=[f"__glibc >={libc}"])
        files = distribution("lib-of-c", "1.0", "lib/python3.11/site-packages")
        made.package("lib-of-c", "1.0", files, subdir=subdir, depends=["python >=3.11,<3.12", "libx"])
        made.package("libx", "2.0", {"lib/libx.so": b"\x7fELF"}, subdir=subdir, form=".tar.bz2")
    made.package("pure", "1.0", distribution("pure", "1.0"), noarch="python", depends=["python"])
    made.package("fast", "1.0", depends=["__cuda >=12"])
    made.package("new", "1.0", depends=["__glibc >=2.99"])
    made.package("torn", "1.0", depends=["libx <2"])
    return made.index()


@pytest.fixture
def solve(channel, tmp_path):
    """Solve dependencies, or the text of a whole file, for a platform."""

    def run(*dependencies, text=None, platform=AMD64, base=BASE, python=None, environ=None, **more):
        path = tmp_path / "conda.yaml"
        lines = "".join(f"- {one}\n" for one in dependencies)
        path.write_text(text or f"channels: [{channel.url}]\ndependencies:\n{lines}")
        file = conda.load(path)
        assert not file.issues
        with HttpFetch(tmp_path / "downloads", attempts=1, offline=more.get("offline", False)) as fetch:
            solver = CondaSolver(
                fetch=fetch,
                look=layers.facts,
                cache=tmp_path / "repodata",
                environ={"HOME": str(tmp_path), **(environ or {})},
                folder=tmp_path,
                **more,
            )
            return solver(file, platform, base, python)

    return run


def names(packages):
    return [f"{one.name} {one.version}" for one in packages]


def test_packages_are_pinned_with_digest_size_and_what_they_hold(solve, channel):
    found = solve("lib-of-c")
    assert names(found) == ["lib-of-c 1.0", "libx 2.0", "python 3.11.4"]
    lib = found[0]
    path = channel.folder / "linux-64" / "lib-of-c-1.0-0.conda"
    assert (lib.url, lib.size_bytes) == (path.as_uri(), path.stat().st_size)
    assert lib.distributions == ("lib-of-c==1.0",)
    assert found[1].filename == "libx-2.0-0.tar.bz2"


def test_another_platform_gets_its_own_packages(solve):
    found = solve("lib-of-c", "pure", platform=ARM64)
    assert {one.url.rsplit("/", 2)[1] for one in found} == {"linux-aarch64", "noarch"}
    old = LockedBase("debian:x", None, (), Libc("glibc", 2, 20))
    assert names(solve("python", platform=ARM64, base=old)) == ["python 3.10.9"]


@pytest.mark.parametrize(
    ("asked", "python", "version"),
    [
        (["pure"], None, "3.11.4"),
        (["pure"], "3.10", "3.10.9"),
        (["python=3.10", "pure"], "3.11", "3.10.9"),
        (["python<3.11"], None, "3.10.9"),
    ],
)
def test_the_file_says_which_python_and_else_the_spec(solve, asked, python, version):
    assert f"python {version}" in names(solve(*asked, python=python))


def test_selectors_count_for_the_platform_that_is_solved(solve):
    asked = ["python=3.11", "libx  # [aarch64]", "sel(win): absent", "pure  # [py>=311]"]
    assert names(solve(*asked)) == ["pure 1.0", "python 3.11.4"]
    assert names(solve(*asked, platform=ARM64)) == ["libx 2.0", "pure 1.0", "python 3.11.4"]
    with pytest.raises(LockError, match="its selector asks for Python's version"):
        solve("pure  # [py>=311]")


def test_an_accelerator_is_there_for_those_that_want_one(solve):
    assert "fast 1.0" in names(solve("fast", accelerator="cu126"))
    with pytest.raises(LockError, match="__cuda >=12"):
        solve("fast", accelerator="cu118")
    with pytest.raises(LockError, match="__cuda"):
        solve("fast")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (["new"], r"__glibc >=2\.99"),
        (["torn"], r"libx <2"),
        (["python=3.10", "lib-of-c"], r"python >=3\.11,<3\.12"),
    ],
)
def test_what_cannot_be_solved_says_why(solve, asked, why):
    with pytest.raises(LockError, match=why):
        solve(*asked)


@pytest.mark.parametrize(
    ("asked", "more", "fix"),
    [
        ("fast", {}, "name the CUDA that the package is for, such as 'accelerator: cu126'"),
        ("fast", {"accelerator": "cpu"}, "name another accelerator than cpu"),
        ("fast", {"accelerator": "cu118"}, "name another accelerator than cu118"),
        ("new", {}, "take a base with a newer glibc: debian:bookworm has 2.36"),
        ("torn", {}, "name 'channels:' that have it"),
    ],
)
def test_what_the_machine_lacks_is_told_apart_from_what_channels_lack(solve, asked, more, fix):
    with pytest.raises(LockError) as caught:
        solve("libx", asked, **more)
    (issue,) = caught.value.issues
    assert (issue.fix or "").startswith(fix)


def test_all_that_no_channel_has_is_named_at_once_with_its_line(solve):
    with pytest.raises(LockError) as caught:
        solve("absent", "libx>=3", "pure", "python=2.7")
    assert sorted(f"{one.where}: {one.what}" for one in caught.value.issues) == [
        "conda.yaml:3: no channel has 'absent' for linux/amd64",
        "conda.yaml:4: no channel has 'libx>=3' for linux/amd64",
        "conda.yaml:6: no channel has 'python=2.7' for linux/amd64",
    ]


def test_a_base_without_glibc_is_refused(solve):
    with pytest.raises(LockError, match="made for glibc"):
        solve("pure", base=LockedBase("alpine", None, (), Libc("musl", 1, 2)))


@pytest.mark.parametrize(
    ("channels", "why"),
    [
        ("[]", "no channel is named"),
        ("[defaults]", "which channels 'defaults' means"),
        ("[https://me:s3cret@h/c]", r"\*\*\*@h/c' carries credentials"),
        ("[https://h/t/s3cret/c]", r"/t/\*\*\*/c' carries credentials"),
    ],
)
def test_channels_that_cannot_be_asked_are_named_without_secrets(solve, channels, why):
    with pytest.raises(LockError, match=why) as caught:
        solve(text=f"channels: {channels}\ndependencies: [python]\n")
    assert "s3cret" not in str(caught.value)


def test_all_channels_that_cannot_be_asked_are_named_at_once(solve, tmp_path):
    gone = (tmp_path / "gone").as_uri()
    text = f"channels: [../nochan, 'http://u:pw@h/c', '{gone}']\ndependencies: [python]\n"
    with pytest.raises(LockError) as caught:
        solve(text=text)
    assert [f"{one.where}: {one.what}" for one in caught.value.issues] == [
        "conda.yaml:1: got channel '../nochan', and there is no such folder",
        "conda.yaml:1: 'http://***@h/c' carries credentials; they would be written to the lock",
        f"conda.yaml:1: got channel {gone!r}, and there is no such folder",
    ]


def test_a_channel_out_of_reach_is_a_registry_error(solve):
    with pytest.raises(RegistryError, match="conda channel"):
        solve(text="channels: ['http://127.0.0.1:9/c']\ndependencies: [python]\n")


def test_channels_are_found_by_path_and_as_conda_is_configured(solve, channel, tmp_path):
    text = "channels: [{}]\ndependencies: [libx]\n".format
    expected = ["libx 2.0", "python 3.11.4"]
    assert names(solve(text=text("./channel"))) == expected
    root = tmp_path.as_uri()
    assert names(solve(text=text("channel"), environ={"CONDA_CHANNEL_ALIAS": root})) == expected
    (tmp_path / ".condarc").write_text(
        f"custom_channels: {{channel: {root}}}\ndefault_channels: [{channel.url}]\n"
    )
    assert names(solve(text=text("channel"))) == expected
    assert names(solve(text=text("defaults"))) == expected


def test_a_package_may_name_its_channel(solve, tmp_path):
    other = Channel(tmp_path / "other")
    other.package("libx", "9.0")
    other.index()
    alias = {"CONDA_CHANNEL_ALIAS": tmp_path.as_uri()}
    text = "channels: [channel]\ndependencies: [python, '{}']\n".format
    assert "libx 2.0" in names(solve(text=text("libx"), environ=alias))
    for asked in ("other::libx", "other/linux-64::libx>=3", "channel::libx"):
        version = "2.0" if asked.startswith("channel") else "9.0"
        assert f"libx {version}" in names(solve(text=text(asked), environ=alias))


@pytest.mark.parametrize(
    ("asked", "version"),
    [
        ("python = 3.10", "3.10.9"),
        ("python >= 3.9 , < 3.11", "3.10.9"),
        ("python 3.10.*", "3.10.9"),
        ("python=3.10.9=0", "3.10.9"),
        ("python[version='>=3.10,<3.11', build=0]", "3.10.9"),
        ("python>=3,!=3.11.4", "3.10.9"),
        ("python=3", "3.11.4"),
        ("python 3.10.9|3.10.8", "3.10.9"),
        ("python==3.10.9", "3.10.9"),
    ],
)
def test_versions_mean_what_they_mean_to_conda(solve, asked, version):
    assert f"python {version}" in names(solve(f'"{asked}"'))


def test_an_old_python_of_conda_s_leaves_the_server_to_the_base_s(  # noqa: PLR0917 - fixtures
    channel, ask, fetch, resolve_base, bring_python, offline_environ, tmp_path
):
    channel.package("python", "3.9.1")
    channel.index()
    path = tmp_path / "conda.yaml"
    path.write_text(f"channels: [{channel.url}]\ndependencies: [python=3.9]\n")
    lock = resolve(
        ask(requirements_file=path, conda="solve"),
        fetch=fetch,
        resolve_base=resolve_base,
        bring_python=bring_python,
        environ=offline_environ,
        solve_conda=CondaSolver(
            fetch=fetch, look=layers.facts, cache=tmp_path / "c", environ=offline_environ, folder=tmp_path
        ),
    )
    (part,) = lock.platforms
    assert part.interpreter.path == "/opt/lading/conda/bin/python3.9"
    assert part.server_interpreter.path == "/usr/bin/python3.11"


def test_without_rattler_it_is_told_how_to_get_it(solve, monkeypatch):
    monkeypatch.setitem(sys.modules, "rattler", None)
    with pytest.raises(LockError, match=r"install 'lading\[conda\]'"):
        solve("python")


@pytest.fixture
def guarded(channel):
    """Serve the channel to those who know the password."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            token = base64.b64encode(b"me:s3cret").decode()
            if self.headers.get("Authorization") == f"Basic {token}":
                super().do_GET()
            else:
                self.send_error(401)

        do_HEAD = do_GET  # noqa: N815 - the server's own spelling

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=str(channel.folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_credentials_come_from_netrc_and_are_in_no_lock(solve, guarded, tmp_path, monkeypatch):
    text = f"channels: ['{guarded}']\ndependencies: [libx]\n"
    with pytest.raises(RegistryError, match="conda channel"):
        solve(text=text)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    found = solve(text=text)
    assert found[0].url == f"{guarded}/linux-64/libx-2.0-0.tar.bz2"
    assert "s3cret" not in repr(found)
    assert solve(text=text, offline=True) == found


def test_wheels_are_resolved_around_what_conda_holds(  # noqa: PLR0917 - fixtures
    channel, smith, ask, offline_environ, fetch, resolve_base, bring_python, tmp_path
):
    smith.wheel("app", "1.0", "lib-of-c>=1", "other")
    smith.wheel("lib-of-c", "5.0")
    smith.wheel("other", "1.0", "lib_of_c<2")
    path = tmp_path / "conda.yaml"
    path.write_text(f"channels: [{channel.url}]\ndependencies:\n- lib-of-c\n- pip:\n  - app\n")
    solver = CondaSolver(
        fetch=fetch, look=layers.facts, cache=tmp_path / "c", environ=offline_environ, folder=tmp_path
    )
    question = ask(requirements_file=path, conda="solve")
    assert question.digest != ask(requirements_file=path).digest
    # what the model was saved with gives way to what its author names
    told = (Requirement("lib-of-c==5.0", "pickle"), Requirement("other==1.0", "pickle"))
    question = dataclasses.replace(question, requirements=told)
    said = []
    lock = resolve(
        question,
        fetch=fetch,
        resolve_base=resolve_base,
        bring_python=bring_python,
        environ=offline_environ,
        solve_conda=solver,
        events=said.append,
    )
    (part,) = lock.platforms
    assert names(part.conda) == ["lib-of-c 1.0", "libx 2.0", "python 3.11.4"]
    assert names(part.model) == ["app 1.0", "other 1.0"]
    assert part.interpreter.path == "/opt/lading/conda/bin/python3.11"
    assert not [one.text for one in said if one.kind == "warning"]
    told = "the model was saved with lib-of-c 5.0, and the environment has 1.0"
    assert drift(lock, ("lib-of-c==5.0", "other==1.0")) == [told]


def test_only_a_conda_file_can_be_solved(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("lib\n")
    with pytest.raises(LockError, match="holds no conda packages"):
        sources.load(path, {}, solves=True)
    with pytest.raises(LockError, match=r"there is no conda\.yaml"):
        sources.load(None, {}, solves=True)


def test_nothing_stands_for_what_is_solved(tmp_path):
    path = tmp_path / "conda.yaml"
    path.write_text("dependencies: [python=3.11, numpy, ffmpeg, gdal, {pip: [app]}]\nvariables: {A: 1}\n")
    found = sources.load(path, {}, solves=True)
    assert found.requirements == ("app",)
    assert [one.spec.name for one in found.conda_file.packages] == ["numpy", "ffmpeg", "gdal"]
    assert sources.surroundings(path, solves=True) == ((), {"A": "1"}, ())
    assert found.indexes == Indexes()
