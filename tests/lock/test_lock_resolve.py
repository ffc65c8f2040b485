from __future__ import annotations

from dataclasses import replace

import pytest

from lading.core.descriptor import MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import Issue, LockError, RegistryError
from lading.core.lock import Interpreter
from lading.core.model import Requirement
from lading.core.platform import Platform
from lading.core.server import ServerNeeds
from lading.lock import drift, resolve

BOTH = (Platform.parse("linux/amd64"), Platform.parse("linux/arm64"))


def names(wheels):
    return [f"{one.name} {one.version}" for one in wheels]


def test_every_dependency_is_pinned_with_digest_and_size(smith, ask, lock_of):
    path = smith.wheel("app", "1.0", "lib>=2", size_bytes=100)
    smith.wheel("lib", "1.0")
    smith.wheel("lib", "2.0")
    (part,) = lock_of(ask("app")).platforms
    assert names(part.model) == ["app 1.0", "lib 2.0"]
    assert part.model[0].size_bytes == path.stat().st_size
    assert part.model[0].url == path.as_uri()
    assert part.interpreter.version == "3.11.2"
    assert part.base.packages[0].name == "libc6"


def test_a_lock_knows_its_question(smith, ask, lock_of):
    smith.wheel("app", "1.0")
    lock = lock_of(ask("app"))
    assert lock.spec_digest == ask("app").digest
    assert lock.spec_digest != ask("app>=1").digest
    assert lock.requirements == (Requirement("app", "spec"),)


def test_the_native_server_is_resolved_apart(smith, ask, lock_of):
    smith.wheel("lib", "1.0")
    smith.wheel("lib", "2.0")
    server = ServerNeeds("lading", ("lib>=2",), ())
    (part,) = lock_of(ask("lib<2", server=server)).platforms
    assert names(part.model) == ["lib 1.0"]
    assert names(part.server) == ["lib 2.0"]


def test_another_server_shares_the_environment_of_the_model(smith, ask, lock_of):
    smith.wheel("lib", "1.0")
    smith.wheel("lib", "2.0")
    smith.wheel("front", "1.0", "lib<2")
    (part,) = lock_of(ask("lib", server=ServerNeeds("mlserver", ("front",), ()))).platforms
    assert names(part.model) == ["front 1.0", "lib 1.0"]
    assert part.server == ()


def test_each_platform_gets_its_own_wheel(smith, ask, lock_of):
    for tag in ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_28_aarch64"):
        smith.wheel("lib", "1.0", tag=tag)
    first, second = lock_of(ask("lib", platforms=BOTH)).platforms
    assert first.model[0].filename.endswith("x86_64.whl")
    assert second.model[0].filename.endswith("aarch64.whl")


def test_of_several_wheels_the_most_specific_is_taken(smith, ask, lock_of):
    for tag in ("py3-none-any", "cp38-abi3-manylinux2014_x86_64", "cp311-cp311-manylinux_2_34_x86_64"):
        smith.wheel("lib", "1.0", tag=tag)
    (part,) = lock_of(ask("lib")).platforms
    assert part.model[0].filename == "lib-1.0-cp311-cp311-manylinux_2_34_x86_64.whl"


def test_a_wheel_for_a_newer_glibc_is_not_taken(smith, ask, lock_of):
    smith.wheel("lib", "2.0", tag="cp39-cp39-manylinux_2_34_x86_64")
    smith.wheel("lib", "1.0", tag="cp39-cp39-manylinux_2_31_x86_64")
    (part,) = lock_of(ask("lib", base="debian:bullseye")).platforms
    assert names(part.model) == ["lib 1.0"]


def test_trixie_takes_wheels_up_to_the_glibc_that_uv_knows(smith, ask, lock_of):
    smith.wheel("lib", "1.0", tag="cp313-cp313-manylinux_2_40_x86_64")
    (part,) = lock_of(ask("lib", python="3.13")).platforms
    assert part.base.suite == "trixie"
    assert names(part.model) == ["lib 1.0"]


def test_markers_see_the_target_and_not_the_host(smith, ask, lock_of):
    smith.wheel("app", "1.0", "arm; platform_machine=='aarch64'", "late; python_full_version>='3.11.3'")
    smith.wheel("arm", "1.0")
    smith.wheel("late", "1.0")
    first, second = lock_of(ask("app", platforms=BOTH)).platforms
    assert names(first.model) == ["app 1.0"]
    assert names(second.model) == ["app 1.0", "arm 1.0"]


def test_the_python_of_the_base_counts_where_it_is_not_the_one_assumed(
    smith, ask, fetch, offline_environ, *, resolve_base, bring_python
):
    smith.wheel("app", "1.0", "late; python_full_version>='3.11.3'")
    smith.wheel("late", "1.0")

    def newer(reference, platform):
        python = Interpreter("/usr/bin/python3.11", "3.11.9")
        return replace(resolve_base(reference, platform), interpreters=(python,))

    lock = resolve(
        ask("app"), fetch=fetch, resolve_base=newer, bring_python=bring_python, environ=offline_environ
    )
    assert names(lock.platforms[0].model) == ["app 1.0", "late 1.0"]


def pythons(*versions, folder="/usr/bin"):
    minors = [version.rpartition(".")[0] for version in versions]
    named = zip(minors, versions, strict=True)
    return tuple(Interpreter(f"{folder}/python{minor}", version) for minor, version in named)


@pytest.fixture
def lock_on(ask, fetch, offline_environ, resolve_base, bring_python):
    """Lock on an image that has some Pythons, in the order in which its PATH finds them."""

    def run(*interpreters, events=lambda _: None, **more):
        def resolve_image(reference, platform):
            facts = resolve_base("debian:bookworm", platform)
            image = Descriptor(MANIFEST, Digest.of(b"image"), 5)
            base = replace(facts.base, reference=reference, suite=None, image=image)
            return replace(facts, base=base, interpreters=interpreters)

        options = {"resolve_base": resolve_image, "bring_python": bring_python, "environ": offline_environ}
        question = ask("app", base="example.org/base:1", **more)
        return resolve(question, fetch=fetch, events=events, **options).platforms[0]

    return run


def test_of_an_images_pythons_the_one_that_its_path_finds_is_taken(smith, lock_on):
    smith.wheel("app", "1.0")
    found = lock_on(*pythons("3.11.2"), *pythons("3.12.1", folder="/opt/python/bin"))
    assert found.interpreter.version == "3.11.2"


def test_an_image_without_a_python_gets_one_that_needs_no_second_and_it_is_told(smith, lock_on):
    smith.wheel("app", "1.0")
    events = []
    found = lock_on(events=events.append)
    assert (found.interpreter.minor, found.second) == ("3.11", None)
    assert any("has no Python that a package can run on" in one.text for one in events)


def test_a_patch_release_that_is_not_the_one_asked_for_is_told(smith, lock_on):
    smith.wheel("app", "1.0")
    events = []
    lock_on(*pythons("3.11.2"), events=events.append, python="3.11.4")
    assert any("Python 3.11.4 was asked for, and 3.11.2" in one.text for one in events)
    events.clear()
    lock_on(*pythons("3.11.2"), events=events.append, python="3.11")
    assert not [one for one in events if one.kind == "warning"]


def test_a_base_that_cannot_be_pinned_is_told(smith, ask, fetch, offline_environ, bring_python):
    smith.wheel("app", "1.0")

    def unreachable(reference, platform):
        raise RegistryError(Issue("mirror", "unreachable"))

    with pytest.raises(RegistryError, match="unreachable"):
        resolve(
            ask("app"),
            fetch=fetch,
            resolve_base=unreachable,
            bring_python=bring_python,
            environ=offline_environ,
        )


def test_distributions_that_the_server_replaces_are_left_out_and_it_is_told(smith, ask, lock_of):
    smith.wheel("lib", "1.0")
    events = []
    question = ask("lib", "ML_Flow==9", without=("ml-flow",))
    (part,) = lock_of(question, events=events.append).platforms
    assert names(part.model) == ["lib 1.0"]
    assert any("ML_Flow==9" in event.text for event in events)


def test_progress_counts_every_wheel_of_every_environment_once(smith, ask, lock_of):
    for name in ("one", "two", "three"):
        smith.wheel(name, "1.0")
    events = []
    lock_of(ask("one", "two", server=ServerNeeds("lading", ("three",), ())), events=events.append)
    progress = [event for event in events if event.kind == "progress"]
    assert [event.done for event in progress] == [1, 2, 3]
    assert progress[-1].total == 3
    assert {event.text for event in progress} == {"one", "two", "three"}


def test_a_requirements_file_and_the_spec_are_joined(smith, ask, lock_of, tmp_path):
    smith.wheel("lib", "1.0")
    smith.wheel("lib", "2.0")
    smith.wheel("other", "1.0")
    path = tmp_path / "requirements.txt"
    path.write_text("lib\n-c limits.txt\n")
    (tmp_path / "limits.txt").write_text("lib<2\n")
    lock = lock_of(ask("other", requirements_file=path, requirements_file_origin="mlflow"))
    assert names(lock.platforms[0].model) == ["lib 1.0", "other 1.0"]
    assert lock.requirements == (Requirement("other", "spec"), Requirement("lib", "mlflow"))


def test_a_local_wheel_may_be_required(smith, ask, lock_of, tmp_path):
    smith.wheel("lib", "1.0")
    kept = tmp_path / "kept"
    kept.mkdir()
    path = smith.wheel("own", "3.0", "lib").rename(kept / "own-3.0-py3-none-any.whl")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("./kept/own-3.0-py3-none-any.whl\n")
    (part,) = lock_of(ask(requirements_file=requirements)).platforms
    assert [one.url for one in part.model if one.name == "own"] == [path.as_uri()]


def test_hashes_in_a_requirements_file_are_held(smith, ask, lock_of, tmp_path):
    smith.wheel("lib", "1.0")
    path = tmp_path / "requirements.txt"
    path.write_text(f"lib==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(LockError, match="sha256 that the requirements file does not list"):
        lock_of(ask(requirements_file=path))


def test_a_pylock_is_used_as_it_is(smith, ask, lock_of, tmp_path):
    from lading.lock import write

    smith.wheel("lib", "1.0")
    folder = tmp_path / "first"
    folder.mkdir()
    first = lock_of(ask("lib"))
    write(first, folder)
    smith.wheel("lib", "2.0")
    again = lock_of(ask("lib<3", requirements_file=folder / "pylock.toml"))
    assert again.platforms == first.platforms


def test_a_pylock_that_lacks_what_is_asked_for_is_refused(smith, ask, lock_of, tmp_path):
    from lading.lock import write

    smith.wheel("lib", "1.0")
    write(lock_of(ask("lib")), tmp_path)
    with pytest.raises(LockError) as caught:
        lock_of(ask("lib>=2", "more", requirements_file=tmp_path / "pylock.toml"))
    assert [issue.what.partition(",")[0] for issue in caught.value.issues] == [
        "asks for 'lib>=2'",
        "asks for 'more'",
    ]


def test_requires_python_of_a_project_chooses_the_base(smith, ask, lock_of, tmp_path):
    smith.wheel("lib", "1.0")
    path = tmp_path / "pyproject.toml"
    path.write_text('[project]\nname="p"\nversion="1"\nrequires-python=">=3.12"\ndependencies=["lib"]\n')
    assert lock_of(ask(requirements_file=path)).platforms[0].base.suite == "trixie"
    with pytest.raises(LockError, match=r"requirements are for Python >=3\.12"):
        lock_of(ask(requirements_file=path, base="debian:bookworm"))


def test_the_same_question_gives_the_same_lock(smith, ask, lock_of):
    smith.wheel("app", "1.0", "lib")
    smith.wheel("lib", "1.0")
    question = ask("app", platforms=BOTH, server=ServerNeeds("lading", ("lib",), ()))
    assert lock_of(question) == lock_of(question)


def test_a_configuration_in_a_folder_above_does_not_leak_in(smith, ask, lock_of, tmp_path, monkeypatch):
    smith.wheel("lib", "1.0")
    (tmp_path / "uv.toml").write_text('[pip]\nfind-links = ["/nowhere"]\nno-deps = "wrong type"\n')
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert lock_of(ask("lib")).platforms[0].model


@pytest.mark.parametrize("by_file", [True, False])
def test_what_the_author_asks_for_wins_over_what_the_model_tells(smith, ask, lock_of, tmp_path, by_file):
    smith.wheel("lib", "1.0")
    smith.wheel("lib", "2.0")
    told = Requirement("lib==2.0", "pickle")
    (tmp_path / "requirements.txt").write_text("Lib==1.0\n")
    if by_file:
        question = replace(ask(), requirements=(told,), requirements_file=tmp_path / "requirements.txt")
    else:
        question = replace(ask(), requirements=(Requirement("Lib==1.0", "spec"), told))
    lock = lock_of(question)
    assert names(lock.platforms[0].model) == ["lib 1.0"]
    told = "the model was saved with lib 2.0, and the environment has 1.0"
    assert drift(lock, ("lib==2.0",)) == [told]


def test_a_lock_says_which_conda_package_a_requirement_stands_for(smith, ask, lock_of, tmp_path):
    smith.wheel("tables", "3.9.1")
    path = tmp_path / "conda.yaml"
    path.write_text("platforms: [osx-arm64]\ndependencies: [python=3.10, pytables=3.9]\n")
    said = []
    lock = lock_of(ask(requirements_file=path, python="3.11"), events=said.append)
    assert lock.requirements == (Requirement("tables==3.9.*", "spec", "pytables=3.9"),)
    assert [event.text for event in said if event.kind == "warning"] == [
        "Python 3.11 is chosen, and the requirements are for Python 3.10",
        "the requirements are for osx-arm64, and not for linux/amd64",
    ]


def test_what_is_installed_here_gives_way_to_what_the_author_lists(smith, ask, lock_of, tmp_path):
    smith.wheel("app", "1.0", "lib<2")
    for version in ("1.0", "2.0"):
        smith.wheel("lib", version)
    (tmp_path / "requirements.txt").write_text("app\n")
    here = (Requirement("lib==2.0", "installed"),)
    told = []
    question = replace(ask(), requirements=here, requirements_file=tmp_path / "requirements.txt")
    (part,) = lock_of(question, events=lambda event: told.append(event.text)).platforms
    assert names(part.model) == ["app 1.0", "lib 1.0"]
    assert any("installed here are lib==2.0" in one for one in told)
    with pytest.raises(LockError, match=r"lib==2\.0"):
        lock_of(replace(question, requirements=(*here, Requirement("app", "spec")), requirements_file=None))


def test_an_extension_of_before_numpy_2_is_not_laid_beside_it(smith, ask, lock_of):
    smith.wheel("numpy", "1.26.4")
    smith.wheel("numpy", "2.1.0")
    smith.wheel("scikit-learn", "1.2.2", "numpy>=1.17.3")
    smith.wheel("scikit-learn", "1.4.2", "numpy>=1.19.5")
    (part,) = lock_of(ask("scikit-learn==1.2.2")).platforms
    assert names(part.model) == ["numpy 1.26.4", "scikit-learn 1.2.2"]
    (part,) = lock_of(ask("scikit-learn")).platforms
    assert names(part.model) == ["numpy 2.1.0", "scikit-learn 1.4.2"]
