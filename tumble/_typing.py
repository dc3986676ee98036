"""Array types used in signatures. Shapes are written in the docstrings with the letters below.

B runs in a batch · T observation times · S species · R reactions · P fitted parameters ·
Q model parameters · O observables · F features of the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
IdArray: TypeAlias = NDArray[np.uint64]
JaxArray: TypeAlias = Any  # a jax.Array or a tracer; JAX is imported where it is used
Params: TypeAlias = Mapping[str, Any]  # name -> number or array
