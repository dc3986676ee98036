"""The lattice gas in a loop of Numba: another implementation than the library's, and faster.

It draws from xoshiro256+ (Blackman, Vigna, ACM Trans. Math. Softw. 47 (2021), doi:10.1145/3460772),
two sites a number where 32 bits will do, and knows neither derivatives nor streams.
"""

from __future__ import annotations

import numba
import numpy as np

_AXIS = np.sqrt(2) * (np.sqrt(2) - 1) / 4


@numba.njit(cache=True)
def _next(s):
    found = s[0] + s[3]
    t = s[1] << np.uint64(17)
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= t
    s[3] = (s[3] << np.uint64(45)) | (s[3] >> np.uint64(19))
    return found


@numba.njit(cache=True)
def _uniform(s):
    return (_next(s) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True)
def _diffuse(x, excited, moves, u, top, s):
    """Excite every site, and move what is excited if it ``moves``, to where u leads."""
    rows, columns = x.shape
    for i in range(rows):
        for j in range(0, columns, 2):
            bits = _next(s)
            low, high = bits & np.uint64(0xFFFFFFFF), bits >> np.uint64(32)
            excited[i, j] = low * top < x[i, j] * 4294967296.0
            if j + 1 < columns:
                excited[i, j + 1] = high * top < x[i, j + 1] * 4294967296.0
    if not moves:
        return
    k = int(u / _AXIS) if u < 4 * _AXIS else 4 + int((u - 4 * _AXIS) / ((1 - 4 * _AXIS) / 4))
    down = (1, -1, 0, 0, 1, 1, -1, -1)[min(k, 7)]
    right = (0, 0, 1, -1, 1, -1, 1, -1)[min(k, 7)]
    for i in range(rows):
        for j in range(columns):
            x[i, j] += excited[(i - down) % rows, (j - right) % columns] - excited[i, j]


@numba.njit(cache=True)
def _react(a, b, params, rate, top, s):
    k1, k2, k3 = params[0], params[1], params[2]
    scale = (top - 1) * (top - 2)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            u = 6 * _uniform(s)
            channel = int(u)
            left = (u - channel) / rate
            n, m = a[i, j], b[i, j]
            if channel == 0:
                a[i, j] += left < k1 * n * (n - 1) * (top - n) / scale
            elif channel == 1:
                a[i, j] -= left < k1 * n * (top - n) * (top - 1 - n) / scale
            elif channel == 2:
                a[i, j] += left < k2 / top * (top - n) * m
            elif channel == 3:
                a[i, j] -= left < k2 / top * n * (top - m)
            elif channel == 4:
                b[i, j] += left < k3 / top * (top - n) * (top - m)
            else:
                b[i, j] -= left < k3 / top * n * m


@numba.njit(cache=True)
def _run(a, b, params, rate, top, steps, s):
    excited = np.zeros(a.shape, np.int64)
    for _ in range(steps):
        # All numbers are drawn, used or not, so that runs at other parameters share theirs.
        moves, u = _uniform(s) < params[3], _uniform(s)
        _diffuse(a, excited, moves, u, top, s)
        moves, u = _uniform(s) < params[4], _uniform(s)
        _diffuse(b, excited, moves, u, top, s)
        _react(a, b, params, rate, top, s)


def after(frame, params, steps, seed, rate=0.005, top=50):
    """Return the frame [2, rows, columns] after steps at params [5] (k1, k2, k3, D_A, D_B)."""
    a, b = (np.array(part, np.int64) for part in frame)
    state = np.random.default_rng(seed).integers(1, 2**63, 4).astype(np.uint64)
    _run(a, b, np.asarray(params, float), rate, float(top), steps, state)
    return np.stack([a, b])


def stripe(size, top=50):
    """Return the first frame [2, size, size]."""
    frame = np.full((2, size, size), top // 2)
    frame[0, size // 2 - 3 : size // 2 + 3] = 8 * top // 10
    return frame


def movie(params, frames, interval, seed, size=64):
    """Return the movie [frames + 1, 2, size, size] from a stripe."""
    found = [stripe(size)]
    for k in range(frames):
        found.append(after(found[-1], params, interval, (seed, k)))
    return np.array(found)
