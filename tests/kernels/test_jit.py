"""Parts of kernels have no entrance for Python."""

import gc

import pytest
from numba.core.registry import CPUDispatcher

from tumble.kernels._jit import kernel, part


@part
def half(x):
    return x / 2


@kernel
def quarter(x):
    return half(half(x))


def test_a_part_serves_kernels_but_not_python():
    assert quarter(3.0) == 0.75
    with pytest.raises(TypeError, match=r"half is a part of kernels .* call half\.py_func"):
        half(3.0)
    assert half.py_func(3.0) == 1.5


def test_the_collector_rests_while_kernels_compile(monkeypatch):
    seen = []
    monkeypatch.setattr(CPUDispatcher, "compile", lambda self, sig: seen.append(gc.isenabled()))
    quarter.compile("i8(i8)")
    assert seen == [False] and gc.isenabled()
    gc.disable()
    try:
        quarter.compile("i8(i8)")
        assert not gc.isenabled()
    finally:
        gc.enable()
