"""The states that a network can reach, and the flow of probability between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from tumble._errors import ModelError
from tumble._typing import FloatArray, IntArray
from tumble.kernels._probability_flow import add_jumps
from tumble.models import ReactionNetwork
from tumble.simulators._transition_rates import transition_rates, transition_slopes

Result = TypeVar("Result")

_FIRST_CAP = 15
# Steps of the series beyond the mean and eight standard deviations of the number of jumps. States
# that only rarer paths reach get probability 0; `advance` goes further on request.
DEPTH = 25
_CACHED_SPACES = 8


@dataclass(frozen=True)
class StateSpace:
    """Reachable states and the transitions between them.

    Attributes: ``states`` [n, S]; one array entry a transition: ``sources``, ``targets``,
    ``reactions`` and ``factors``, the combinations of the reactants of its reaction, 1 for a rate
    law. Targets n … n+S-1 are sinks: n+s takes what would carry species s beyond its cap.
    ``num_sinks`` is 0 when no transition was cut. The first ``num_seeds`` states are initial ones.

    Whether a rate law is 0 depends on parameters, so that each is taken to lead wherever no count
    turns negative.
    """

    states: IntArray
    sources: IntArray
    targets: IntArray
    reactions: IntArray
    factors: FloatArray
    num_sinks: int
    num_seeds: int

    @property
    def num_states(self) -> int:
        """How many states there are, sinks apart."""
        return len(self.states)

    def flow(self, model: ReactionNetwork, params: FloatArray, jacobian: FloatArray) -> Flow:
        """Return the flow at parameters [Q]; ``jacobian`` [Q, P] is their derivative by θ.

        Column j of the table that the flow advances obeys d/dt s_j = A s_j + (∂A/∂θ_j) p, with p
        the probabilities and A the generator. Raises what `transition_rates` does.
        """
        from scipy.sparse import csr_matrix

        size = self.num_states + self.num_sinks
        propensity = transition_rates(self, model, params)
        slopes = transition_slopes(self, model, params) if jacobian.any() else []
        leaving = np.bincount(self.sources, propensity, minlength=size)
        fastest = float(leaving.max(initial=0.0))
        scale = 1.0 / fastest if fastest > 0 else 1.0  # where all rates are 0, slopes need not be
        everywhere = np.arange(size)
        blocks = []
        for j in range(jacobian.shape[1] + 1):
            blocks.append((j * size + everywhere, j * size + everywhere, 1.0 - leaving * scale))
            blocks.append((j * size + self.targets, j * size + self.sources, propensity * scale))
            if j == 0 or not jacobian[:, j - 1].any():
                continue
            change = np.zeros(len(propensity))
            for parameter, transitions, values in slopes:
                change[transitions] += values * (jacobian[parameter, j - 1] * scale)
            moved = np.flatnonzero(change)
            blocks.append((j * size + self.targets[moved], self.sources[moved], change[moved]))
            blocks.append((j * size + self.sources[moved], self.sources[moved], -change[moved]))
        rows, columns, values = (np.concatenate(part) for part in zip(*blocks, strict=True))
        total = size * (jacobian.shape[1] + 1)
        return Flow(csr_matrix((values, (rows, columns)), shape=(total, total)), fastest)


@dataclass(frozen=True)
class Flow:
    """Advances probabilities and their derivatives in time, by uniformization.

    Definition: with Λ the largest rate at which a state is left, exp(tA) = Σ_k Poisson(k; Λt) Tᵏ
    for T = I + A/Λ. No term is negative, so that even tiny probabilities (the tails that a datum
    far from the model's prediction asks for) keep their relative precision, which the general
    matrix exponentials of SciPy do not promise; it also takes a tenth of the time of
    `scipy.sparse.linalg.expm_multiply` here. The derivative is that of the series at fixed Λ.

    Reference: Jensen, *Markoff chains as an aid in the study of Markoff processes*, Scand. Actuar.
    J. 36 (1953), doi:10.1080/03461238.1953.10419459.
    """

    jumps: Any
    fastest: float

    def advance(self, table: FloatArray, span: float, depth: int = DEPTH) -> FloatArray:
        """Return the table [P+1, n, N] a time ``span`` later.

        Row 0 of the table holds N distributions over the n states (sinks included), the other rows
        their derivatives. Paths of more than Λt + 8 √(Λt) + ``depth`` jumps are left out.
        """
        mean = self.fastest * span
        term = table.reshape(-1, table.shape[-1])
        if mean == 0.0:  # no time passes, or nothing happens: derivatives grow in proportion to it
            return table + (span * (self.jumps @ term - term)).reshape(table.shape)
        weights = _poisson(mean, int(np.ceil(mean + 8 * np.sqrt(mean))) + depth)
        jumps = self.jumps
        total = add_jumps(
            jumps.indptr, jumps.indices, jumps.data, weights, np.ascontiguousarray(term)
        )
        return np.asarray(total).reshape(table.shape)


def _poisson(mean: float, last: int) -> FloatArray:
    """Return the Poisson probabilities of 0 … last, by ratios from the mode, to full precision."""
    mode = int(mean)
    count = np.arange(last + 1, dtype=float)
    weights = np.ones(last + 1)
    weights[mode + 1 :] = np.cumprod(mean / count[mode + 1 :])
    weights[:mode] = np.cumprod(count[mode:0:-1] / mean)[::-1]
    return weights / weights.sum()


def project(
    network: ReactionNetwork,
    seeds: IntArray,
    max_states: int,
    attempt: Callable[[StateSpace], tuple[Result | None, Any]],
) -> Result:
    """Find a projection that is large enough, and return what ``attempt`` made of it.

    Starts from the states ``seeds`` [k, S]. Networks that can only reach finitely many states are
    enumerated. Others are kept within a cap a species; ``attempt(space)`` returns a result and
    which caps [S] cut off too much, and those are doubled until there are none, or until the
    projection outgrows ``max_states``: then the last result counts, and if it is None, `ModelError`
    is raised.
    """
    key = tuple(map(tuple, seeds.tolist()))
    if is_bounded(network):
        space = enumerate_states(network, key, None, max_states)
        if space is None:
            raise ModelError(
                f"the network reaches more than `max_states` = {max_states} states from its "
                "initial state; raise max_states, or use ParticleFilter() or LinearNoise(), which "
                "do not enumerate states."
            )
        result, _ = attempt(space)
        assert result is not None
        return result
    caps = np.maximum(2 * seeds.max(axis=0), _FIRST_CAP)
    space = enumerate_states(network, key, tuple(caps.tolist()), max_states)
    result = None
    while space is not None:
        result, short = attempt(space)
        if not np.any(short):
            assert result is not None
            return result
        space = None
        for growth in (caps, caps // 4):
            grown = np.where(short, caps + growth, caps)
            space = enumerate_states(network, key, tuple(grown.tolist()), max_states)
            if space is not None:
                caps = grown
                break
    if result is None:
        limits = ", ".join(f"{s} <= {c}" for s, c in zip(network.species, caps, strict=True))
        raise ModelError(
            f"the projection of the network needs more than `max_states` = {max_states} states: "
            f"too much probability leaves {limits}. Raise max_states or tolerance, end earlier, or "
            "use ParticleFilter() or LinearNoise(), which do not enumerate states."
        )
    return result


@lru_cache(maxsize=_CACHED_SPACES)
def is_bounded(network: ReactionNetwork) -> bool:
    """Return whether positive weights exist whose weighted sum of species no reaction increases.

    Exactly then every initial state reaches finitely many others, whatever it is.
    """
    from scipy.optimize import linprog

    change = network.stoichiometry
    zeros = np.zeros(change.shape[1])
    program = linprog(np.ones(len(change)), change.T, zeros, bounds=(1.0, None))
    return bool(program.status == 0)


@lru_cache(maxsize=_CACHED_SPACES)
def enumerate_states(
    network: ReactionNetwork,
    seeds: tuple[tuple[int, ...], ...],
    caps: tuple[int, ...] | None,
    max_states: int,
) -> StateSpace | None:
    """Enumerate breadth-first what can be reached from ``seeds`` within ``caps``.

    Returns None when that is more than ``max_states`` states.
    """
    change = network.stoichiometry.T
    num_species = change.shape[1]
    position: dict[bytes, int] = {}
    _place(np.array(seeds, dtype=np.int64), position)
    found = [np.frombuffer(b"".join(position), np.int64).reshape(-1, num_species)]
    pieces: list[tuple[IntArray, IntArray, IntArray, FloatArray]] = []
    begin = 0
    while len(found[-1]) and len(position) <= max_states:
        frontier = found[-1]
        factors = network.combinations(frontier)
        for r in np.flatnonzero(~network.is_mass_action):
            factors[:, r] = np.all(frontier + change[r] >= 0, axis=1)
        source, reaction = np.nonzero(factors)
        after = frontier[source] + change[reaction]
        sink = np.full(len(source), -1)
        if caps is not None:
            beyond = after > np.array(caps)
            sink = np.where(beyond.any(axis=1), beyond.argmax(axis=1), -1)
        inside = sink < 0
        target = -1 - sink
        known = len(position)
        target[inside] = _place(np.ascontiguousarray(after[inside]), position)
        _, first = np.unique(target[inside], return_index=True)
        fresh = after[inside][first][target[inside][first] >= known]
        pieces.append((begin + source, target, reaction, factors[source, reaction]))
        begin += len(frontier)
        found.append(fresh)
    if len(position) > max_states:
        return None
    states = np.concatenate(found)
    sources, targets, reactions, values = (np.concatenate(p) for p in zip(*pieces, strict=True))
    cut = targets < 0
    targets = np.where(cut, len(states) - 1 - targets, targets)
    return StateSpace(
        states, sources, targets, reactions, values, num_species if cut.any() else 0, len(found[0])
    )


def _place(states: IntArray, position: dict[bytes, int]) -> IntArray:
    """Return the position of each state [k, S], putting new ones at the end."""
    width = states.shape[1] * states.itemsize
    blob = states.tobytes()
    rows = (blob[i : i + width] for i in range(0, len(blob), width))
    return np.array([position.setdefault(row, len(position)) for row in rows], dtype=np.int64)
