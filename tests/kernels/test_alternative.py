"""Runs with phantoms: where phantoms begin, what their pairs do, and what they weigh."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from tests import helpers
from tumble._errors import ParameterError
from tumble._random import Stream, run_ids
from tumble._results import SampleCode
from tumble.models import ReactionNetwork
from tumble.simulators import Batch, DirectMethod

TIMES = np.linspace(0.25, 4.0, 16)


def batch_of(params, initial, num_runs, times=TIMES, start=0.0, seed=5):
    params, initial = np.asarray(params, dtype=float), np.asarray(initial)
    return Batch(
        np.tile(params, (num_runs, 1)),
        np.tile(initial, (num_runs, 1)),
        np.asarray(times, dtype=float),
        Stream.from_seed(seed),
        run_ids(num_runs),
        start,
    )


def sample(network, batch, scales, num_phantoms=4, **options):
    return DirectMethod(**options).sample_with_alternatives(
        network, batch, np.asarray(scales, dtype=float), num_phantoms
    )


@pytest.mark.parametrize(
    ("network", "params", "initial"),
    [
        (helpers.sir(), [0.05, 0.7], [18, 2, 0]),
        (helpers.dimerization(), [0.1, 0.4], [20, 1]),
        (helpers.enzyme(), [8.0, 4.0], [10, 0]),
    ],
)
def test_runs_are_those_of_plain_samples_and_pairs_branch_off_them(network, params, initial):
    batch = batch_of(params, initial, 400, start=0.1)
    got = sample(network, batch, [1.0, 2.0])
    assert np.array_equal(got.states, DirectMethod().sample(network, batch).states)
    assert np.all(got.codes == 0) and np.all(got.culprits == -1)
    one, two = got.pairs[:, :, 0], got.pairs[:, :, 1]
    apart = np.any(one != two, axis=-1)
    # Before a pair has been apart it is the run; once it has met it stays together.
    assert apart.any() and not apart.all()
    never_yet = np.cumsum(apart, axis=-1) == 0
    ends_apart = apart[..., -1:]
    from_run = never_yet & ends_apart
    run = np.broadcast_to(got.states[:, None], one.shape)
    assert from_run.any()
    assert np.array_equal(one[from_run], run[from_run])
    assert np.array_equal(two[from_run], run[from_run])
    turns = np.abs(np.diff(apart.astype(int), axis=-1)).sum(-1) + apart[..., 0]
    assert turns.max() == 2
    # Whatever is conserved stays so in both.
    for law in network.conservation_laws:
        weights = np.array([law.weights.get(s, 0) for s in network.species])
        assert np.all(got.pairs @ weights == batch.initial[0] @ weights)


def test_phantoms_are_spread_evenly_and_weigh_the_time():
    """Arrivals have a constant derivative: phantom m begins in the m-th quarter of the time, and
    stays; its weight is a quarter of it."""
    got = sample(helpers.arrival(), batch_of([2.0], [3], 5_000), [7.0])
    change = got.pairs[:, :, 0, :, 0] - got.pairs[:, :, 1, :, 0]
    assert np.array_equal(np.unique(change), [0, 1])
    begins = change.shape[-1] - change.sum(-1)  # the number of outputs before it
    for m in range(4):
        in_quarter = np.bincount(begins[:, m] - 4 * m, minlength=4)
        assert len(in_quarter) == 4
        assert stats.chisquare(in_quarter).pvalue > 1e-3
    assert np.all(np.abs(got.weights - 1.0) < 1e-12)


def test_each_side_of_a_pair_has_the_exact_law():
    """Only k matters, whose derivative is constant: a phantom begins at a moment that does not
    depend on the run. Without it X(t) is Poisson; with it, another one arrived at a uniform time.
    Y counts arrivals, so that the two never meet."""
    times = [1.0, 3.0]
    network = ReactionNetwork.from_text("0 -> X + Y ; k\nX -> 0 ; gamma")
    batch = batch_of([6.0, 0.8], [0, 0], 40_000, times)
    got = sample(network, batch, [1.0, 0.0], num_phantoms=1)
    assert np.all(got.weights[..., 1] == 0)
    assert np.all(np.abs(got.weights[..., 0] - 3.0) < 1e-12)
    for k, t in enumerate(times):
        mean, _ = helpers.immigration_death_moments(6.0, 0.8, t)
        law = stats.poisson(mean).pmf(np.arange(60))
        survives = (1 - np.exp(-0.8 * t)) / 0.8 / 3.0
        with_one_more = (1 - survives) * law + survives * np.append(0, law[:-1])
        for side, expected in ((0, with_one_more), (1, law)):
            counts = np.bincount(got.pairs[:, 0, side, k, 0], minlength=60)[:60]
            common = 40_000 * expected > 10
            rest = max(1 - expected[common].sum(), 1e-12)
            found = np.append(counts[common], counts[~common].sum())
            chance = np.append(expected[common], rest)
            assert stats.chisquare(found, 40_000 * chance / chance.sum()).pvalue > 1e-3


def test_reactions_are_drawn_by_the_length_of_their_derivatives():
    """Two arrivals with scales 1 and 3: three of four phantoms belong to the second, and the
    weights undo it. A third one shares both parameters, and has the length √(1 + 9)."""
    network = ReactionNetwork.from_text("0 -> A ; a\n0 -> B ; b\n0 -> C ; a + b")
    got = sample(network, batch_of([0.0, 0.0], [0, 0, 0], 20_000, [1.0]), [1.0, 3.0], 1)
    new = got.pairs[:, 0, 0, 0] - got.pairs[:, 0, 1, 0]
    assert np.array_equal(np.unique(new.sum(-1)), [1])
    lengths = np.array([1.0, 3.0, np.sqrt(10.0)])
    assert stats.chisquare(new.sum(0), 20_000 * lengths / lengths.sum()).pvalue > 1e-3
    for reaction, derivatives in enumerate(([1, 0], [0, 1], [1, 1])):
        weights = got.weights[new[:, reaction] == 1, 0]
        assert np.allclose(weights, np.array(derivatives) * lengths.sum() / lengths[reaction])
    assert np.all(got.events == 0)


def test_without_derivatives_there_are_no_phantoms():
    batch = batch_of([2.0, 1.0], [3], 50)
    got = sample(helpers.immigration_death(), batch, [0.0, 0.0])
    assert np.all(got.weights == 0)
    assert np.array_equal(got.pairs[:, :, 0], got.pairs[:, :, 1])
    assert np.array_equal(got.pairs[:, 2, 0], got.states)


def test_rows_depend_on_nothing_but_themselves():
    network, batch = helpers.enzyme(), batch_of([8.0, 4.0], [10, 0], 3_000)
    whole = sample(network, batch, [1.0, 2.0])
    rows = np.array([2_999, 7, 1_234])
    few = sample(
        network,
        replace(
            batch, params=batch.params[rows], initial=batch.initial[rows], runs=batch.runs[rows]
        ),
        [1.0, 2.0],
    )
    with ThreadPoolExecutor(3) as pool:
        threads = DirectMethod().sample_with_alternatives(
            network, batch, np.array([1.0, 2.0]), 4, executor=pool
        )
    for name in ("states", "pairs", "weights", "codes", "culprits", "events"):
        assert np.array_equal(getattr(whole, name)[rows], getattr(few, name))
        assert np.array_equal(getattr(whole, name), getattr(threads, name))


# -- what goes wrong in a run ---------------------------------------------------------------------


def failed(got, code, culprit):
    bad = got.codes == code
    assert bad.any() and np.all((got.codes == 0) | bad)
    assert np.all(got.culprits[bad] == culprit)
    assert np.all(got.states[bad] == -1) and np.all(got.pairs[bad] == -1)
    assert np.all(np.isnan(got.weights[bad]))
    assert np.all(got.states[~bad] >= 0) and np.all(np.isfinite(got.weights[~bad]))
    return bad


def test_too_many_events_of_a_run_or_of_a_pair():
    births = ReactionNetwork.from_text("X -> 2 X ; birth\nX -> 0 ; death")
    batch = batch_of([1.0, 0.1], [3], 2_000)
    bad = failed(sample(births, batch, [1.0, 1.0], max_events=60), SampleCode.MAX_EVENTS, -1)
    alone = DirectMethod(max_events=60).sample(births, batch).codes != 0
    assert np.all(bad[alone])  # and some pairs need more events than their run
    assert bad.sum() > alone.sum()


def test_a_phantom_without_reactants_names_its_reaction():
    network = ReactionNetwork.from_text("X -> 0 ; c\nX => 0 ; V")
    got = sample(network, batch_of([1.0, 0.0], [1], 500, [0.5, 1.0]), [0.0, 1.0])
    # A run fails if X is gone where a phantom begins: one of four equal parts of the time.
    bad = failed(got, SampleCode.NEGATIVE_COUNT, 1)
    assert np.all(bad[got.states[:, 0, 0] == 0])
    assert not bad.all()


@pytest.mark.parametrize("rate", ["sqrt(k)", "1 / k", "0 - k"])
def test_a_rate_or_a_derivative_that_is_not_a_number(rate):
    network = ReactionNetwork.from_text(f"0 -> X ; c\n0 -> Y ; {rate}")
    value = 1.0 if rate == "0 - k" else 0.0
    q = list(network.parameters).index("k")
    params = np.array([1.0, 1.0])
    params[q] = value
    got = sample(network, batch_of(params, [0, 0], 5), [1.0, 1.0])
    assert np.all(failed(got, SampleCode.INVALID_RATE, 1))


def test_a_law_that_loses_its_derivative_on_the_way():
    """√(k − X) has none where X reaches k, which is 2 here."""
    network = ReactionNetwork.from_text("0 -> X ; c\n0 => Y ; sqrt(max(0, k - X))")
    scales = [1.0 if name == "k" else 0.0 for name in network.parameters]
    params = [2.0 if name == "k" else 1.0 for name in network.parameters]
    got = sample(network, batch_of(params, [0, 0], 500), scales)
    bad = failed(got, SampleCode.INVALID_RATE, 1)
    plain = DirectMethod().sample(network, batch_of(params, [0, 0], 500))
    assert np.all(plain.codes == 0)
    assert np.array_equal(bad, plain.states[:, -1, 0] >= 2)


@pytest.mark.parametrize("scales", [[1.0], [1.0, -1.0], [1.0, np.nan], [[1.0, 1.0]]])
def test_scales_are_checked(scales):
    with pytest.raises(
        ParameterError, match=r"`scales` is .*, expected a finite number ≥ 0 .*shape \(2,\)"
    ):
        sample(helpers.sir(), batch_of([0.1, 0.7], [18, 2, 0], 3), scales)
    with pytest.raises(ParameterError, match="`num_phantoms` is 0, expected at least 1"):
        sample(helpers.sir(), batch_of([0.1, 0.7], [18, 2, 0], 3), [1.0, 1.0], 0)
