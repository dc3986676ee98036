"""Gradients and fits of stochastix, arXiv:2601.14183, as its guide says to make them.

The guide offers two kinds: pathwise, through one of three differentiable solvers, and by the
score, ``reinforce_loss`` on the exact solver. Rates are logarithms with ``transform=jnp.exp``, in
double precision, the optimizer is Adam: all as in its examples. Where the guide leaves a choice, it
is made in favor of the package: ``max_steps`` is little more than any run fires, the score gets a
leave-one-out baseline, and returns that belong to a later time only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from peers._engine import Network
from peers._worker import serve
from peers.stochastix import stochastix_network

SCORE = "reinforce_loss"
METHODS = ("DifferentiableDirect", "DifferentiableFirstReaction", "DGA", SCORE)
_EVERY = 2.0


class _Setup:
    """A network of stochastix with logarithmic rates, and how to run it. Final."""

    def __init__(self, question: dict[str, Any], rates: list[float]) -> None:
        import equinox as eqx
        import jax
        import stochastix as stx
        from stochastix.utils.optimization import reinforce_loss

        jax.config.update("jax_enable_x64", True)
        self.jax, self.eqx, self.reinforce_loss = jax, eqx, reinforce_loss()
        jnp = jax.numpy
        network = Network.from_dict(question["network"])
        system = stochastix_network(stx, network)
        self.system = eqx.tree_at(
            lambda s: [r.kinetics for r in s.reactions],
            system,
            [stx.kinetics.MassAction(jnp.log(v), transform=jnp.exp) for v in rates],
        )
        method = question["method"]
        solver = stx.DirectMethod() if method == SCORE else getattr(stx, method)()
        start = jnp.array([float(network.start[name]) for name in system.species])
        self.columns = jnp.array([system.species.index(name) for name in question["observed"]])

        def simulate(system: Any, key: Any) -> Any:
            return stx.stochsimsolve(
                key, system, start, T=network.end, max_steps=network.most_events + 1, solver=solver
            )

        self.simulate: Callable[[Any, Any], Any] = simulate
        self._end = network.end

    def log_rates(self, tree: Any) -> Any:
        """Return the leaves that stand for rates, of the network or of its gradient."""
        return self.jax.numpy.stack([r.kinetics.k for r in tree.reactions])

    def is_cut(self, result: Any) -> Any:
        """Whether a run had to stop before the end; rounding sets the package's own flag too."""
        return result.time_overflow & (result.t[-1] < (1 - 1e-9) * self._end)


def gradient(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Average gradients of single runs, in batches, for the seconds asked for."""
    began = time.perf_counter()
    rates = [rate for _, _, rate in question["network"]["reactions"]]
    setup = _Setup(question, rates)
    import numpy as np

    imported = time.perf_counter() - began
    estimate = _scores(setup) if question["method"] == SCORE else _pathwise(setup)
    batch, key = question["batch"], setup.jax.random.PRNGKey(question["seed"])

    def once(key: Any) -> Any:
        found, cut = estimate(setup.system, setup.jax.random.split(key, batch))
        return np.asarray(found), int(np.asarray(cut).sum())

    once(key)
    first = time.perf_counter() - began - imported
    kept, num_cut = [], 0
    started, used = time.perf_counter(), time.process_time()
    while time.process_time() - used < question["seconds"]:
        key, sub = setup.jax.random.split(key)
        found, cut = once(sub)
        kept.append(found)
        num_cut += cut
    spent, wall = time.process_time() - used, time.perf_counter() - started
    per_run = np.concatenate(kept)
    finite = np.isfinite(per_run).all(1)
    good = per_run[finite]
    yield {
        "import": imported,
        "first": first,
        "gradient": good.mean(0).tolist(),
        "variances": (good.var(0, ddof=1) / len(good)).tolist(),
        "runs": len(per_run),
        "lost": int(len(per_run) - len(good)),
        "cut": num_cut,
        "wall": wall,
        "seconds": spent,
    }


def _pathwise(setup: _Setup) -> Callable[[Any, Any], Any]:
    """Return the function of keys [n] that gives the gradients [n, P] of the observed counts."""

    def one(system: Any, key: Any) -> Any:
        result = setup.simulate(system, key)
        return result.x[-1, setup.columns].sum(), setup.is_cut(result)

    def estimate(system: Any, key: Any) -> Any:
        (_, cut), slopes = setup.eqx.filter_value_and_grad(one, has_aux=True)(system, key)
        return setup.log_rates(slopes), cut

    batched = setup.eqx.filter_vmap(estimate, in_axes=(None, 0))
    return setup.eqx.filter_jit(batched)


def _scores(setup: _Setup) -> Callable[[Any, Any], Any]:
    """Return the same function by the score; the baseline is the mean of the other runs."""
    eqx, jnp = setup.eqx, setup.jax.numpy

    def one(system: Any, result: Any, reward: Any, baseline: Any) -> Any:
        # As in the guide: the final reward at all valid steps.
        returns = jnp.where(result.reactions >= 0, reward, 0.0)
        return -setup.reinforce_loss(system, result, returns, baseline)

    def estimate(system: Any, keys: Any) -> Any:
        results = eqx.filter_vmap(setup.simulate, in_axes=(None, 0))(system, keys)
        rewards = results.x[:, -1, setup.columns].sum(-1)
        baselines = (rewards.sum() - rewards) / (len(keys) - 1)
        axes = (None, eqx.if_array(0), 0, 0)
        slopes = eqx.filter_vmap(eqx.filter_grad(one), in_axes=axes)(
            system, results, rewards, baselines
        )
        cut = eqx.filter_vmap(setup.is_cut, in_axes=eqx.if_array(0))(results)
        return jnp.stack([r.kinetics.k for r in slopes.reactions], axis=-1), cut

    return eqx.filter_jit(estimate)


def fit(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Follow Adam until all rates are within the tolerance of the truth, then for as long again.

    The loss is the squared difference of the batch mean from the data, at every time, in units of
    the standard deviation of a run. Yields a line now and then, and one when it first is there;
    ``settled`` is the mean of the second half of the path.
    """
    setup = _Setup(question, question["start"])
    import numpy as np
    import optax

    eqx, jax = setup.eqx, setup.jax
    loss = (_score_loss if question["method"] == SCORE else _pathwise_loss)(setup, question)
    adam = optax.adam(question["learning_rate"])
    system = setup.system
    state = adam.init(eqx.filter(system, eqx.is_array))

    @eqx.filter_jit
    def step(system: Any, state: Any, key: Any) -> Any:
        keys = jax.random.split(key, question["batch"])
        slopes = eqx.filter_grad(loss)(system, keys)
        updates, state = adam.update(slopes, state, params=eqx.filter(system, eqx.is_array))
        return eqx.apply_updates(system, updates), state

    truth, key = np.log(question["truth"]), jax.random.PRNGKey(question["seed"])
    path: list[Any] = []
    touched, said = 0, time.perf_counter()
    while True:
        key, sub = jax.random.split(key)
        system, state = step(system, state, sub)
        path.append(np.asarray(setup.log_rates(system)))
        error = float(np.max(np.abs(np.expm1(path[-1] - truth))))
        touches = not touched and error <= question["tolerance"]
        touched = len(path) if touches else touched
        ends = not np.isfinite(error) or (touched and len(path) >= 2 * touched)
        if touches or ends or time.perf_counter() - said > _EVERY:
            said = time.perf_counter()
            yield {
                "rates": np.exp(path[-1]).tolist(),
                "settled": np.exp(np.mean(path[len(path) // 2 :], axis=0)).tolist(),
                "runs": len(path) * question["batch"],
                "is_there": bool(touched),
            }
        if ends:
            return


def _pathwise_loss(setup: _Setup, question: dict[str, Any]) -> Callable[[Any, Any], Any]:
    jnp = setup.jax.numpy
    times, data, spread = (jnp.array(question[k]) for k in ("times", "means", "spreads"))

    def loss(system: Any, keys: Any) -> Any:
        def one(key: Any) -> Any:
            return setup.simulate(system, key).interpolate(times).x[:, setup.columns]

        mean = setup.jax.vmap(one)(keys).mean(0)
        return jnp.sum(((mean - data) / spread) ** 2)

    return loss


def _score_loss(setup: _Setup, question: dict[str, Any]) -> Callable[[Any, Any], Any]:
    """Return a function whose gradient is that of the same loss, by the score.

    ``reinforce_loss`` raises returns, so they are minus the costs. (The guide's example puts a
    minus before it as well, which would climb.)
    """
    jax, jnp, eqx = setup.jax, setup.jax.numpy, setup.eqx
    times, data, spread = (jnp.array(question[k]) for k in ("times", "means", "spreads"))

    def one(system: Any, result: Any, costs: Any) -> Any:
        later = times[None, :] >= result.t[1:, None]
        return setup.reinforce_loss(system, result, -(later * costs).sum(1))

    def at_times(result: Any) -> Any:
        return result.interpolate(times).x[:, setup.columns]

    def loss(system: Any, keys: Any) -> Any:
        results = eqx.filter_vmap(setup.simulate, in_axes=(None, 0))(system, keys)
        arrays, names = eqx.partition(results, eqx.is_array)
        results = eqx.combine(jax.lax.stop_gradient(arrays), names)
        observed = eqx.filter_vmap(at_times, in_axes=eqx.if_array(0))(results)
        mean = observed.mean(0)
        slope = 2 * (mean - data) / spread**2
        centered = (observed - mean) * (len(keys) / (len(keys) - 1))  # leave-one-out baseline
        costs = (slope * centered).sum(-1)
        losses = eqx.filter_vmap(one, in_axes=(None, eqx.if_array(0), 0))(system, results, costs)
        return losses.mean()

    return loss


if __name__ == "__main__":
    serve({"gradient": gradient, "fit": fit})
