from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from lading.core.errors import LockError
from lading.lock import conda_condition, conda_spec, conda_wheels, sources
from lading.lock.conda_spec import NotASpecError


@pytest.fixture
def read(tmp_path):
    """Read a conda file of these dependencies, or of this text; further files lie beside it."""

    def run(*dependencies, text=None, environ=None, **files):
        for name, content in files.items():
            (tmp_path / name.replace("__", ".")).write_text(content)
        path = tmp_path / "conda.yaml"
        path.write_text(text or "dependencies:\n" + "".join(f"- {one}\n" for one in dependencies))
        return sources.load(path, environ or {})

    return run


@pytest.fixture
def issues(read):
    """Read what is wrong; returns every issue as `where: what`."""

    def run(*dependencies, **more):
        with pytest.raises(LockError) as caught:
            read(*dependencies, **more)
        return [f"{issue.where}: {issue.what}" for issue in caught.value.issues]

    return run


@pytest.mark.parametrize(
    ("text", "specifier"),
    [
        ("numpy", ""),
        ("numpy *", ""),
        ("numpy=1.26", "==1.26.*"),
        ("numpy = 1.26", "==1.26.*"),
        ("numpy==1.26", "==1.26"),
        ("numpy 1.26", "==1.26"),
        ("numpy 1.26.*", "==1.26.*"),
        ("numpy=1.26.*", "==1.26.*"),
        ("numpy 1.26*", "==1.26.*"),
        ("numpy=1.26=py39_0", "==1.26"),
        ("numpy ==1.26.0 py39_0", "==1.26.0"),
        ("numpy=1.26.4=py310h5f9d8c6_1", "==1.26.4"),
        ("numpy=*=*openblas", ""),
        ("numpy>=1.2,<2", ">=1.2,<2"),
        ("numpy >= 1.2 , < 2", ">=1.2,<2"),
        ("numpy >=1.2,<2 py39*", ">=1.2,<2"),
        ("numpy>=1.2.*", ">=1.2"),
        ("numpy!=1.2.*,>1", "!=1.2.*,>1"),
        ("numpy~=1.2", "~=1.2"),
        ("numpy~=1", ">=1"),
        ("numpy=1!2.0", "==1!2.0.*"),
        ("numpy=2.0rc1", "==2.0rc1"),
        ("numpy=1.13.1+cu117", "==1.13.1+cu117"),
        ("conda-forge::numpy=1", "==1.*"),
        ("conda-forge/linux-64::numpy 1", "==1"),
        ("https://h/channel::numpy>1", ">1"),
        ("numpy[version='>=1.2,<2',build=*cpu*]", ">=1.2,<2"),
        ('conda-forge::numpy[version="1.2.*"]', "==1.2.*"),
    ],
)
def test_a_match_specification_says_the_same_to_a_resolver_of_wheels(text, specifier):
    spec = conda_spec.parse(text)
    assert (spec.name, spec.specifier) == ("numpy", specifier)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("numpy=1.2|1.3", "no 'or' among versions"),
        ("numpy>=1,<2|>=3", "no 'or' among versions"),
        ("tzdata=2023c", "cannot be the version of a wheel"),
        ("openssl=1.1.1w", "cannot be the version of a wheel"),
        ("numpy=1.0_1", "no meaning for the version of a wheel"),
        ("numpy=^1.*$", "no meaning for the version of a wheel"),
        ("https://h/linux-64/numpy-1.0-0.conda", "the file of one build"),
        ("numpy 1 2 3", "expected a name, versions and a build"),
        ("numpy[colour=red]", "unknown colour"),
        ("-numpy", "expected a name"),
    ],
)
def test_what_pep_440_cannot_say_is_named(text, why):
    with pytest.raises(NotASpecError, match=why):
        _ = conda_spec.parse(text).specifier


@pytest.mark.parametrize(
    ("text", "build"),
    [
        ("pytorch=2.0=py3.9_cpu_0", "py3.9_cpu_0"),
        ("pytorch 2.0 py3.9_cpu_0", "py3.9_cpu_0"),
        ("pytorch=*=*cuda*", "*cuda*"),
        ("pytorch[build=*cpu*]", "*cpu*"),
    ],
)
def test_a_build_is_told_apart_from_the_version(text, build):
    assert conda_spec.parse(text).build == build


_numbers = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


def _startswith(version: str, prefix: str) -> bool:
    """Match as conda's `1.2.*` does: part by part, missing ones being 0."""
    parts, wanted = version.split("."), prefix.split(".")
    return (parts + ["0"] * len(wanted))[: len(wanted)] == wanted


@given(asked=_numbers, offered=_numbers)
def test_a_fuzzy_version_takes_what_conda_takes(asked, offered):
    allowed = SpecifierSet(conda_spec.parse(f"x={asked}").specifier)
    assert allowed.contains(Version(offered)) == _startswith(offered, asked)


@given(st.text(max_size=40))
def test_any_text_is_a_specification_or_is_refused(text):
    try:
        spec = conda_spec.parse(text)
        SpecifierSet(spec.specifier)
    except NotASpecError:
        return
    assert spec.name == spec.name.lower()


@pytest.mark.parametrize(
    ("selector", "condition"),
    [
        ("linux", True),
        ("unix and not win", True),
        ("win or osx", False),
        ("arm64", False),
        ("linux64", "platform_machine == 'x86_64'"),
        ("linux and not aarch64", "platform_machine != 'aarch64'"),
        ("linux-aarch64", "platform_machine == 'aarch64'"),
        ("target_platform == 'osx-64'", False),
        ("py>=38", "python_version >= '3.8'"),
        ("py<310 and linux", "python_version < '3.10'"),
        ("py39", "python_version == '3.9'"),
        ("not (py>=38 and linux)", "python_version < '3.8'"),
        ("match(python, '>=3.8,<3.11')", "python_version >= '3.8' and python_version < '3.11'"),
    ],
)
def test_a_selector_becomes_a_marker(selector, condition):
    assert conda_condition.parse(selector) == condition


@pytest.mark.parametrize(
    "text", ["", "import os", "foo", "__import__('os')", "py >= os", "1 < py < 3", "(" * 300]
)
def test_what_is_no_selector_is_refused_and_not_run(text):
    with pytest.raises(conda_condition.NotASelectorError):
        conda_condition.parse(text)


_selectors = st.recursive(
    st.sampled_from(["linux", "win", "osx", "x86_64", "aarch64", "py>=39", "py<310", "py311"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda three: f"({' '.join(three)})")
        | inner.map("not ({})".format)
    ),
    max_leaves=8,
)


@given(_selectors, st.sampled_from(["x86_64", "aarch64"]), st.sampled_from([38, 39, 310, 311]))
def test_a_marker_is_true_where_its_selector_is(selector, machine, py):
    names = {"linux": True, "win": False, "osx": False, "py": py, "py311": py == 311}
    names |= {"x86_64": machine == "x86_64", "aarch64": machine == "aarch64"}
    # 310 is more than 39
    spelled = selector.replace("py>=39", "py in (39, 310, 311)").replace("py<310", "py in (38, 39)")
    condition = conda_condition.parse(selector)
    environment = {"platform_machine": machine, "python_version": f"3.{str(py)[1:]}"}
    told = Marker(condition).evaluate(environment) if isinstance(condition, str) else condition
    assert told == eval(spelled, {}, names)


def test_names_are_found_in_every_spelling(read):
    found = read(
        "Scikit_Learn=1.4", "typing-extensions", "ruamel.yaml>=0.17", "PyTables=3.9", "msgpack-python"
    )
    assert found.requirements == (
        "scikit-learn==1.4.*",
        "typing-extensions",
        "ruamel-yaml>=0.17",
        "tables==3.9.*",
        "msgpack",
    )


def test_what_surrounds_the_libraries_is_told_without_secrets(tmp_path):
    path = tmp_path / "conda.yaml"
    path.write_text(
        "dependencies: ['https://me:s3cret@h/c::git', mkl, numpy]\nvariables: {A: 1}\n", encoding="utf-8"
    )
    found = sources.surroundings(path, solves=False)
    assert (found.system_packages, found.variables) == (("git",), {"A": "1"})
    assert found.notes == (
        "conda.yaml:1: conda's 'https://***@h/c::git' is taken as Debian's 'git'",
        "left out, for numpy and scipy wheels carry their linear algebra: mkl",
    )
    assert sources.surroundings(path, solves=True)[::2] == ((), ())


def test_libraries_go_by_their_names_among_wheels(read):
    found = read(
        "pytorch=2.1.*", "pytorch-cpu", "dask-core", "ray-tune=2.9", "faiss", "matplotlib-base", "pysoundfile"
    )
    assert found.requirements == (
        "torch==2.1.*",
        "torch",
        "dask",
        "ray[tune]==2.9.*",
        "faiss-cpu",
        "matplotlib",
        "soundfile",
    )


def test_libraries_of_channels_of_their_own_are_known(read):
    same = (
        "faiss-cpu==1.8",
        "onnxruntime-gpu",
        "rdkit=2023.09.5",
        "fiona",
        "h2o",
        "pycaret",
        "dask-ml",
        "dgl",
    )
    found = read(*same, "pyg=2.5", "pytorch_geometric", "tini", "freetds", "dataclasses")
    assert found.requirements == (
        "faiss-cpu==1.8",
        "onnxruntime-gpu",
        "rdkit==2023.09.5.*",
        *same[3:],
        "torch-geometric==2.5.*",
        "torch-geometric",
    )
    assert found.system_packages == ("tini", "freetds-bin", "tdsodbc")
    assert "left out, for Python itself has it: dataclasses" in found.notes


@pytest.mark.parametrize(
    ("spec", "fix"),
    [
        ("libfoo", "write 'libfoo' under 'pip:' if the Python index has it"),
        ("cupy=12", "write 'cupy-cuda12x' or 'cupy-cuda11x' under 'pip:'"),
        ("gdal", "'libgdal-dev' in 'system_packages'"),
        ("mysqlclient", "'default-libmysqlclient-dev'"),
        ("r-base=4", "--conda solve"),
        ("bioconductor-edger", "--conda solve"),
    ],
)
def test_what_has_no_wheel_says_how_else_it_is_had(read, spec, fix):
    with pytest.raises(LockError) as caught:
        read(spec)
    (issue,) = caught.value.issues
    assert fix in (issue.fix or "")
    assert "--conda solve" in (issue.fix or "")


def test_opencv_has_one_part_more_among_wheels(read):
    found = read("opencv=4.8", "py-opencv==4.8.1", "libopencv>4.8.1,<=4.9")
    name = "opencv-python-headless"
    assert found.requirements == (f"{name}==4.8.*", f"{name}==4.8.1.*", f"{name}>=4.8.2,<4.9.1")
    assert SpecifierSet("==4.8.1.*").contains("4.8.1.78")


def test_what_no_python_library_needs_is_left_out_with_the_reason(read):
    found = read(
        "pip", "_libgcc_mutex=0.1=conda_forge", "mkl=2023.1", "libstdcxx-ng", "aws-c-io", "cmake", "hdf5=1.14"
    )
    assert found.requirements == ()
    assert found.notes == (
        "left out, for lading installs: pip",
        "left out, for the base has it: _libgcc_mutex, libstdcxx-ng",
        "left out, for numpy and scipy wheels carry their linear algebra: mkl",
        "left out, for wheels carry the native libraries that they use: aws-c-io, hdf5",
        "left out, for what has no wheel is built with lading's own compiler: cmake",
    )


def test_programs_come_from_debian(read):
    found = read("ffmpeg=4.3", "graphviz", "python-graphviz")
    assert found.system_packages == ("ffmpeg", "graphviz")
    assert found.requirements == ("graphviz",)
    assert (
        "conda.yaml:2: conda's 'ffmpeg=4.3' is taken as Debian's 'ffmpeg', in the version that it has"
        in found.notes
    )


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("pytorch-cuda=11.8", "'pytorch-cuda=11.8' asks for CUDA"),
        ("cudatoolkit=11.3", "'cudatoolkit=11.3' asks for CUDA"),
        ("tensorflow-gpu=2.10", "'tensorflow-gpu=2.10' asks for CUDA"),
        ("pytorch=2.0=py3.9_cuda11.8_cudnn8.7.0_0", "asks for CUDA"),
    ],
)
def test_a_build_for_cuda_is_told(read, spec, told):
    (warning,) = read(spec).warnings
    assert told in warning
    if "11.8" in spec:
        assert "'accelerator: cu118'" in warning


@pytest.mark.parametrize(
    "spec", ["cpuonly", "pytorch=2.0=py3.9_cpu_0", "pytorch-cpu", "pytorch[build=*cpu*]"]
)
def test_a_build_for_the_processor_alone_is_noted(read, spec):
    found = read(spec)
    assert any(f"'{spec}' means the build for the processor alone" in note for note in found.notes)
    assert found.warnings == ()


def test_everything_without_a_wheel_is_named_at_once_with_its_line(issues):
    alternatives = "there is no 'or' among versions of a wheel: write one range, or one version"
    found = issues("libfoo", "numpy=1.2|1.3", "r-base=4", "pypy3.9", "a b c d", "pip: [-e .]")
    assert found.pop(0).startswith("conda.yaml:6: got 'a b c d', expected a conda package and versions")
    assert found == [
        "conda.yaml:2: conda package 'libfoo' has no known wheel",
        f"conda.yaml:3: got 'numpy=1.2|1.3': {alternatives}",
        "conda.yaml:4: conda package 'r-base' is of R, which no wheel stands for",
        "conda.yaml:5: got 'pypy3.9', expected CPython: there is no PyPy in a package",
        "conda.yaml:7: an editable install cannot be sealed",
    ]


PIP = """\
name: env
channels: [conda-forge]
dependencies:
- python=3.11
- pip=23.0
- pip:
  - --index-url https://one/simple --extra-index-url=https://two/simple
  - "-f wheels"
  - --pre
  - --trusted-host two
  - -r more.txt
  - -c limits.txt
  - lib==1.0 --hash=sha256:{digest}
  - other ; python_version < '4'   # why
  - 'third[extra]>=2  # quoted'
"""


def test_pips_lines_are_read_as_in_a_requirements_file(read, tmp_path):
    (tmp_path / "wheels").mkdir()
    found = read(text=PIP.format(digest="a" * 64), more__txt="deep\n", limits__txt="deep<3\n")
    assert found.requirements == ("deep", "lib==1.0", "other ; python_version < '4'", "third[extra]>=2")
    assert found.constraints == ("deep<3",)
    assert found.hashes == {"lib": {"a" * 64}}
    assert (found.indexes.url, found.indexes.extra) == ("https://one/simple", ("https://two/simple",))
    assert found.indexes.find_links == (str(tmp_path / "wheels"),)
    assert found.prereleases
    assert "conda.yaml:10: --trusted-host has no effect here" in found.notes
    assert found.warnings == ()


def test_a_requirement_behind_an_option_is_not_lost(issues):
    assert issues("pip: [--extra-index-url https://h/simple lib==1.0]") == [
        "conda.yaml:2: got more than one value of an option, or a requirement behind one"
    ]


def test_an_option_written_as_a_mapping_says_how(issues):
    text = "dependencies:\n- pip:\n  - --find-links: wheels\n"
    assert issues(text=text) == ["conda.yaml:3: got a mapping, expected a line of requirements.txt"]


SELECTED = """\
dependencies:
- python=3.10
- numpy=1.26  # [linux]
- pywin32     # [win]
- scipy=1.11  # [aarch64]
- sel(osx): appnope
- sel(unix):
  - pandas=2
- if: x86_64
  then: mkl-service
  else:
  - if: py>=310
    then: [pillow]
- joblib  # [optional]
- pip:
  - shap ; python_version < '4'  # [linux64]
  - wmi  # [win]
"""


def test_selectors_are_settled_for_linux_or_become_markers(read):
    found = read(text=SELECTED)
    assert found.requirements == (
        "numpy==1.26.*",
        "scipy==1.11.* ; platform_machine == 'aarch64'",
        "pandas==2.*",
        "mkl-service ; platform_machine == 'x86_64'",
        "pillow ; platform_machine != 'x86_64' and python_version >= '3.10'",
        "joblib",
        'shap; python_version < "4" and platform_machine == "x86_64"',
    )
    assert all(map(Requirement, found.requirements))
    assert found.warnings == (
        "conda.yaml:14: '[optional]' is no selector that is known here, and is taken for a comment",
    )


def test_what_a_selector_may_not_say_is_named(issues):
    text = "dependencies:\n- sel(lnux): numpy\n- python=3.9  # [aarch64]\n- pip:\n  - --pre  # [aarch64]\n"
    assert issues(text=text) == [
        "conda.yaml:2: got selector 'lnux', and 'lnux' is not known here",
        "conda.yaml:3: Python cannot depend on a selector",
        "conda.yaml:5: an option cannot depend on the processor or on Python",
    ]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("dependecies: [numpy]\n", "conda.yaml:1: unknown key 'dependecies'"),
        ("dependencies: [python=3.9, python=3.10]\n", "asks for another Python"),
        ("dependencies: [python=3.9=*_pypy]\n", "expected CPython"),
        ("dependencies: ['python=3.9|3.10']\n", "expected a version of Python"),
        ("dependencies: ['numpy={{ version }}']\n", "expected a conda package and versions"),
        ("dependencies: [numpy]\ndependencies: [scipy]\n", "got 'dependencies' twice"),
        ("dependencies: [https://u:s3cret@h/t/t0ken/x-1-0.conda]\n", "https://***@h/t/***/x-1-0.conda"),
    ],
)
def test_what_is_wrong_with_the_file_itself_is_named(issues, text, what):
    (line,) = issues(text=text)
    assert what in line


def test_a_template_that_is_not_filled_in_says_so(read):
    with pytest.raises(LockError) as caught:
        read(text="dependencies:\n- {{ x }}\n")
    assert caught.value.issues[0].fix == "a template has to be filled in first"


FULL = """\
name: env
channels:
- conda-forge
- https://me:s3cret@conda.example.com/t/t0ken/team
dependencies:
- numpy
- acme::pandas
platforms: [linux-64, osx-arm64]
variables:
  OMP_NUM_THREADS: 1
  DB_PASSWORD: hunter2
prefix: /home/me/envs/env
extra: 1
"""


def test_what_else_a_conda_file_says_is_used_or_told(read):
    channel = "https://***@conda.example.com/t/***/team"
    found = read(text=FULL)
    assert found.platforms == ("linux/amd64", "osx-arm64")
    assert found.variables == {"OMP_NUM_THREADS": "1"}
    assert found.warnings == (
        "conda.yaml:13: 'extra' has no effect here",
        "conda.yaml:11: variable DB_PASSWORD may be a secret and is left out: give it where the package runs",
        "conda.yaml:7: 'pandas' comes from the Python index, not from the channel 'acme'",
        f"conda.yaml:4: channel {channel!r} is not asked: what it alone has is not known",
    )


def test_the_table_names_each_package_once_and_well():
    table = conda_wheels._table()
    groups = table["left_out"]
    names = [
        *table["same"],
        *table["renamed"],
        *table["system"],
        *table["otherwise"],
        *(one for group in groups for one in group["names"]),
    ]
    assert len(set(names)) == len(names) > 700
    assert all(one == one.lower() and "_" not in one and "." not in one for one in names)
    for requirement in (*table["same"], *table["renamed"].values()):
        Requirement(requirement)
    assert set(table["shorter"]) <= {*table["same"], *table["renamed"]}
