"""A machine that proposes, simulates what it proposes, and learns to propose better."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from tumble._errors import CapabilityError, ParameterError, is_number, require_whole, shown
from tumble._problem import Problem
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.machines._base import (
    AbstractMachine,
    AbstractTraining,
    AbstractTrainingState,
    TrainingRound,
    TrainingTask,
)
from tumble.machines._learnt import numbers_of, with_numbers
from tumble.machines._observations import Observations, seen_in
from tumble.machines._recurrent_posterior import RecurrentPosterior, RecurrentWeights
from tumble.machines._roll_out import RollOuts, compiled, replicated
from tumble.machines._stock import Stock
from tumble.machines._units import PriorUnits
from tumble.posteriors import DataSets

_PILOT = 500  # data sets, by which scales are set
_ROUND = 10  # batches
_FEATURES = 10_000  # data sets, of which features are kept


@dataclass(frozen=True)
class RecurrentInferenceMachine(AbstractMachine):
    """The recurrent machine of ALFI: a network that moves a proposal by what it simulates from it.

    Definition: a proposal q(θ | ψ) is a normal law of independent numbers, ψ = (μ, log σ). At first
    μ is drawn from the prior. In each of T steps B parameters θ_i are drawn from it, M replicates
    are simulated at each, and an encoder, the same for all replicates, is averaged over those of
    the data, e, and over those of each θ_i, e_i. A network of e, e_i, θ_i, ∂ log q(θ_i | ψ) / ∂ψ,
    averaged over i, and ψ are given to a recurrent network, and what it tells is added to ψ,
    clipped at ±c. It learns by Adam from problems whose parameters θ* are known, where the loss is
    Σ w_t · −log q(θ* | ψ_t), w_t ∝ exp(β t / T) − 1, t = 1 … T; neither draws nor the simulator
    have gradients. An answer is the equal mixture of the last proposals of several roll-outs.

    Where it differs from what was published: θ is on the fit scale in units of the prior, less its
    mean and by its standard deviation, and data are squeezed to a like scale (published: both as
    they are). Draws outside the bounds are simulated at the nearest point inside, the machine is
    told of the draws as they are, and an answer is cut at the bounds and normalized (published: no
    bounds). Each batch has fresh problems (published: 10,000 of them, 300 times). θ_i whose runs
    fail are left out of the mean. Each experiment has an encoder of its own. The loss jumps up now
    and then, so the weights that are kept are those after the ten batches of the least mean loss
    (published: nothing is said). The joint network has three layers, as the encoder has.

    Guarantee: none. Posteriors that are no product of normal laws cannot be told; and how well one
    learns depends on the weights it starts from, since ψ often moves as far as it may. What `train`
    finds on fresh problems says how far to trust it.

    Arguments: ``num_batches`` to learn from, default 2,000, or as many as the budget allows
    (published: 187,500), of ``batch_size`` problems, default 16; ``num_steps`` T, default 15;
    ``num_draws`` B, default 20; ``num_replicates`` M, default 20; ``rate`` of learning, default
    1e-3; ``clip`` c, default 0.5; ``growth`` β, default 3; ``log_width``, the first log σ, default
    0; ``num_restarts``, roll-outs of an answer, default 8; and neurons, hidden and last, of the
    ``encoder``, default (50, 20), of the ``joint`` network, (20, 30), and of the recurrent one,
    ``memory``, (30, 40), of which the last are those that remember.

    When: to compare with. An answer takes T · B · M runs of the simulator for each restart;
    `AmortizedPosterior` takes none.

    Reference: Pesah, Wehenkel, Louppe (2018), arXiv:1811.12932.
    """

    citations: ClassVar[tuple[str, ...]] = ("Pesah, Wehenkel, Louppe (2018), arXiv:1811.12932",)
    weights_type: ClassVar[type] = RecurrentWeights
    num_batches: int = 2000
    batch_size: int = 16
    num_steps: int = 15
    num_draws: int = 20
    num_replicates: int = 20
    rate: float = 1e-3
    clip: float = 0.5
    growth: float = 3.0
    log_width: float = 0.0
    num_restarts: int = 8
    encoder: tuple[int, int] = (50, 20)
    joint: tuple[int, int] = (20, 30)
    memory: tuple[int, int] = (30, 40)

    def __post_init__(self) -> None:
        for name in ("num_batches", "batch_size", "num_steps", "num_draws", "num_replicates",
                     "num_restarts"):  # fmt: skip
            require_whole(name, getattr(self, name))
        for name in ("rate", "clip", "growth"):
            value = getattr(self, name)
            if not (is_number(value) and 0 < value < np.inf):
                raise ParameterError(f"`{name}` is {shown(value)}, expected a number > 0.")
        if not (is_number(self.log_width) and np.isfinite(self.log_width)):
            raise ParameterError(
                f"`log_width` is {shown(self.log_width)}, expected a number such as 0.0."
            )
        for name in ("encoder", "joint", "memory"):
            pair = getattr(self, name)
            if not (isinstance(pair, tuple) and len(pair) == 2):
                raise ParameterError(
                    f"`{name}` is {shown(pair)}, expected two numbers of neurons such as (50, 20)."
                )
            for number in pair:
                require_whole(name, number)

    def bind(self, task: TrainingTask) -> RecurrentTraining:
        """See `AbstractMachine.bind`."""
        return RecurrentTraining(self, task)

    def runs_to_infer(self, problem: Problem) -> int:
        """See `AbstractMachine.runs_to_infer`."""
        return self.num_restarts * self.runs_of_a_roll_out(problem)

    def network(self, problem: Problem, seed: int) -> Any:
        """Return a network that has not learnt."""
        from tumble.machines._recurrent_modules import recurrent

        num_given = tuple(int(s.sum()) for s in seen_in(problem))
        return recurrent(
            problem.space.size, num_given, self.encoder, self.joint, self.memory, self.clip, seed
        )

    def roll_outs(self, task: TrainingTask, observations: Observations) -> RollOuts:
        """Return what simulates at proposals."""
        return RollOuts(
            replicated(task.problem, self.num_replicates), observations, PriorUnits(task.prior),
            self.num_steps, self.num_draws, self.log_width, task.executor,
        )  # fmt: skip

    def restored(self, task: TrainingTask, weights: RecurrentWeights) -> RecurrentPosterior:
        """See `AbstractMachine.restored`."""
        net = with_numbers(self.network(task.problem, 0), weights.numbers)
        roll_outs = self.roll_outs(task, weights.observations)
        return RecurrentPosterior(weights, net, roll_outs, self.num_restarts)

    @property
    def step_weights(self) -> FloatArray:
        """w_t [T], which sum to 1."""
        raw = np.expm1(self.growth * np.arange(1, self.num_steps + 1) / self.num_steps)
        return np.asarray(raw / raw.sum())

    def runs_of_a_roll_out(self, problem: Problem) -> int:
        """Return how many runs of the simulator a roll-out takes."""
        sets = DataSets(replicated(problem, self.num_replicates), Stream.from_seed(0))
        return self.num_steps * self.num_draws * sets.runs_each


@dataclass(frozen=True, kw_only=True)
class RecurrentState(AbstractTrainingState):
    """What was learnt, ``weights``, in ``num_batches``, and the ``moments`` of Adam.

    The ``best`` numbers of the network so far, those after the round of the ``least`` loss, and
    ``features`` [N, K] of the first data sets that it has learnt from.
    """

    weights: RecurrentWeights | None = None
    moments: tuple[FloatArray, ...] = ()
    best: tuple[FloatArray, ...] = ()
    least: float = float("inf")
    features: FloatArray
    num_batches: int = 0

    @property
    def news(self) -> str:
        """See `AbstractTrainingState.news`."""
        return f"{self.num_batches:,} batches" + (
            f", loss {self.rounds[-1].loss:.3g}" if self.num_batches else ""
        )


class RecurrentTraining(AbstractTraining):
    """`RecurrentInferenceMachine` of one problem. Final."""

    state_type = RecurrentState

    def __init__(self, machine: RecurrentInferenceMachine, task: TrainingTask) -> None:
        self._machine, self._task, self._stock = machine, task, Stock(task)
        own = self._stock.sets.runs_each
        self._runs_each = machine.runs_of_a_roll_out(task.problem)
        of_batch = machine.batch_size * (own + self._runs_each)
        paid = (task.spending.simulations_left - _PILOT * own) / of_batch
        self._planned = int(max(min(machine.num_batches, paid), 0))
        if self._planned == 0:
            raise CapabilityError(
                f"a batch of {machine.batch_size} problems takes {of_batch:,} runs, after "
                f"{_PILOT * own:,} to set scales, and the budget that is left to learn from is for "
                f"{task.spending.simulations_left:,.0f}; raise it, or ask for fewer `num_draws`, "
                "`num_replicates` or `num_steps`."
            )

    def init(self) -> RecurrentState:
        """See `AbstractTraining.init`: nothing yet."""
        return RecurrentState(features=np.empty((0, 0), np.float32))

    def step(self, state: RecurrentState) -> RecurrentState:
        """See `AbstractTraining.step`: set scales, then learn from a few batches at a time."""
        if state.weights is None:
            return self._started(state)
        if state.num_batches >= self._planned:
            return state.ended(
                ResultCode.SUCCESS, f"{state.num_batches:,} batches were learnt from"
            )
        if self._task.spending.exhausted:
            return state.ended(
                ResultCode.OUT_OF_BUDGET,
                f"the budget was spent after {state.num_batches:,} of {self._planned:,} batches",
            )
        return self._learnt(state, state.weights)

    def progress(self, state: RecurrentState) -> float:
        """See `AbstractTraining.progress`."""
        return state.num_batches / self._planned

    def inference(self, state: RecurrentState) -> RecurrentPosterior:
        """See `AbstractTraining.inference`."""
        assert state.weights is not None
        best = replace(state.weights, numbers=state.best)
        return self._machine.restored(self._task, best)

    def features(self, state: RecurrentState) -> FloatArray:
        """See `AbstractTraining.features`."""
        return state.features

    # -- private -----------------------------------------------------

    def _started(self, state: RecurrentState) -> RecurrentState:
        """Return the state with scales, by a pilot, and first weights."""
        pilot = self._stock.draw(0, _PILOT)
        observations = Observations.of(self._task.problem, pilot.data)
        seed = int(self._task.stream.child("networks").numpy().integers(2**31))
        numbers = numbers_of(self._machine.network(self._task.problem, seed))
        key = self._task.stream.child("answers").key
        return replace(
            state, weights=RecurrentWeights(observations, numbers, key), best=numbers,
            features=observations.moments(pilot.data), num_simulated=_PILOT,
            num_failed=pilot.num_failed, rounds=(TrainingRound(_PILOT),),
        )  # fmt: skip

    def _learnt(self, state: RecurrentState, weights: RecurrentWeights) -> RecurrentState:
        """Return the state after a round of batches, or ended where the loss is not finite."""
        machine, task = self._machine, self._task
        net = with_numbers(machine.network(task.problem, 0), weights.numbers)
        moments = _moments(net, state.moments)
        roll_outs = machine.roll_outs(task, weights.observations)
        batches = range(state.num_batches + 1, min(state.num_batches + _ROUND, self._planned) + 1)
        losses, failed, features = [], 0, [state.features]
        for batch in batches:
            drawn = self._stock.draw(batch, machine.batch_size)
            rows = weights.observations.rows(drawn.data)
            told = np.asarray(compiled().told(net, rows))
            record = roll_outs(net, told, task.stream.child("roll-outs", batch))
            task.spending.simulations += machine.batch_size * self._runs_each
            truth = roll_outs.units.of_normal(drawn.w).astype(np.float32)
            net, moments, loss = compiled().learn(
                net, moments, np.float32(machine.rate), record.first, rows, record.seen, truth,
                machine.step_weights.astype(np.float32),
            )  # fmt: skip
            if not all(np.isfinite(n).all() for n in (loss, *numbers_of(net))):
                return state.ended(
                    ResultCode.DIVERGED,
                    f"the loss of batch {batch:,} or its gradient was not a finite number",
                )
            losses.append(float(loss))
            failed += drawn.num_failed + record.num_failed
            features.append(weights.observations.moments(drawn.data))
        num, numbers, loss = len(batches) * machine.batch_size, numbers_of(net), np.mean(losses)
        return replace(
            state, weights=replace(weights, numbers=numbers),
            best=numbers if loss < state.least else state.best,
            least=min(float(loss), state.least),
            moments=_leaves(moments), features=np.concatenate(features)[:_FEATURES],
            num_batches=state.num_batches + len(batches),
            num_simulated=state.num_simulated + num, num_failed=state.num_failed + failed,
            rounds=(*state.rounds, TrainingRound(num, float(loss), len(batches))),
        )  # fmt: skip


def _leaves(tree: Any) -> tuple[FloatArray, ...]:
    import jax

    return tuple(np.asarray(leaf) for leaf in jax.tree.leaves(tree))


def _moments(net: Any, kept: tuple[FloatArray, ...]) -> Any:
    """Return the moments of Adam that were ``kept``, or its first."""
    import equinox as eqx
    import jax

    blank = compiled().init(eqx.filter(net, eqx.is_inexact_array))
    return jax.tree.unflatten(jax.tree.structure(blank), kept) if kept else blank
