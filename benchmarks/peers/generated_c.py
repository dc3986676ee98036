"""C generated for the network, one run after another: what compiled scalar code can reach."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from peers._c_source import c_source
from peers._engine import AbstractEngine, Network

FLAGS = ("-O3", "-march=native")


class GeneratedC(AbstractEngine):
    """Scalar C with the network and its rates as constants, called through ctypes. Final."""

    packages: ClassVar = ("numpy",)
    interface: ClassVar = "scalar C generated for the model, xoshiro256++, " + " ".join(FLAGS)
    is_peer: ClassVar = False
    counts_events: ClassVar = True

    def load(self) -> None:
        """See `AbstractEngine.load`."""
        import numpy

        self._np = numpy

    def prepare(self, network: Network) -> None:
        """Write the source, compile it, and load the library."""
        np = self._np
        with tempfile.TemporaryDirectory() as folder:
            source, library = Path(folder, "network.c"), Path(folder, "network.so")
            source.write_text(c_source(network), encoding="utf-8")
            command = [compiler(), *FLAGS, "-shared", "-fPIC", str(source), "-o", str(library)]
            subprocess.run([*command, "-lm"], check=True)
            self._function = ctypes.CDLL(str(library)).simulate
        array = np.ctypeslib.ndpointer
        self._function.restype = ctypes.c_int64
        self._function.argtypes = [
            ctypes.c_int64, ctypes.c_uint64, ctypes.c_int64,
            array(np.float64, flags="C"), array(np.int64, flags="C"), array(np.int64, flags="C"),
        ]  # fmt: skip
        self._initial = np.array(network.initial, dtype=np.int64)
        self._times = np.linspace(0.0, network.end, network.num_times)

    def run(self, runs: int, seed: int) -> Any:
        """See `AbstractEngine.run`."""
        states = self._np.empty((runs, len(self._times), len(self._initial)), self._np.int64)
        events = self._function(runs, seed, len(self._times), self._times, self._initial, states)
        return states, events

    def last(self, result: Any) -> Any:
        """See `AbstractEngine.last`."""
        return result[0][:, -1]

    def events(self, result: Any) -> int:
        """See `AbstractEngine.events`."""
        return int(result[1])


def compiler() -> str:
    """Return the C compiler: that of ``CC``, or the first found of gcc, clang and cc."""
    wanted = os.environ.get("CC")
    for name in [wanted] if wanted else ["gcc", "clang", "cc"]:
        if shutil.which(name):
            return name
    raise FileNotFoundError("no C compiler: install gcc or clang, or name one in CC")
