"""System packages on an image: dpkg's record, alternatives, the linker's cache, and what scripts would do."""

from __future__ import annotations

import base64
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import debs
from lading.core.bases import Distribution
from lading.core.digest import Digest
from lading.core.errors import IntegrityError
from lading.core.lock import LockedDeb
from lading.layers import alternatives, deb, graphviz, linker, scripts, shell, system
from lading.layers.compress import compressor

TRIPLET = "usr/lib/x86_64-linux-gnu"
STATUS = "Package: base\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"
BLAS = """\
#!/bin/sh
set -e
# update-alternatives --install /not/this one /x 5
update-alternatives --install /usr/lib/x86_64-linux-gnu/libblas.so.3 \\
                    libblas.so.3-x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/blas/libblas.so.3 10 || true
"""


@pytest.fixture
def package(tmp_path):
    def make(name, files=None, *, script="", sums="", conffiles="", **options):
        about = {"postinst": script, "md5sums": sums, "conffiles": conffiles}
        data = debs.deb(name, files or {}, about=about, **options)
        path = tmp_path / f"{name}.deb"
        path.write_bytes(data)
        return path

    return make


@pytest.fixture
def library(tmp_path):
    """A shared library that calls itself by a name, made by the C compiler."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not there: apt-get install gcc libc6-dev")

    def make(soname, source="int answer(void) { return 42; }"):
        path = tmp_path / soname
        options = ["-shared", "-nostdlib", "-x", "c", "-", f"-Wl,-soname,{soname}", "-o", str(path)]
        subprocess.run(["gcc", *options], input=source, check=True, text=True)
        return path.read_bytes()

    return make


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A plugin of Graphviz's."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not there: apt-get install gcc libc6-dev")
    path = tmp_path_factory.mktemp("plugin") / "plugin.so"
    subprocess.run(
        ["gcc", "-shared", "-nostdlib", "-x", "c", "-", "-o", str(path)], input=PLUGIN, check=True, text=True
    )
    return path.read_bytes()


def laid(seal, debs, base):
    return seal(lambda writer: system.write(debs, base, writer))


def test_dpkgs_record_has_what_was_there_and_what_is_added(seal, package):
    debs = [
        package("two", {"./usr/bin/two": b"2"}, fields="Multi-Arch: same\n"),
        package(
            "one", {"./lib/x86_64-linux-gnu/one.so": b"1"}, sums="0  lib/x86_64-linux-gnu/one.so\n1  man\n"
        ),
    ]
    layer = laid(seal, debs, Distribution("debian", "bookworm", STATUS))
    status = layer.files["var/lib/dpkg/status"].decode()
    assert status.startswith(STATUS)
    assert [line for line in status.splitlines() if line.startswith("Package:")] == [
        "Package: base",
        "Package: one",
        "Package: two",
    ]
    assert status.count("Status: install ok installed") == 3
    listed = layer.files["var/lib/dpkg/info/one.list"].decode().splitlines()
    assert listed == [
        "/.",
        "/usr",
        "/usr/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu/one.so",
    ]
    assert "var/lib/dpkg/info/two:amd64.list" in layer.files
    # what is left out of the image is not missed by `dpkg --verify`
    assert layer.files["var/lib/dpkg/info/one.md5sums"] == b"0  lib/x86_64-linux-gnu/one.so\n"
    assert laid(seal, debs[::-1], Distribution("debian", "bookworm", STATUS)).tar == layer.tar


def test_an_image_without_dpkg_gets_a_file_for_each_package(seal, package):
    layer = laid(seal, [package("one")], Distribution("debian", "bookworm", STATUS, has_dpkg=False))
    assert list(layer.files) == ["var/lib/dpkg/status.d/one"]


def test_an_image_without_merged_usr_keeps_the_packages_own_paths(seal, package):
    path = package("one", {"./lib/a.so.1.2": b"a", "./lib/a.so.1": "a.so.1.2", "./usr/b.so": "/lib/a.so.1"})
    split = seal(lambda writer: deb.write(path, writer, merged=False))
    assert set(split.files) == {"lib/a.so.1.2"}
    assert split.members["usr/b.so"].linkname == "/lib/a.so.1"
    merged = seal(lambda writer: deb.write(path, writer))
    assert set(merged.files) == {"usr/lib/a.so.1.2"}
    assert merged.members["usr/b.so"].linkname == "/usr/lib/a.so.1"


@pytest.mark.parametrize("many", [False, True])
def test_ubuntus_packages_are_compressed_with_zstd(seal, package, many):
    frame = compressor("zstd")

    def compress(data):
        half = len(data) // 2
        return frame(data[:half]) + frame(data[half:]) if many else frame(data)

    data = random.Random(0).randbytes(1_500_000) * 2
    path = package("one", {"./usr/x": data}, suffix=".zst", compress=compress)
    assert seal(lambda writer: deb.write(path, writer)).files == {"usr/x": data}
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(IntegrityError):
        seal(lambda writer: deb.write(path, writer))


def test_alternatives_are_linked_to_the_one_with_the_highest_priority(seal, package):
    blas = package("blas", {f"./{TRIPLET}/blas/libblas.so.3": b"slow"}, script=BLAS)
    fast = BLAS.replace("/blas/", "/openblas/").replace(" 10 ", " 100 ")
    openblas = package("openblas", {f"./{TRIPLET}/openblas/libblas.so.3": b"fast"}, script=fast)
    base = Distribution("debian", "bookworm", STATUS)
    layer = laid(seal, [blas, openblas], base)
    name = "etc/alternatives/libblas.so.3-x86_64-linux-gnu"
    assert layer.members[f"{TRIPLET}/libblas.so.3"].linkname == f"/{name}"
    assert layer.members[name].linkname == f"/{TRIPLET}/openblas/libblas.so.3"
    assert alternatives.links([blas]) != alternatives.links([blas, openblas])
    # what the image has chosen stays
    taken = Distribution("debian", "bookworm", STATUS, alternatives=("libblas.so.3-x86_64-linux-gnu",))
    assert f"{TRIPLET}/libblas.so.3" not in laid(seal, [blas, openblas], taken).members


def test_slaves_come_along_and_what_is_not_plain_does_not():
    (one,) = alternatives.parse(
        "update-alternatives --quiet --install /usr/bin/awk awk /usr/bin/gawk 10 "
        "--slave /usr/share/man/awk.1 awk.1 /usr/share/man/gawk.1; echo done"
    )
    assert [name for _, name, _ in one.links] == ["awk", "awk.1"]
    for script in (
        "update-alternatives --install /usr/bin/$name $name /usr/bin/x 10",
        "update-alternatives --install /usr/bin/../../etc/x x /usr/bin/x 10",
        "update-alternatives --install /usr/bin/x ../x /usr/bin/x 10",
        "update-alternatives --install /usr/bin/x x 'unclosed",
        "update-alternatives --remove x /usr/bin/x",
    ):
        assert list(alternatives.parse(script)) == []


def test_plain_variables_and_loops_are_followed_as_openjdk_has_them():
    script = """\
priority=1711
basedir=/usr/lib/jvm/java-17
tools='java keytool'
if [ "$old" ]; then priority=$(expr $priority - 1); fi
for i in $tools; do
    unset slave
    while false; do echo; done
    update-alternatives \\
        --install /usr/bin/$i $i ${basedir}/bin/$i \\
        $priority $slave
done
for name in $(ls); do update-alternatives --install /usr/bin/x x /usr/bin/$name 1; done
"""
    found = list(alternatives.parse(script))
    assert [(one.name, one.priority, one.links[0][2]) for one in found] == [
        ("java", 1711, "/usr/lib/jvm/java-17/bin/java"),
        ("keytool", 1711, "/usr/lib/jvm/java-17/bin/keytool"),
    ]
    assert alternatives.has_others(script)
    assert not alternatives.has_others(script.rpartition("for name")[0])
    # which of two values holds is not known without running the script
    twice = "a=x\nif true; then\na=y\nfi\nupdate-alternatives --install /usr/bin/$a a /usr/bin/b 1"
    assert alternatives.has_others(twice)


@given(st.text(alphabet=st.sampled_from("a-/ '\"\\\n$;|>0")))
def test_no_script_breaks_the_reading_of_alternatives(tail):
    assert len(list(alternatives.parse(f"update-alternatives --install {tail}"))) <= 1


def test_packages_whose_scripts_matter_are_named(package):
    matters = {
        "adduser --system _daemon": ["make a user or group"],
        "deb-systemd-helper enable x.service": ["start a service"],
        "/usr/lib/x86_64-linux-gnu/glib-2.0/glib-compile-schemas /x": ["compile schemas of settings"],
        "update-alternatives --install /usr/bin/$x $x /usr/bin/y 1": ["choose among alternatives"],
        BLAS: [],
        "ldconfig": [],
        "py3compile -p python3-x": [],
        "libgvc6-plugins-scan -c": ["run libgvc6-plugins-scan"],
        "S=update-dictcommon-aspell\nif which $S; then $S; fi": ["register dictionaries of aspell"],
        "/usr/lib/mecab/mecab-dict-index -d ${src} -o x": ["compile a dictionary of MeCab"],
        "echo 'a; setcap b'; x=`setcap c`; cat <<EOF\nsetcap d\nEOF\n": [],
        "#!/usr/bin/perl\nuse strict;": ["run its script for perl"],
        '$frob "$@"': ["run a command that is not plain"],
        "deb-systemd-helper enable 'fstrim.timer'": [],
        "systemctl --system daemon-reload": [],
        "# adduser is not called": [],
        "echo the-adduser-guide": [],
    }
    assert {script: scripts.deeds(script) for script in matters} == matters


def test_what_a_first_installation_does_not_reach_is_not_counted():
    service = "invoke-rc.d x restart"
    never = {
        f'if [ ! -z "$2" ]; then\n {service}\nfi',
        f'if [ "$1" = configure ] && dpkg --compare-versions "$2" lt-nl 1; then {service}; fi',
        f"if [ -d /run/systemd/system ]; then\n if true; then :; fi\n {service}\nfi",
        f'case "$1" in\n triggered)\n case $2 in a|b) :;; *) {service};; esac\n {service};;\nesac',
        f'case "$1" in abort-upgrade|abort-remove) {service};; esac',
        f"restart() {{\n if a; then {service}; fi\n}}",
        f'if [ "$1" = triggered ]; then {service}; exit 0; fi',
    }
    assert {script: scripts.deeds(script.replace("if a;", "if true;")) for script in never} == {
        script: [] for script in never
    }
    reached = {
        f'if [ -z "$2" ]; then {service}; fi',
        f'if [ -n "$2" ]; then :; else {service}; fi',
        f'case "$1" in configure|reconfigure) {service};; esac',
        f'if [ "$1" = triggered ] || [ "$1" = configure ]; then {service}; fi',
        f'if dpkg --compare-versions "$2" lt 2; then {service}; fi',
        f"if [ ! -d /run/systemd/system ]; then {service}; fi",
        f'if ! [ -n "$2" ]; then {service}; fi',
        f"restart() {{\n {service}\n}}\nrestart now",
        f"(cd /; {service})",
        f"true && ! {service} || exit 1",
    }
    assert {script: scripts.deeds(script) for script in reached} == {
        script: ["start a service"] for script in reached
    }


@given(st.text(alphabet=st.sampled_from("a-/ '\"\\\n$;|>0(){}#`if")))
def test_no_script_breaks_the_reading_of_commands(text):
    assert all(words for words in shell.commands(text))


def test_a_script_is_read_once(package):
    notes = {}

    class Notes:
        recall = staticmethod(notes.get)
        note = staticmethod(notes.__setitem__)

    one = LockedDeb("daemon", "1", "amd64", "d.deb", Digest.of(b"d"), 1)
    path = package("daemon", script="adduser --system d")
    said = scripts.warning([one], lambda _: path, Notes)
    assert said is not None
    assert (said.kind, "daemon (make a user or group)" in said.text) == ("warning", True)
    assert scripts.warning([one], lambda _: pytest.fail("read again"), Notes) == said


PLUGIN = """
typedef struct { int id; const char *type; int quality; void *engine, *features; } installed;
typedef struct { int kind; installed *types; } api;
static installed devices[] = {{0, "svg:svg", 1}, {1, "x:lasi", -2}, {0}};
installed renderers[] = {{0, "svg", 10}, {0}};
static api apis[] = {{3, devices}, {0, renderers}, {0}};
struct { const char *name; api *apis; } gvplugin_test_LTX_library = {"test", apis};
"""


def test_graphviz_finds_its_plugins(seal, package, library):
    data = library("libgvplugin_test.so.6", PLUGIN)
    files = {"libgvplugin_test.so.6.0.0": data, "libgvplugin_test.so.6": "libgvplugin_test.so.6.0.0"}
    files |= {"libgvplugin_other.so.6": library("libgvplugin_other.so.6"), "libgvplugin_no.so.6": b"none"}
    files = {f"./{TRIPLET}/graphviz/{name}": data for name, data in files.items()}
    base = Distribution("debian", "bookworm", STATUS)
    more = package("libgvc6-plugins-more", files)
    place = f"{TRIPLET}/graphviz/config6a"
    told = laid(seal, [package("libgvc6"), more], base).files[place].decode()
    assert told.partition("libgvplugin")[2].split("\n") == [
        "_test.so.6 test {",
        *("\tdevice {", "\t\tsvg:svg 1", "#FAILS\t\tx:lasi -2", "\t}"),
        *("\trender {", "\t\tsvg 10", "\t}"),
        "}",
        "",
    ]
    # the image's own list is not replaced by a part of it
    assert place not in laid(seal, [more], base).files


@given(st.data())
def test_no_damage_breaks_the_reading_of_plugins(built, data):
    damaged = bytearray(built)
    for at in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=8)):
        damaged[at] = data.draw(st.integers(0, 255))
    graphviz.read(bytes(damaged))
    graphviz.read(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


def test_a_plugin_whose_offsets_are_beyond_any_file_is_none(built):
    for at in (39, 79, 135):  # the highest byte of an offset: of the headers, of two segments
        damaged = bytearray(built)
        damaged[at] = 255
        assert graphviz.read(bytes(damaged)) is None


def test_plugins_that_are_listed_are_not_missed(package):
    class Notes:
        recall = note = staticmethod(lambda *_: None)

    path = package("libgvc6", script="libgvc6-config-update -c")
    library, more = (
        LockedDeb(name, "1", "amd64", "d.deb", Digest.of(b"d"), 1)
        for name in ("libgvc6", "libgvc6-plugins-gtk")
    )
    assert scripts.warning([library, more], lambda _: path, Notes) is None
    said = scripts.warning([more], lambda _: path, Notes)
    assert said is not None
    assert "libgvc6-plugins-gtk (register plugins of Graphviz)" in said.text


def test_a_base_without_a_cache_needs_none_for_the_usual_folders(seal, package, library):
    path = package("one", {f"./{TRIPLET}/libone.so.1": library("libone.so.1")})
    layer = laid(seal, [path], Distribution("debian", "bookworm", STATUS))
    assert "etc/ld.so.cache" not in layer.files


def test_libraries_in_a_folder_that_a_package_configures_are_in_the_cache(seal, package, library):
    files = {
        "./usr/lib/odd/libone.so.1.2": library("libone.so.1"),
        "./usr/lib/odd/libone.so.1": "libone.so.1.2",
        "./usr/lib/odd/notes.so.txt": b"no library",
        "./etc/ld.so.conf.d/odd.conf": b"# a comment\n/usr/lib/odd\n",
    }
    path = package("one", files, conffiles="/etc/ld.so.conf.d/odd.conf\n")
    layer = laid(seal, [path], Distribution("debian", "bookworm", STATUS))
    assert linker.parse(layer.files["etc/ld.so.cache"]) == [
        linker.Entry("libone.so.1", "/usr/lib/odd/libone.so.1", 0x0303)
    ]


def test_a_cache_that_the_base_has_keeps_its_entries_and_gets_the_new_ones(seal, package, library, tmp_path):
    old = linker.encode(
        [linker.Entry("libz.so.1", f"/{TRIPLET}/libz.so.1", 0x0303), linker.Entry("liba.so", "/l/a", 0x0303)]
    )
    base = Distribution("debian", "bookworm", STATUS, linker_cache=base64.b64encode(old).decode())
    path = package("one", {f"./{TRIPLET}/libone.so.1": library("libone.so.1")})
    cache = laid(seal, [path], base).files["etc/ld.so.cache"]
    found = {one.name: one.path for one in linker.parse(cache)}
    assert found == {
        "libz.so.1": f"/{TRIPLET}/libz.so.1",
        "liba.so": "/l/a",
        "libone.so.1": f"/{TRIPLET}/libone.so.1",
    }
    ldconfig = shutil.which("ldconfig") or "/sbin/ldconfig"
    if not Path(ldconfig).exists():
        pytest.skip("ldconfig is not there: apt-get install libc-bin")
    (tmp_path / "cache").write_bytes(cache)
    command = [ldconfig, "-C", str(tmp_path / "cache"), "-p"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert f"libone.so.1 (libc6,x86-64) => /{TRIPLET}/libone.so.1" in printed


def test_this_machines_own_cache_is_written_in_the_order_of_ldconfig():
    path = Path("/etc/ld.so.cache")
    if not path.exists():
        pytest.skip("this machine has no /etc/ld.so.cache")
    found = linker.parse(path.read_bytes())
    assert linker.parse(linker.encode(found[::-1])) == found


NAMES = st.text(alphabet="ab01.-", min_size=1, max_size=8)


@given(st.lists(st.builds(linker.Entry, NAMES, NAMES, st.just(0x0303))))
def test_a_cache_gives_back_what_was_put_in_whatever_the_order(entries):
    written = linker.encode(entries)
    assert set(linker.parse(written)) == set(entries)
    assert linker.encode(entries[::-1]) == written


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading_of_a_library_or_a_cache(data):
    linker.soname(b"\x7fELF\x02\x01" + data)
    linker.soname(data)
    linker.parse(b"glibc-ld.so.cache1.1" + data)
