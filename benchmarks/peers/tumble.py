"""tumble, in the environment that runs the benchmark."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from peers._engine import AbstractEngine, Network, text_of


class Tumble(AbstractEngine):
    """`tumble.simulate` with its default, `DirectMethod`; rates are parameters. Final.

    The limit on events is set, so that a network whose runs may explode is noticed.
    """

    packages: ClassVar = ("tumble", "numba", "numpy")
    interface: ClassVar = "`tumble.simulate`, one call"
    is_peer: ClassVar = False
    counts_events: ClassVar = True
    batch = 100  # what a call costs by itself is spread over its runs

    def load(self) -> None:
        """See `AbstractEngine.load`."""
        import tumble
        from tumble.models import ReactionNetwork
        from tumble.simulators import DirectMethod

        self._simulate, self._model, self._method = tumble.simulate, ReactionNetwork, DirectMethod

    def prepare(self, network: Network) -> None:
        """See `AbstractEngine.prepare`."""
        lines, self._params = [], {}
        for r, (left, right, rate) in enumerate(network.reactions):
            lines.append(f"{text_of(left)} -> {text_of(right)} ; rate_{r}")
            self._params[f"rate_{r}"] = rate
        self._network = self._model.from_text("\n".join(lines), species=network.species)
        self._simulator = self._method(max_events=network.most_events)
        self._initial = network.start
        steps = network.num_times - 1
        self._times = [network.end * i / steps for i in range(steps + 1)]

    def run(self, runs: int, seed: int) -> Any:
        """See `AbstractEngine.run`."""
        return self._simulate(
            self._network,
            self._params,
            initial=self._initial,
            times=self._times,
            num_samples=runs,
            seed=seed,
            simulator=self._simulator,
        )

    def settle(self) -> None:
        """See `AbstractEngine.settle`: a kernel of its own, if the first call asked for one."""
        from tumble.kernels._generated import GeneratedKernel

        kernel = GeneratedKernel(self._network)
        while kernel.is_compiling:
            time.sleep(0.05)

    def hurry(self) -> None:
        """See `AbstractEngine.hurry`."""
        from tumble.kernels._generated import GeneratedKernel

        GeneratedKernel(self._network).wait(120.0)

    def last(self, result: Any) -> Any:
        """See `AbstractEngine.last`."""
        if result.codes.any():
            raise RuntimeError(f"{int((result.codes != 0).sum())} runs failed")
        return result.data.values[:, -1]

    def events(self, result: Any) -> int:
        """See `AbstractEngine.events`."""
        return int(result.stats["events"])
