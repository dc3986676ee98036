"""What a search for networks does, and what it has found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from tumble._typing import FloatArray
from tumble.structure._beyond import Beyond, look_beyond
from tumble.structure._descent import Descent
from tumble.structure._posterior import ITERATIONS, Gains, Network, NetworkPosterior, Weighed

ROUGHLY = 15  # iterations, for these
_MANY = 4  # times as many series as the few that are looked at first
_CLOSELY = 100  # networks that are looked at closely, before their neighbors


class AbstractSearch(ABC):
    """How networks are sought.

    A search says which networks are worth weighing, and where their rates might be. What they weigh
    is the posterior's to say, the same one for all searches; so the results of all can be compared.
    """

    @abstractmethod
    def run(self, posterior: NetworkPosterior) -> Found:
        """Return all networks that were weighed."""

    def look_closely(self, found: Found) -> Found:
        """Return the networks that matter, weighed by known steps, where all states are seen.

        Default: the hundred best of those that were weighed before; of the others the probability
        is estimated, by how far they were behind. Where none of them can make all the steps that
        were seen, what was found stays as it is.
        """
        again = found.weighed_closely()
        if again is not found:
            again.pass_over_rest(found)
        return again

    def look_beyond(self, found: Found) -> None:
        """Estimate how probable networks are that it has not come to. Default: not at all."""
        found.beyond = None


@dataclass
class Found:
    """The networks that were weighed, and estimates of others that were passed over.

    Those that are worse than the best by more than ``depth`` are not weighed to the end, nor are
    any by more than ``iterations``. Where there is a ``rough`` one, a network is weighed by that
    first, and not here if it is hopeless there, unless it has reactions that fire seldom.
    """

    posterior: NetworkPosterior
    depth: float
    iterations: int = ITERATIONS
    weighed: dict[Network, Weighed] = field(default_factory=dict)
    complete: bool = False
    interrupted: bool = False
    descents: list[Descent] = field(default_factory=list)
    rough: Found | None = None
    beyond: Beyond | None = None
    _best: Weighed | None = None
    _within: dict[Network, float] = field(default_factory=dict)
    _estimates: dict[Network, float] = field(default_factory=dict)
    _gains: dict[Network, Gains] = field(default_factory=dict)

    def weigh(
        self, network: Network, start: dict[int, float], within: float | None = None
    ) -> Weighed:
        """Return a network weighed, once.

        It need not be weighed to the end where it does not come ``within`` so much of the best log
        posterior, default ``depth``. Where there are many series, a few of them have to speak for
        it first.
        """
        within = self.depth if within is None else within
        if not self.knows(network, within):
            if network in self.weighed:
                start = self.posterior.start_with(self.weighed[network])
            start, hopeless = (self._tried if self.rough is None else self._roughly)(network, start)
            floor = self.best.log_posterior - within if self.weighed else -np.inf
            self._keep(hopeless or self.posterior.weigh(network, start, floor, self.iterations))
            self._within[network] = within
        return self.weighed[network]

    def knows(self, network: Network, within: float | None = None) -> bool:
        """Return whether a network was weighed, to the end or ``within`` so much of the best."""
        if network not in self.weighed:
            return False
        within = self.depth if within is None else within
        return self.weighed[network].settled or self._within[network] >= within

    @cached_property
    def few(self) -> NetworkPosterior | None:
        """The posterior given a few of many series; None where they are not many."""
        few = self.posterior.of_few_series()
        many = self.posterior.likelihood.num_series >= _MANY * few.likelihood.num_series
        return few if many else None

    def pass_over(self, network: Network, log_posterior: float) -> None:
        """Note about how probable a network is that is not going to be weighed."""
        known = self._estimates.get(network, -np.inf)
        self._estimates[network] = max(known, log_posterior)

    def pass_over_rest(self, others: Found) -> None:
        """Pass over what ``others`` knows and this does not: as far behind as it was there."""
        offset = self.best.log_posterior - others.best.log_posterior
        for network, log_posterior in others._logs().items():
            if network not in self.weighed:
                self.pass_over(network, log_posterior + offset)

    def follow(self, descent: Descent) -> None:
        """Weigh the networks that a descent passed through, and no others, and keep it.

        Each is weighed from the rates at which the descent left it, the last one first.
        """
        left = dict(zip(descent.networks, descent.rates, strict=True))
        for network in dict.fromkeys(reversed(descent.networks)):
            logs = np.log(left[network]).tolist()
            start = dict(zip(sorted(network), logs, strict=True))
            self.weigh(self.posterior.library.closed(network), start)
        self.descents.append(descent)

    def gains(self, here: Weighed) -> Gains:
        """Return `NetworkPosterior.gains`, once."""
        if here.network not in self._gains:
            self._gains[here.network] = self.posterior.gains(here)
        return self._gains[here.network]

    def weighed_closely(self) -> Found:
        """Return the networks that are not hopeless, weighed by `KnownSteps`; itself if none is."""
        again = Found(
            replace(self.posterior, closely=True), self.depth, complete=self.complete,
            descents=self.descents, rough=self,
        )  # fmt: skip
        try:
            for weighed, _ in self.ranked()[:_CLOSELY]:
                again.weigh(weighed.network, self.posterior.start_with(weighed))
        except KeyboardInterrupt:
            again.interrupted = True
        if again.weighed and again.best.log_posterior > -np.inf:
            return again
        self.interrupted |= again.interrupted
        return self

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """End a search at Ctrl-C with what was weighed so far, if anything was."""
        try:
            yield
        except KeyboardInterrupt:
            if not self.weighed:
                raise
            self.interrupted = True

    @property
    def best(self) -> Weighed:
        """The most probable network."""
        if self._best is None:
            self._best = max(self.weighed.values(), key=lambda w: w.log_posterior)
        return self._best

    def ranked(self) -> list[tuple[Weighed, float]]:
        """Return the networks that were weighed, with probabilities, most probable first."""
        shares = self._shares()
        ranked = sorted(self.weighed.values(), key=lambda w: -w.log_posterior)
        return [(w, shares[w.network]) for w in ranked]

    def inclusion(self) -> FloatArray:
        """Return the probability of each candidate [R]."""
        total = np.zeros(len(self.posterior.library))
        for network, share in self._shares().items():
            total[sorted(network)] += share
        if self.beyond is not None:
            total += self.beyond.inclusion / self._whole
        return np.minimum(total, 1.0)

    @property
    def share_passed_over(self) -> float:
        """The probability of networks that were not weighed, as estimated."""
        told = sum(p for network, p in self._shares().items() if network not in self.weighed)
        return told + (self.beyond.weight / self._whole if self.beyond is not None else 0.0)

    def look_beyond(self, window: float) -> None:
        """Estimate how probable networks are together that were neither weighed nor estimated.

        They are thought to extend those that are at most ``window`` worse than the best.
        """
        least = self.best.log_posterior - window
        bases = [w for w in self.weighed.values() if w.log_posterior > least]
        bases.sort(key=lambda w: -w.log_posterior)
        if np.isfinite(least):
            self.beyond = look_beyond(self.posterior, bases, self._logs(), self.gains)

    def _keep(self, weighed: Weighed) -> None:
        """Keep a network that was weighed, perhaps anew."""
        self.weighed[weighed.network] = weighed
        best = self._best
        if best is not None and weighed.network == best.network:
            self._best = None
        elif best is not None and weighed.log_posterior > best.log_posterior:
            self._best = weighed

    def _tried(
        self, network: Network, start: dict[int, float]
    ) -> tuple[dict[int, float], Weighed | None]:
        """Return where a few series would have the rates; and the network, if they rule it out."""
        if self.few is None or not self.weighed:
            return start, None
        best = self.few.at(self.best)
        tried = self.few.weigh(network, start, best.log_posterior - self.depth, ROUGHLY)
        if tried.log_posterior < best.log_posterior - self.depth:
            # The others would add to what these few say against it.
            behind = tried.log_posterior - best.log_posterior
            return start, tried._replace(
                log_posterior=self.best.log_posterior + behind, settled=False
            )
        return self.few.start_with(tried), None

    def _roughly(
        self, network: Network, start: dict[int, float]
    ) -> tuple[dict[int, float], Weighed | None]:
        """Return where the rough weighing has the rates; and the network, if it rules it out."""
        assert self.rough is not None
        tried = self.rough.weigh(network, start)
        behind = tried.log_posterior - self.rough.best.log_posterior
        trusted = not self.posterior.seldom(network, self.posterior.start_with(tried))
        if self.weighed and behind < -self.rough.depth and trusted:
            return start, tried._replace(
                log_posterior=self.best.log_posterior + behind, settled=False
            )
        return self.posterior.start_with(tried), None

    def _logs(self) -> dict[Network, float]:
        """Return the log posterior of each network, weighed or estimated."""
        logs = {w.network: w.log_posterior for w in self.weighed.values()}
        for network, estimate in self._estimates.items():
            if not self.knows(network):
                logs[network] = max(logs.get(network, -np.inf), estimate)
        return logs

    def _shares(self) -> dict[Network, float]:
        best, whole = self.best.log_posterior, self._whole
        return {n: float(np.exp(log - best)) / whole for n, log in self._logs().items()}

    @property
    def _whole(self) -> float:
        """The probability of all networks, relative to the best that was weighed."""
        logs = np.array(list(self._logs().values()))
        beyond = 0.0 if self.beyond is None else self.beyond.weight
        return float(np.exp(logs - self.best.log_posterior).sum()) + beyond
