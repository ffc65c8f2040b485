"""Models that are trained here, compiled and proved."""

import pytest
from threadpoolctl import threadpool_limits

from lading_runtime.compile import run
from lading_runtime.compile.build import build
from lading_runtime.compile.prove import Effort, prove
from lading_runtime.compiled.form import Form
from lading_runtime.loaders.pickle import Estimator

QUICK = Effort(random_rows=1_000, edge_rows=2_000, odd_cells=0, measured_s=0.0)  # which times nothing


@pytest.fixture
def proved(tmp_path):
    """Compile a model and prove it; return the proof and the form."""

    def proved(model, method="predict", effort=QUICK, way="auto", **options):
        loaded = Estimator(model, method)
        compiled = build(model, method, way)
        run.write(compiled, str(tmp_path))
        form = Form(str(tmp_path))
        with threadpool_limits(1):
            return prove(loaded, form, compiled.points, effort=effort, **options), form

    return proved
