"""From a model with a conda.yaml to a package, without conda."""

import json

import pytest
import sklearn

from models import write_iris

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def packed(lading, tmp_path_factory):
    """A package whose libraries, programs and variables a conda file names."""
    folder = write_iris(tmp_path_factory.mktemp("conda") / "iris-model", more="requirements: conda.yaml\n")
    (folder / "conda.yaml").write_text(
        f"""\
name: iris
channels: [conda-forge]
dependencies:
- python=3.11
- pip
- scikit-learn={sklearn.__version__}
- libopenblas
- tzdata
- curl=8
- appnope  # [osx]
- pip:
  - joblib>=1.2
  - wmi  # [win]
variables:
  OMP_NUM_THREADS: 1
"""
    )
    done = lading.run("pack", folder, "-t", "conda:1", "-v")
    assert done.returncode == 0, done.stderr
    return done


def test_the_bill_says_what_was_mapped(lading, packed):
    bill = lading.json("show", "conda:1")["bill"]
    asked = {one["requirement"]: one["mapped_from"] for one in bill["model"]["requirements"]}
    assert asked[f"scikit-learn=={sklearn.__version__}.*"] == f"scikit-learn={sklearn.__version__}"
    assert asked["joblib>=1.2"] is None
    assert f"(spec, conda's scikit-learn={sklearn.__version__})" in lading("show", "conda:1")
    assert f"conda's 'scikit-learn={sklearn.__version__}' is taken as" in packed.stderr


def test_programs_and_variables_of_a_conda_file_are_in_the_package(lading, packed):
    environment = lading.json("show", "conda:1")["bill"]["environment"]
    assert "curl" in {one["name"] for one in environment["system_packages"]}
    assert environment["variables"] == {"OMP_NUM_THREADS": "1"}


def test_what_debian_stands_for_and_what_was_left_out_is_in_the_bill(lading, packed):
    notes = [
        "conda.yaml:10: 'appnope' is left out: it is not for Linux",
        "conda.yaml:13: 'wmi' is left out: it is not for Linux",
        "conda.yaml:9: conda's 'curl=8' is taken as Debian's 'curl', in the version that it has",
        "left out, for lading installs: pip",
        "left out, for numpy and scipy wheels carry their linear algebra: libopenblas",
        "left out, for the base has it: tzdata",
    ]
    told = lading.json("show", "conda:1")["bill"]["model"]["notes"]
    assert told[-len(notes) :] == notes
    shown = lading("show", "conda:1")
    assert all(one in shown for one in notes)


def test_a_conda_file_that_cannot_be_mapped_names_all_and_makes_nothing(lading, tmp_path):
    folder = write_iris(tmp_path / "iris-model", more="requirements: environment.yml\n")
    (folder / "environment.yml").write_text("dependencies: [python=3.11, gdal, r-base, numpy=1|2]\n")
    done = lading.run("pack", folder, "-t", "unmapped:1", "--json")
    assert done.returncode == 4
    told = json.dumps(done.stdout + done.stderr)
    assert all(one in told for one in ("gdal", "r-base", "numpy=1|2"))
