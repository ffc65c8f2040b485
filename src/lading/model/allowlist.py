"""What a pickle may name: `(module, name)` exactly, and what may be done with it while it is loaded.

There are no wildcards: `sklearn.datasets`, `pandas.io`, `joblib.numpy_pickle.load` and many more of the same
packages run commands or read files. What evaluates a text of its state, as data of statsmodels and
distributions of `scipy.stats` do, `states.py` looks at. A kind says what is allowed:

- `class` and the kinds of estimators: an instance may be made;
- `call`: the function may be called while loading, with data and classes as arguments, never functions;
- `bind`: the function may also be held by a `functools.partial`; `name`: it may be held by an estimator.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

ESTIMATOR_KINDS = frozenset({"classifier", "regressor", "clusterer", "outlier", "transformer", "estimator"})
OWN_CLASS, OWN_FUNCTION = "own class", "own function"
"""Kinds of what the author's own modules define; never on the list."""
CONSTRUCTIBLE = ESTIMATOR_KINDS | {"class", OWN_CLASS}

_BY_HAND = """
class builtins bool bytearray bytes complex dict float frozenset int list object set slice str tuple range
class collections Counter OrderedDict defaultdict deque
class datetime date datetime time timedelta timezone
class decimal Decimal
class fractions Fraction
class uuid UUID
class functools partial
class types SimpleNamespace
class pathlib Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath
class pathlib._local Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath
name builtins Ellipsis NotImplemented
call _codecs encode
call copyreg _reconstructor

class numpy dtype ndarray matrix bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 intc uintc
class numpy float16 float32 float64 longdouble complex64 complex128 str_ bytes_ void datetime64 timedelta64
class numpy.dtypes BoolDType Int8DType Int16DType Int32DType Int64DType UInt8DType UInt16DType UInt32DType
class numpy.dtypes UInt64DType Float16DType Float32DType Float64DType StrDType BytesDType ObjectDType
class numpy.matrixlib.defmatrix matrix
class numpy.ma MaskedArray
class numpy.ma.core MaskedArray
class numpy.random._mt19937 MT19937
class numpy.random._pcg64 PCG64 PCG64DXSM
class numpy.random._philox Philox
class numpy.random._sfc64 SFC64
class numpy.random.bit_generator SeedSequence
call numpy._core.multiarray _reconstruct scalar
call numpy._core.numeric _frombuffer
call numpy.core.multiarray _reconstruct scalar
call numpy.core.numeric _frombuffer
call numpy.ma.core _mareconstruct
call numpy.random._pickle __bit_generator_ctor __generator_ctor __randomstate_ctor
call numpy.random.bit_generator __pyx_unpickle_SeedSequence
name numpy memmap object_
name numpy abs absolute add amax amin asarray cbrt ceil clip cos cosh degrees diff divide exp exp2 expm1 floor
name numpy log log10 log1p log2 maximum max mean median min minimum multiply nan_to_num negative power radians
name numpy reciprocal rint round sign sin sinh sqrt square std subtract sum tan tanh transpose true_divide var

class scipy.interpolate._bsplines BSpline
class scipy.sparse._bsr bsr_array bsr_matrix
class scipy.sparse._coo coo_array coo_matrix
class scipy.sparse._csc csc_array csc_matrix
class scipy.sparse._csr csr_array csr_matrix
class scipy.sparse.csc csc_matrix
class scipy.sparse.csr csr_matrix
name scipy._lib.array_api_compat.numpy._aliases asarray
name scipy.special._ufuncs expit logit
class scipy.optimize._lbfgsb_py LbfgsInvHessProduct
class scipy.optimize._optimize OptimizeResult
class scipy.stats._continuous_distns beta_gen cauchy_gen chi2_gen expon_gen gamma_gen halfcauchy_gen
class scipy.stats._continuous_distns halfnorm_gen invgamma_gen laplace_gen logistic_gen lognorm_gen norm_gen
class scipy.stats._continuous_distns pareto_gen powerlaw_gen reciprocal_gen t_gen triang_gen truncnorm_gen
class scipy.stats._continuous_distns uniform_gen weibull_min_gen
class scipy.stats._distn_infrastructure rv_continuous_frozen rv_frozen

class pandas ArrowDtype BooleanDtype Categorical CategoricalDtype CategoricalIndex DataFrame DatetimeIndex
class pandas DatetimeTZDtype Float32Dtype Float64Dtype Index Int16Dtype Int32Dtype Int64Dtype Int8Dtype
class pandas Interval IntervalDtype IntervalIndex MultiIndex Period PeriodDtype PeriodIndex RangeIndex Series
class pandas SparseDtype StringDtype TimedeltaIndex UInt16Dtype UInt32Dtype UInt64Dtype UInt8Dtype
class pandas.arrays ArrowExtensionArray ArrowStringArray BooleanArray Categorical DatetimeArray FloatingArray
class pandas.arrays IntegerArray IntervalArray PeriodArray SparseArray StringArray TimedeltaArray
class pandas.core.arrays.arrow.array ArrowExtensionArray
class pandas.core.arrays.boolean BooleanArray BooleanDtype
class pandas.core.arrays.categorical Categorical
class pandas.core.arrays.datetimes DatetimeArray
class pandas.core.arrays.floating Float32Dtype Float64Dtype FloatingArray
class pandas.core.arrays.integer Int8Dtype Int16Dtype Int32Dtype Int64Dtype IntegerArray
class pandas.core.arrays.integer UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype
class pandas.core.arrays.interval IntervalArray
class pandas.core.arrays.period PeriodArray
class pandas.core.arrays.sparse.array SparseArray
class pandas.core.arrays.sparse.dtype SparseDtype
class pandas.core.arrays.string_ StringArray StringDtype
class pandas.core.arrays.string_arrow ArrowStringArray ArrowStringArrayNumpySemantics
class pandas.core.arrays.timedeltas TimedeltaArray
class pandas.core.dtypes.dtypes ArrowDtype CategoricalDtype DatetimeTZDtype IntervalDtype
class pandas.core.dtypes.dtypes PeriodDtype SparseDtype
class pandas.core.frame DataFrame
class pandas.core.indexes.base Index
class pandas.core.indexes.category CategoricalIndex
class pandas.core.indexes.datetimes DatetimeIndex
class pandas.core.indexes.interval IntervalIndex
class pandas.core.indexes.multi MultiIndex
class pandas.core.indexes.numeric Float64Index Int64Index UInt64Index
class pandas.core.indexes.period PeriodIndex
class pandas.core.indexes.range RangeIndex
class pandas.core.indexes.timedeltas TimedeltaIndex
class pandas.core.internals.managers BlockManager SingleBlockManager
class pandas.core.series Series
class pandas._libs.interval Interval
class pandas._libs.sparse BlockIndex IntIndex
class pandas._libs.tslibs.offsets Day Hour Minute Second Milli Micro Nano Week Tick
class pandas._libs.tslibs.offsets BusinessDay CustomBusinessDay
class pandas._libs.tslibs.offsets MonthBegin MonthEnd BusinessMonthBegin BusinessMonthEnd
class pandas._libs.tslibs.offsets QuarterBegin QuarterEnd BQuarterBegin BQuarterEnd
class pandas._libs.tslibs.offsets YearBegin YearEnd BYearBegin BYearEnd SemiMonthBegin SemiMonthEnd
class pandas._libs.tslibs.period Period
class pandas NA
class pandas._libs.missing NA
call pandas._libs.interval __pyx_unpickle_IntervalMixin
call pandas._libs.arrays __pyx_unpickle_NDArrayBacked
call pandas._libs.internals _unpickle_block
call pandas._libs.tslibs.nattype __nat_unpickle _nat_unpickle
call pandas._libs.tslibs.timedeltas _timedelta_unpickle
call pandas._libs.tslibs.timestamps _unpickle_timestamp
call pandas.core.indexes.base _new_Index
call pandas.core.indexes.datetimes _new_DatetimeIndex
call pandas.core.indexes.interval _new_IntervalIndex
call pandas.core.indexes.period _new_PeriodIndex
call pandas.core.indexes.timedeltas _new_TimedeltaIndex
call pyarrow.lib _restore_array py_buffer timestamp type_for_alias
call pytz _UTC _p

bind sklearn.utils.validation check_array

call torch.jit._pickle build_boollist build_doublelist build_intlist build_tensorlist restore_type_tag

class xgboost.core Booster
classifier xgboost.sklearn XGBClassifier XGBRFClassifier
regressor xgboost.sklearn XGBRegressor XGBRFRegressor XGBRanker
class catboost.core CatBoost
classifier catboost.core CatBoostClassifier
regressor catboost.core CatBoostRegressor CatBoostRanker
class lightgbm.basic Booster
class lightgbm.compat _LGBMLabelEncoder LGBMLabelEncoder
classifier lightgbm.sklearn LGBMClassifier
regressor lightgbm.sklearn LGBMRegressor LGBMRanker
"""

_MADE = ("allowlist_sklearn.txt", "allowlist_statsmodels.txt", "allowlist_torch.txt")


@cache
def allowed_names() -> dict[tuple[str, str], str]:
    """Read the list: `(module, name)` to kind."""
    names = {}
    for line in _BY_HAND.split("\n"):
        if line:
            kind, module, *listed = line.split()
            names.update({(module, name): kind for name in listed})
    for file in _MADE:
        for line in Path(__file__).with_name(file).read_text("utf-8").split("\n"):
            if line and not line.startswith("#"):
                kind, module, name = line.split()
                names.setdefault((module, name), kind)
    return names
