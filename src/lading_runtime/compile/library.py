"""What every compiled form begins with: Python text, for a form imports the standard library alone."""

from __future__ import annotations

RAISED = '''\
def raised(value):
    """Return e to a power, infinite where that is too large."""
    try:
        return exp(value)
    except OverflowError:
        return INF'''
"""For forms that are held to a tolerance: an exponential's last bit is the original's own affair."""

MODULE = '''\
"""A compiled model; made by lading, equal to the original as its proof says."""
from array import array
from math import exp, fsum, ldexp

NAN, INF = float("nan"), float("inf")


def check(cells, takes_nan, dtype):
    for one in cells:
        if one in (INF, -INF):
            raise ValueError(f"Input X contains infinity or a value too large for dtype('{dtype}').")
        if one != one and not takes_nan:
            raise ValueError("Input X contains NaN.")


TABLE = [2.0 ** (one / 32.0) for one in range(32)]


def expf(value):
    """Return glibc's `expf`, as its polynomial has it, before it is rounded to single precision."""
    if value != value:
        return value
    if value > 88.72283172607421875:
        return INF
    if value < -103.97207641601562:
        return 0.0
    # Szabolcs Nagy's, of Arm's optimized routines
    scaled = value * 46.16624130844683
    whole = round(scaled)
    rest = scaled - whole
    high = 1.6938359250920212e-06 * rest + 0.00023459809789509004
    low = 0.021660849396613134 * rest + 1.0
    power, place = divmod(whole, 32)
    return (high * (rest * rest) + low) * ldexp(TABLE[place], power)


def sigmoid_single(value):
    raised = array("f", (expf(min(-value, array("f", (88.7,))[0])),))[0]
    return array("f", (1.0 / array("f", (raised + 1.0,))[0],))[0]


def softmax_single(scores):
    most = max(scores)
    raised = array("f", map(expf, array("f", [one - most for one in scores])))
    total = 0.0
    for one in raised:
        total += one
    total = array("f", (total,))[0]
    return array("f", [one / total for one in raised])


try:
    from math import fma as fused

    def halves(numbers):
        """Give numbers as they are, for what multiplies and adds at once needs no more."""
        return numbers, None, None
except ImportError:  # before Python 3.13

    def fused(one, other, added):
        """Multiply and add, rounding once (Dekker's product, and a sum that is exact)."""
        product = one * other
        most = max(abs(one), abs(other), abs(added), abs(product))
        if not (1e-200 < abs(product) and most < 1e200):
            return fused_slowly(one, other, added)
        wide = 134217729.0 * one
        high = wide - (wide - one)
        low = one - high
        wide = 134217729.0 * other
        over = wide - (wide - other)
        under = other - over
        return fsum((product, ((high * over - product) + high * under + low * over) + low * under, added))

    def halves(numbers):
        """Split numbers so that products of the parts are exact; not those near the end of what there is."""
        for one in numbers:
            if not (1e-130 < abs(one) < 1e130 or one == 0.0):
                return numbers, None, None
        highs = [(wide := 134217729.0 * one) - (wide - one) for one in numbers]
        return numbers, highs, [one - high for one, high in zip(numbers, highs)]


def fused_slowly(one, other, added):
    if added - added != 0.0:
        return added
    if one == 0.0 or other == 0.0:
        return one * other + added
    from fractions import Fraction

    exact = Fraction(one) * Fraction(other) + Fraction(added)
    try:
        return float(exact) if exact else one * other + added
    except OverflowError:
        return INF if exact > 0 else -INF


def dot(cells, weights):
    """Add as OpenBLAS's dgemm does, and its ddot for few numbers: one product after another."""
    (cells, highs, lows), (weights, overs, unders) = cells, weights
    total = 0.0
    if highs is None or overs is None:
        for cell, weight in zip(cells, weights):
            total = fused(cell, weight, total)
        return total
    for cell, high, low, weight, over, under in zip(cells, highs, lows, weights, overs, unders):
        product = cell * weight
        total = fsum((product, ((high * over - product) + high * under + low * over) + low * under, total))
    return total


def finish(cells, weights, start, total):
    """Add what is left after whole fours."""
    rest = len(cells) - start
    if rest == 1:
        return fused(cells[start], weights[start], total)
    if rest:
        left = fused(cells[start], weights[start], cells[start + 1] * weights[start + 1])
        if rest == 3:
            left = fused(cells[start + 2], weights[start + 2], left)
        total += left
    return total


def dot_fused_fours(cells, weights):
    """Add as OpenBLAS's dgemv_t does for four of its columns."""
    cells, weights = cells[0], weights[0]
    whole = len(cells) & ~3
    a = b = c = d = 0.0
    for i in range(0, whole, 4):
        a = fused(cells[i], weights[i], a)
        b = fused(cells[i + 1], weights[i + 1], b)
        c = fused(cells[i + 2], weights[i + 2], c)
        d = fused(cells[i + 3], weights[i + 3], d)
    return finish(cells, weights, whole, (a + c) + (b + d))


def dot_fours(cells, weights):
    """Add as dgemv_t does for a last column."""
    cells, weights = cells[0], weights[0]
    whole = len(cells) & ~3
    a = b = c = d = 0.0
    for i in range(0, whole, 4):
        a += cells[i] * weights[i]
        b += cells[i + 1] * weights[i + 1]
        c += cells[i + 2] * weights[i + 2]
        d += cells[i + 3] * weights[i + 3]
    return finish(cells, weights, whole, (a + c) + (b + d))


def dot_twos(cells, weights):
    """Add as dgemv_t does for two columns before the last."""
    cells, weights = cells[0], weights[0]
    whole = len(cells) & ~3
    a = b = 0.0
    for i in range(0, whole, 2):
        a += cells[i] * weights[i]
        b += cells[i + 1] * weights[i + 1]
    return finish(cells, weights, whole, a + b)


def dot_groups(cells, weights):
    """Add as dgemv_n does: four columns at once, then two, then one."""
    cells, weights = cells[0], weights[0]
    total = 0.0
    start, count = 0, len(cells)
    while start < count:
        step = 4 if count - start >= 4 else 2 if count - start >= 2 else 1
        part = cells[start] * weights[start]
        if step > 1:
            part = fused(cells[start], weights[start], cells[start + 1] * weights[start + 1])
        for i in range(start + 2, start + step):
            part = fused(cells[i], weights[i], part)
        total += part
        start += step
    return total


def dot_pairs(cells, weights):
    """Add as dgemv_n does for a matrix of two or three rows."""
    cells, weights = cells[0], weights[0]
    whole = len(cells) & ~3
    total = 0.0
    for i in range(0, whole, 2):
        total += fused(cells[i], weights[i], cells[i + 1] * weights[i + 1])
    for i in range(whole, len(cells)):
        total = fused(cells[i], weights[i], total)
    return total


def turns(count, by_columns):
    """Return the order of each of several sums that dgemv makes at once."""
    whole = count & ~3
    if by_columns and not whole:
        return [dot_pairs] * count
    if by_columns:
        return [dot_groups] * whole + [dot] * (count - whole)
    return [dot_fused_fours] * whole + [dot_twos] * (count & 2) + [dot_fours] * (count & 1)


def highest(scores):
    """Return the place of the first that is highest; NaN is, to numpy."""
    for place, one in enumerate(scores):
        if one != one:
            return place
    return scores.index(max(scores))


def unknown(cell):
    raise ValueError(f"Found unknown category {cell!r} during transform")


def expit(value):
    try:
        return 1.0 / (1.0 + exp(-value))
    except OverflowError:
        return 0.0


def softmax(scores):
    most = max(scores)
    raised = [exp(one - most) for one in scores]
    total = add_up(raised)
    return [one / total for one in raised]


def softmax_in_order(scores):
    most = max(scores)
    raised = [exp(one - most) for one in scores]
    total = 0.0
    for one in raised:
        total += one
    return [one / total for one in raised]


def add_up(numbers):
    """Add as numpy does: eight sums side by side where there are eight."""
    whole = len(numbers) // 8 * 8
    if not whole:
        return sum(numbers[1:], numbers[0])
    sums = numbers[:8]
    for start in range(8, whole, 8):
        sums = [one + other for one, other in zip(sums, numbers[start:start + 8])]
    total = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    for one in numbers[whole:]:
        total += one
    return total
'''
