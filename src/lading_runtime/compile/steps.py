"""scikit-learn's transformers in, statements that turn a row's cells into others out.

Where the original works in single precision, so do the statements: one operation in double precision that is
rounded to single is the operation in single precision.
"""

# estimators have no type here
# ruff: noqa: ANN401

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lading_runtime.compile.forests import takes_nan
from lading_runtime.compile.notes import NotCompiled, Source, Table, guard, is_missing, kind, literal

_MAX_CELLS = 2_000


def transform(step: Any, source: Source, table: Table) -> Table:
    """Write one step down; raise NotCompiled where it is of no kind that is known."""
    if step is None or step == "passthrough":
        return table
    write = _STEPS.get(kind(step))
    if write is None:
        raise NotCompiled(f"no compiler for {kind(step)}")
    config = getattr(step, "_sklearn_output_config", {}).get("transform", "default")
    if config != "default" and kind(step) != "sklearn.Pipeline":
        raise NotCompiled(f"{kind(step)} gives {config} tables")
    result = write(step, source, table)
    if len(result.cells) > _MAX_CELLS:
        raise NotCompiled(f"{len(result.cells)} columns after {kind(step)}, more than {_MAX_CELLS}")
    return result


def _pipeline(step: Any, source: Source, table: Table) -> Table:
    for _, one in step.steps:
        table = transform(one, source, table)
    return table


def _each(source: Source, table: Table, sign: str, values: Sequence[float] | None, *, single: bool) -> Table:
    """Do one operation with each cell and its constant; `single` rounds the constants too."""
    if values is None:
        return table
    numbers = array("f", values).tolist() if single and table.single else values
    if sign in "-/" and all(one == (0.0 if sign == "-" else 1.0) for one in numbers):
        return table
    written = [f"{cell} {sign} {literal(one)}" for cell, one in zip(table.cells, numbers)]  # noqa: B905
    return table._replace(cells=source.lets(written, single=table.single))


def _note(source: Source, table: Table, *values: Sequence[float]) -> None:
    """Tell the proof of values of each column."""
    for column, some in zip(table.columns, zip(*values)):  # noqa: B905
        if column is not None:
            source.points.add(column, some)


def _dense(step: Any, table: Table) -> None:
    if table.sparse:
        raise NotCompiled(f"{kind(step)} of a sparse matrix")


def _standard(step: Any, source: Source, table: Table) -> Table:
    _dense(step, table)
    guard(source, table, takes_nan=True)
    mean = step.mean_.tolist() if step.with_mean else None
    scale = step.scale_.tolist() if step.with_std else None
    if step.mean_ is not None and step.scale_ is not None:
        low = [m - 3 * s for m, s in zip(step.mean_.tolist(), step.scale_.tolist())]  # noqa: B905
        high = [m + 3 * s for m, s in zip(step.mean_.tolist(), step.scale_.tolist())]  # noqa: B905
        _note(source, table, low, step.mean_.tolist(), high)
    table = _each(source, table, "-", mean, single=True)
    return _each(source, table, "/", scale, single=True)


def _min_max(step: Any, source: Source, table: Table) -> Table:
    _dense(step, table)
    guard(source, table, takes_nan=True)
    _note(source, table, step.data_min_.tolist(), step.data_max_.tolist())
    table = _each(source, table, "*", step.scale_.tolist(), single=False)
    table = _each(source, table, "+", step.min_.tolist(), single=False)
    return _clip(source, table, step.feature_range) if step.clip else table


def _clip(source: Source, table: Table, limits: Sequence[float]) -> Table:
    low, high = (literal(array("f", [one])[0] if table.single else float(one)) for one in limits)
    written = [f"{low} if {cell} < {low} else {high} if {cell} > {high} else {cell}" for cell in table.cells]
    return table._replace(cells=source.lets(written, single=False))


def _max_abs(step: Any, source: Source, table: Table) -> Table:
    _dense(step, table)
    guard(source, table, takes_nan=True)
    largest = step.max_abs_.tolist()
    _note(source, table, largest, [-one for one in largest])
    table = _each(source, table, "/", step.scale_.tolist(), single=False)
    return _clip(source, table, (-1.0, 1.0)) if getattr(step, "clip", False) else table


def _robust(step: Any, source: Source, table: Table) -> Table:
    _dense(step, table)
    guard(source, table, takes_nan=True)
    centers = step.center_.tolist() if step.with_centering else [0.0] * len(table.cells)
    scales = step.scale_.tolist() if step.with_scaling else None
    spans = scales or [1.0] * len(table.cells)
    low, high = ([c + k * s for c, s in zip(centers, spans)] for k in (-2, 2))  # noqa: B905
    _note(source, table, low, centers, high)
    table = _each(source, table, "-", centers if step.with_centering else None, single=False)
    return _each(source, table, "/", scales, single=False)


def _imputer(step: Any, source: Source, table: Table) -> Table:
    _dense(step, table)
    if step.missing_values == step.missing_values:
        raise NotCompiled(f"missing values that are {step.missing_values!r}")
    is_text = step._fit_dtype.kind == "O"  # noqa: SLF001
    none = step.missing_values is None
    statistics = step.statistics_.tolist()
    if is_text:
        source.points.texts |= {column for column in table.columns if column is not None}
        source.points.filled |= set() if none else source.points.texts & set(table.columns)
        if not all(isinstance(one, str) for one in statistics):
            raise NotCompiled("text columns that are filled with no text")
    else:
        guard(source, table, takes_nan=True)
        _note(source, table, statistics)
        source.points.refuses_truth |= step.strategy in {"most_frequent", "constant"}
    cells, columns = [], []
    for cell, column, fill in zip(table.cells, table.columns, statistics):  # noqa: B905
        if is_missing(fill) and not step.keep_empty_features:
            continue
        value = array("f", [fill])[0] if table.single and not is_text else fill
        missing = f"{cell} is None" if none else f"{cell} != {cell}"
        cells.append(source.let(f"{literal(value)} if {missing} else {cell}"))
        columns.append(column)
    if getattr(step, "indicator_", None) is not None:
        for feature in step.indicator_.features_.tolist():
            cell = table.cells[feature]
            missing = f"{cell} is None" if none else f"{cell} != {cell}"
            cells.append(source.let(f"1.0 if {missing} else 0.0"))
            columns.append(None)
    return table._replace(cells=cells, columns=columns)


def _codes(step: Any, source: Source, table: Table, *, refuses: bool) -> list[tuple[str, int]]:
    """Write the place of each cell among its column's categories, -1 where it is unknown."""
    _dense(step, table)
    if any(one.dtype.kind in "iufb" for one in step.categories_):
        # text in such a column is no number to scikit-learn, or one, by what stands beside it
        raise NotCompiled(f"{kind(step)} of categories that are no text")
    codes = []
    for cell, column, categories in zip(table.cells, table.columns, step.categories_):  # noqa: B905
        values = categories.tolist()
        if not all(isinstance(one, str) or is_missing(one) for one in values):
            raise NotCompiled("categories of several types")
        if column is not None:
            source.points.add(column, [one for one in values if not is_missing(one)])
            source.points.texts.add(column)
        places = {one: place for place, one in enumerate(values) if not is_missing(one)}
        nan = next((place for place, one in enumerate(values) if one != one), -1)  # noqa: PLR0124
        none = next((place for place, one in enumerate(values) if one is None), -1)
        where = source.constant("{" + ", ".join(f"{literal(k)}: {v}" for k, v in places.items()) + "}", "C")
        asked = f"{nan} if {cell} != {cell} else {none} if {cell} is None else "
        code = source.let(f"{asked}{where}.get({cell}, -1)", "j")
        if refuses:
            source.body.append(f"if {code} < 0: unknown({cell})")
        codes.append((code, len(values)))
    return codes


def _one_hot(step: Any, source: Source, table: Table) -> Table:
    if getattr(step, "_infrequent_enabled", False):
        raise NotCompiled("categories that are grouped as infrequent")
    codes = _codes(step, source, table, refuses=step.handle_unknown == "error")
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(codes)
    cells = []
    for (code, count), drop in zip(codes, dropped):  # noqa: B905
        kept = [place for place in range(count) if place != drop]
        cells += [source.let(f"1.0 if {code} == {place} else 0.0") for place in kept]
    sparse = getattr(step, "sparse_output", getattr(step, "sparse", False))
    return Table(
        cells, [None] * len(cells), sparse=bool(sparse), single=_is_single(step.dtype), follows=False
    )


def _ordinal(step: Any, source: Source, table: Table) -> Table:
    if getattr(step, "_infrequent_enabled", False):
        raise NotCompiled("categories that are grouped as infrequent")
    codes = _codes(step, source, table, refuses=step.handle_unknown == "error")
    missing: Mapping[int, int] = getattr(step, "_missing_indices", {})
    cells = []
    for feature, (code, _) in enumerate(codes):
        text = f"float({code})"
        if feature in missing:
            text = f"{literal(float(step.encoded_missing_value))} if {code} == {missing[feature]} else {text}"
        if step.handle_unknown == "use_encoded_value":
            text = f"{literal(float(step.unknown_value))} if {code} < 0 else {text}"
        cells.append(source.let(text))
    return Table(cells, [None] * len(cells), single=_is_single(step.dtype), follows=False)


def _is_single(dtype: Any) -> bool:
    name = getattr(dtype, "__name__", str(dtype))
    if name not in {"float64", "float32", "float"}:
        raise NotCompiled(f"an encoder that gives {name}")
    return name == "float32"


def _column_transformer(step: Any, source: Source, table: Table) -> Table:
    _dense(step, table)
    cells: list[str] = []
    columns: list[int | None] = []
    parts: list[Table] = []
    for name, one, _ in step.transformers_:
        picks = list(step._transformer_to_input_indices[name])  # noqa: SLF001
        if (isinstance(one, str) and one == "drop") or not picks:
            continue
        part = table._replace(
            cells=[table.cells[pick] for pick in picks], columns=[table.columns[pick] for pick in picks]
        )
        part = transform(one, source, part)
        cells += part.cells
        columns += part.columns
        parts.append(part)
    return Table(
        cells,
        columns,
        single=all(part.single for part in parts),
        sparse=bool(step.sparse_output_),
        follows=all(part.follows for part in parts),
    )


def _polynomial(step: Any, source: Source, table: Table) -> Table:
    _dense(step, table)
    guard(source, table, takes_nan=False)
    made: dict[tuple[int, ...], str] = {(feature,): cell for feature, cell in enumerate(table.cells)}
    cells, columns = [], []
    lowest, highest = step._min_degree, step._max_degree  # noqa: SLF001
    width = len(table.cells)
    for some in step._combinations(width, lowest, highest, step.interaction_only, step.include_bias):  # noqa: SLF001
        if not some:
            cells.append("1.0")
        elif len(some) == 1:
            cells.append(made[some])
        else:
            for end in range(len(some) - 2, -1, -1):
                part = some[end:]
                if part not in made:
                    product = f"{made[part[1:]]} * {table.cells[part[0]]}"
                    made[part] = source.lets([product], single=table.single)[0]
            cells.append(made[some])
        columns.append(table.columns[some[0]] if len(some) == 1 else None)
    return table._replace(cells=cells, columns=columns, follows=False)


def _selector(step: Any, source: Source, table: Table) -> Table:
    _dense(step, table)
    if not takes_nan(step):  # those that take NaN take infinities, too
        guard(source, table, takes_nan=False)
    kept = step.get_support(indices=True).tolist()
    return table._replace(
        cells=[table.cells[one] for one in kept], columns=[table.columns[one] for one in kept]
    )


def _function(step: Any, _: Source, table: Table) -> Table:
    if step.func is not None or step.validate:
        raise NotCompiled("a FunctionTransformer with a function")
    return table


_STEPS: Mapping[str, Callable[[Any, Source, Table], Table]] = {
    "sklearn.Pipeline": _pipeline,
    "sklearn.ColumnTransformer": _column_transformer,
    "sklearn.FunctionTransformer": _function,
    "sklearn.StandardScaler": _standard,
    "sklearn.MinMaxScaler": _min_max,
    "sklearn.MaxAbsScaler": _max_abs,
    "sklearn.RobustScaler": _robust,
    "sklearn.SimpleImputer": _imputer,
    "sklearn.OneHotEncoder": _one_hot,
    "sklearn.OrdinalEncoder": _ordinal,
    "sklearn.PolynomialFeatures": _polynomial,
    **{
        f"sklearn.{name}": _selector
        for name in (
            "VarianceThreshold",
            "SelectKBest",
            "SelectPercentile",
            "SelectFromModel",
            "RFE",
            "RFECV",
        )
    },
}
