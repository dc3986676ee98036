"""Compiled CPU kernels behind the simulators: the only place that knows Numba.

A kernel is a plain function of arrays that fills arrays; simulators import it when they first run,
so that ``import tumble`` does not pay for Numba.
"""
