"""``python -m tumble.kernels._compile FILE``: compile a kernel that was written for one network."""

from __future__ import annotations

import sys

import numpy as np

from tumble.kernels._lanes import Job
from tumble.kernels._tables import law_tables, network_tables
from tumble.models import ReactionNetwork


def empty_job(has_laws: bool) -> Job:
    """Return a `Job` of no runs: calling a kernel with it compiles the kernel."""
    network = ReactionNetwork.from_text("A => 0 ; k * A" if has_laws else "A -> 0 ; k")
    return Job(
        network_tables(network),
        law_tables(network),
        np.empty((0, 1)),
        np.empty((0, 1)),
        np.empty((0, 1), np.int64),
        0.0,
        np.zeros(1),
        np.uint64(0),
        np.empty(0, np.uint64),
        1,
        np.empty((0, 1, 1), np.int64),
        np.empty(0, np.int64),
        np.empty(0, np.int64),
        np.empty(0, np.int64),
    )


if __name__ == "__main__":
    from tumble.kernels._generated import compile_module

    compile_module(sys.argv[1])
