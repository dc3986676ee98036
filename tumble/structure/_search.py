"""The search that weighs the neighbors of all networks that matter."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tumble._errors import ParameterError, require_whole, shown
from tumble.structure._first_guess import first_guess
from tumble.structure._found import ROUGHLY, AbstractSearch, Found
from tumble.structure._leaps import leaps
from tumble.structure._posterior import Network, NetworkPosterior, Weighed
from tumble.structure._screening import IncrementScreening

_FEW = 10  # candidates; from here on they are left out one at a time
_ROUGHLY = 8  # iterations, before that
_ENOUGH = 0.95  # of the probability, with networks whose neighbors are known
_TRIED = 5  # candidates that may be taken in, before it is given up
_TAKEN_ON = 10  # networks that a few series find most probable
_SURE = 0.9  # from this probability on, a candidate is left out to look for another explanation
_BEFORE_DOUBT = 0.75  # of the networks weighed at most
_NEAR = 3.0  # to the best log posterior, where firings that are few are looked at in detail
_REACH = 20.0  # so far from the best log posterior such a climb may begin


@dataclass(frozen=True)
class WindowSearch(AbstractSearch):
    """Weighs networks until all neighbors of those that matter are known.

    Definition: where all species are seen exactly it begins with what `IncrementScreening` finds.
    Else it begins with all candidates, at small rates, and leaves out what explains least, and with
    none and takes in what explains most. From the best of these it climbs to ever better neighbors:
    one candidate less, one more, one for another, or what a quadratic model of the log likelihood
    finds best when up to two are exchanged for up to two. Of each network within ``window`` of the
    best log posterior it then weighs the neighbors. Additions whose estimated posterior is further
    off are passed over; the estimate counts in the probabilities, as does one of all networks that
    have several of these. It ends where no network within the window has neighbors that were not
    looked at, or those that have none hold 95 % of the probability. So candidates that were left
    out may come back. What seems sure is doubted once: without each candidate of a probability of
    0.9 or more it climbs again, from the best network that has none of it, if that is within reach
    (20 from the best log posterior). Where steps are looked at closely, any candidate is tried in
    the place of one that fires at most 50 times in all of the data. Where there are many series,
    one of each experiment goes first, and rules out what is hopeless.

    Guarantee: none that no network far from all others is missed; it agrees with full enumeration
    where that is possible (tests).

    Arguments: ``window``, default 4 (networks less probable than 1/55 of the best are not
    followed); ``most``, networks weighed at most, default 2,000.

    Reference: Madigan, Raftery, J. Am. Stat. Assoc. 89 (1994), doi:10.1080/01621459.1994.10476894
    (Occam's window).
    """

    window: float = 4.0
    most: int = 2000

    def __post_init__(self) -> None:
        if not (isinstance(self.window, (int, float)) and 0 < self.window < 1e3):
            raise ParameterError(f"`window` is {shown(self.window)}, expected a number > 0.")
        require_whole("most", self.most)

    def run(self, posterior: NetworkPosterior) -> Found:
        """Return all networks that were weighed."""
        found = Found(posterior, 3 * self.window)
        with found.keeping():
            few, steps = found.few, posterior.likelihood.steps
            if steps is not None and len(steps[0]):
                self._screen(found)
            elif few is None:
                self._look_around(found)
            else:
                rough = Found(few, 3 * self.window, ROUGHLY)
                with rough.keeping():
                    self._look_around(rough)
                for weighed, _ in rough.ranked()[:_TAKEN_ON]:
                    found.weigh(weighed.network, few.start_with(weighed))
                found.interrupted = rough.interrupted
                if not found.interrupted:
                    self._climb(found, found.best)
            if not found.interrupted:
                # Where there are too many to be done, doubting comes before the rest of them.
                found.complete = self._close(found, int(_BEFORE_DOUBT * self.most))
                if self._doubt(found) or not found.complete:
                    found.complete = self._close(found, self.most)
        return found

    def look_closely(self, found: Found) -> Found:
        """See `AbstractSearch.look_closely`; the neighbors of those that matter are weighed too."""
        again = found.weighed_closely()
        if again is not found and not again.interrupted:
            with again.keeping():
                again.complete = self._close(again, self.most) and found.complete
        return again

    def look_beyond(self, found: Found) -> None:
        """See `AbstractSearch.look_beyond`."""
        if not found.interrupted:
            with found.keeping():
                found.look_beyond(self.window)

    # -- private -----------------------------------------------------

    def _screen(self, found: Found) -> None:
        """Start with what the increments find most probable."""
        best = max(IncrementScreening().screened(found.posterior), key=lambda s: s.score)
        logs = {r: math.log(x) for r, x in best.rates.items() if x > 0}
        self._climb(found, found.weigh(best.network, logs))

    def _look_around(self, found: Found) -> None:
        """Find one network that is better than its neighbors."""
        self._leave_out(found)
        self._take_in(found)
        self._climb(found, found.best)

    def _leave_out(self, found: Found) -> None:
        """Start with all candidates, and leave out those that explain least.

        As long as they are many, one replicate and a few iterations have to do.
        """
        posterior = found.posterior
        start = first_guess(posterior)
        members = frozenset(start)
        rough = posterior.of_few_series()
        while len(members) > max(_FEW, len(posterior.required)):
            here = rough.weigh(members, start, iterations=_ROUGHLY)
            order = _by_weight(here, posterior)
            for r in order[: max(len(order) // 3, 1)]:
                members = members - posterior.library.units[r]
            start = rough.start_with(here)
        here = found.weigh(members, start)
        while len(here.network) > len(posterior.required):
            worst = _by_weight(here, posterior)[0]
            left = here.network - posterior.library.units[worst]
            here = found.weigh(left, posterior.start_with(here))

    def _take_in(self, found: Found) -> None:
        """Start with what is required, and take in what explains most."""
        posterior = found.posterior
        here = found.weigh(posterior.required, {})
        while posterior.library.size(here.network) < posterior.prior.largest:
            gains = found.gains(here)
            for r in np.argsort(-gains.gain)[:_TRIED].tolist():
                if not gains.gain[r] > 0:
                    return
                there = found.weigh(*_with(found, here, r))
                if there.log_posterior > here.log_posterior:
                    break
            else:
                return
            here = there

    def _doubt(self, found: Found) -> bool:
        """Climb without each candidate that seems sure; return whether that led into the window.

        What explains the data as well with none of it may be many steps away, all of them downhill.
        """
        library, before = found.posterior.library, set(found.weighed)
        sure = np.flatnonzero(found.inclusion() >= _SURE).tolist()
        for r in sorted({min(library.units[r]) for r in sure} - found.posterior.required):
            others = [w for w in found.weighed.values() if r not in w.network]
            here = max(others, key=lambda w: w.log_posterior, default=None)
            if here is not None and here.log_posterior > found.best.log_posterior - _REACH:
                self._climb(found, here, without=r)
        least = found.best.log_posterior - self.window
        new = (w for w in found.weighed.values() if w.network not in before)
        return any(w.log_posterior > least for w in new)

    def _climb(self, found: Found, here: Weighed, without: int | None = None) -> None:
        """Go from a network to the first better neighbor, until there is none."""
        on = True
        while on and len(found.weighed) < self.most:
            on, within = False, found.best.log_posterior - here.log_posterior
            for network, start in self._neighbors(found, here, within):
                if without in network:
                    continue
                there = found.weigh(network, start, within)
                if there.log_posterior > here.log_posterior:
                    on, here = True, there
                    break

    def _close(self, found: Found, most: int) -> bool:
        """Weigh the neighbors of all networks in the window; False where it is too many."""
        looked: set[Network] = set()
        while True:
            best = found.best.log_posterior
            shares = {w.network: np.exp(w.log_posterior - best) for w in found.weighed.values()}
            if sum(shares[n] for n in looked) >= _ENOUGH * sum(shares.values()):
                return True
            inside = [
                w for w in found.weighed.values()
                if w.network not in looked and w.log_posterior > best - self.window
            ]  # fmt: skip
            if not inside:
                return True
            here = max(inside, key=lambda w: w.log_posterior)
            if not found.knows(here.network):
                found.weigh(here.network, {})
                continue
            looked.add(here.network)
            for step in self._neighbors(found, here):
                if len(found.weighed) >= most:
                    return False
                network, start = step
                found.weigh(network, start)

    def _neighbors(
        self, found: Found, here: Weighed, within: float | None = None
    ) -> Iterator[tuple[Network, dict[int, float]]]:
        """Yield networks one step away that are not known, those that promise much first."""
        posterior = found.posterior
        steps = [self._leaps(found, here, within), _merged(found, here), self._more(found, here)]
        free = here.network - posterior.required
        members = sorted({min(posterior.library.units[r]) for r in free})
        for r in members:
            steps += [_less(found, here, r), self._instead(found, here, r)]
        steps += [_exchanged(found, here, r) for r in members]
        if found.rough is not None and here.log_posterior > found.best.log_posterior - _NEAR:
            seldom = posterior.seldom(here.network, posterior.start_with(here))
            steps += [_exchanged_for_any(found, here, r) for r in seldom if r in free]
        for network, start in chain.from_iterable(steps):
            if not found.knows(network, within):
                yield network, start

    def _more(self, found: Found, here: Weighed) -> Iterator[tuple[Network, dict[int, float]]]:
        gain, units = found.gains(here).gain, found.posterior.library.units
        for r in np.argsort(-gain).tolist():
            network, estimate = here.network | units[r], here.log_posterior + gain[r]
            if estimate > found.best.log_posterior - self.window:
                yield _with(found, here, r)
            elif not found.knows(network):
                found.pass_over(network, estimate)

    def _instead(
        self, found: Found, here: Weighed, member: int
    ) -> Iterator[tuple[Network, dict[int, float]]]:
        """Take another candidate in, where a member was left out."""
        less = found.weighed[here.network - found.posterior.library.units[member]]
        if less.log_posterior > -np.inf:
            yield from self._more(found, less)

    def _leaps(
        self, found: Found, here: Weighed, within: float | None
    ) -> Iterator[tuple[Network, dict[int, float]]]:
        """Exchange up to two at once."""
        least = found.best.log_posterior - (self.window if within is None else within)
        yield from leaps(found.posterior, here, found.gains(here).worth, least)


def _less(found: Found, here: Weighed, member: int) -> Iterator[tuple[Network, dict[int, float]]]:
    posterior = found.posterior
    yield here.network - posterior.library.units[member], posterior.start_with(here)


def _with(found: Found, here: Weighed, extra: int) -> tuple[Network, dict[int, float]]:
    """Take a candidate in, with its reverse where it has one."""
    posterior, log_rates = found.posterior, found.gains(here).log_rates
    unit = posterior.library.units[extra]
    start = {r: float(log_rates[r]) for r in unit - here.network}
    return here.network | unit, {**posterior.start_with(here), **start}


def _exchanged(
    found: Found, here: Weighed, member: int
) -> Iterator[tuple[Network, dict[int, float]]]:
    """Put a candidate with the same reactants, or the same change, in the place of a member.

    What is not seen of a state may make them one and the same.
    """
    library, start = found.posterior.library, found.posterior.start_with(here)
    alike = (library.reactants == library.reactants[member]).all(1)
    alike |= (library.change == library.change[member]).all(1)
    for r in np.flatnonzero(alike).tolist():
        if r not in here.network:
            network = (here.network - library.units[member]) | library.units[r]
            yield network, {**start, r: found.posterior.matched(here, [member], r)}


def _exchanged_for_any(
    found: Found, here: Weighed, member: int
) -> Iterator[tuple[Network, dict[int, float]]]:
    """Put any candidate in the place of a member that fires seldom.

    By linear noise nobody would see which of them could explain the same few firings.
    """
    library, start = found.posterior.library, found.posterior.start_with(here)
    for r in range(len(library)):
        if r not in here.network:
            network = (here.network - library.units[member]) | library.units[r]
            yield network, {**start, r: found.posterior.matched(here, [member], r)}


def _merged(found: Found, here: Weighed) -> Iterator[tuple[Network, dict[int, float]]]:
    """Put one candidate in the place of several that change the state alike."""
    posterior, change = found.posterior, found.posterior.library.change
    start = posterior.start_with(here)
    for first in here.members:
        alike = np.flatnonzero((change == change[first]).all(1)).tolist()
        group = [r for r in alike if r in here.network]
        if len(group) < 2 or group[0] != first:
            continue
        for r in alike:
            gone = frozenset().union(*(posterior.library.units[q] for q in group))
            network = posterior.library.closed((here.network - gone) | {r})
            yield network, {**start, r: posterior.matched(here, group, r)}


def _by_weight(here: Weighed, posterior: NetworkPosterior) -> list[int]:
    """Return the members that may go, first those that the likelihood misses least."""
    # What setting a rate to 0 costs, others adapting: its square times the precision left to it.
    spread = np.linalg.pinv(
        here.precision - np.eye(len(here.members)) / posterior.prior.spread**2
        + 1e-9 * np.eye(len(here.members)), hermitian=True
    )  # fmt: skip
    cost: dict[int, float] = {}
    for r, width in zip(here.members, np.diag(spread), strict=True):
        unit = min(posterior.library.units[r])
        cost[unit] = max(cost.get(unit, 0.0), 1 / max(float(width), 1e-300))
    return sorted((r for r in cost if r not in posterior.required), key=lambda r: cost[r])
