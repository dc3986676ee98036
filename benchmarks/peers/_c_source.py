"""The C source of a network.

Small networks are unrolled: every propensity is an expression of its own, and the reaction is found
by comparing the target with every cumulative sum, without a branch. Beyond `LARGEST_UNROLLED`
reactions the propensities stay in memory, a reaction renews those it changes, and the sums are kept
in blocks, each added up anew when one of its propensities changes. The limit is about where the two
are equally fast.

The generator is xoshiro256++ of Blackman & Vigna (2021), doi:10.1145/3460772, seeded by SplitMix64
of Steele et al. (2014), doi:10.1145/2660193.2660195.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from peers._engine import Network, ordered_rate

LARGEST_UNROLLED = 30
_WIDTH = 32


def c_source(network: Network) -> str:
    """Return a translation unit with the function ``simulate``."""
    large = len(network.reactions) > LARGEST_UNROLLED
    body = _blocked(network) if large else _unrolled(network)
    return _HEAD + body + _LOOP


def _unrolled(network: Network) -> str:
    index = {name: i for i, name in enumerate(network.species)}
    num_reactions = len(network.reactions)
    lines = [
        _sizes(network),
        _table("int64_t", "change[R][S]", (_braced(_changes(r, index)) for r in network.reactions)),
        "typedef struct { int64_t x[S]; double a[R]; } Run;",
        "static inline void begin(Run *run) { (void)run; }",
        "static inline double total(Run *run) {",
        "    const int64_t *x = run->x;",
        "    double sum = 0.0;",
    ]
    for r, reaction in enumerate(network.reactions):
        # The cumulative sums are kept instead of the propensities.
        lines.append(f"    run->a[{r}] = sum += {_propensity(reaction, index)};")
    lines += ["    return sum;", "}", "static inline void fire(Run *run, double target) {"]
    lines.append("    int64_t chosen = 0;")
    lines += [f"    chosen += run->a[{r}] <= target;" for r in range(num_reactions - 1)]
    lines += ["    for (int i = 0; i < S; i++) run->x[i] += change[chosen][i];", "}"]
    return "\n".join(lines) + "\n"


def _propensity(reaction: Any, index: dict[str, int]) -> str:
    reactants, _, rate = reaction
    factors = [repr(ordered_rate(reactants, rate))]
    for name, count in reactants.items():
        x = f"x[{index[name]}]"
        factors.append(f"(double){x}" if count == 1 else f"(double){x} * (double)({x} - 1)")
    return " * ".join(factors)


def _blocked(network: Network) -> str:
    index = {name: i for i, name in enumerate(network.species)}
    one = len(index)  # a slot that always holds 1
    first, second, less, rates = [], [], [], []
    for reactants, _, rate in network.reactions:
        slots = [index[name] for name, count in reactants.items() for _ in range(count)]
        if len(slots) > 2:
            raise ValueError("reactions of more than two molecules are not handled")
        first.append((*slots, one)[0])
        second.append((*slots, one, one)[1])
        less.append(int(len(slots) == 2 and slots[0] == slots[1]))
        rates.append(repr(ordered_rate(reactants, rate)))
    changes = [_changes(r, index) for r in network.reactions]
    moved = [[i for i, change in enumerate(row) if change] for row in changes]
    readers: list[set[int]] = [set() for _ in range(one + 1)]
    for r, pair in enumerate(zip(first, second, strict=True)):
        for slot in pair:
            readers[slot].add(r)
    renewed = [sorted(set().union(*(readers[i] for i in row))) for row in moved]
    blocks = [sorted({r // _WIDTH for r in row}) for row in renewed]
    return "\n".join(
        [
            _sizes(network),
            f"enum {{ W = {_WIDTH}, B = (R + W - 1) / W }};",
            _table("double", "rate[R]", rates),
            _table("int32_t", "first[R]", first),
            _table("int32_t", "second[R]", second),
            _table("double", "less[R]", less),
            _lists("moved", moved),
            _table("int64_t", "amount[]", (change for row in changes for change in row if change)),
            _lists("renewed", renewed),
            _lists("blocks", blocks),
            _BLOCKED,
        ]
    )


def _changes(reaction: Any, index: dict[str, int]) -> list[int]:
    row = [0] * len(index)
    for side, sign in ((reaction[0], -1), (reaction[1], 1)):
        for name, count in side.items():
            row[index[name]] += sign * count
    return row


def _sizes(network: Network) -> str:
    return f"enum {{ S = {len(network.species)}, R = {len(network.reactions)} }};"


def _lists(name: str, rows: list[list[int]]) -> str:
    begins = [0]
    for row in rows:
        begins.append(begins[-1] + len(row))
    flat = (value for row in rows for value in row)
    return f"{_table('int32_t', f'{name}_from[]', begins)}\n{_table('int32_t', f'{name}[]', flat)}"


def _table(kind: str, declarator: str, values: Iterable[Any]) -> str:
    return f"static const {kind} {declarator} = {_braced(values)};"


def _braced(values: Iterable[Any]) -> str:
    return "{" + ", ".join(str(v) for v in values) + "}"


_HEAD = """\
#include <math.h>
#include <stdint.h>

static uint64_t s0, s1, s2, s3;

static inline uint64_t rotated(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static inline uint64_t next64(void) {
    const uint64_t out = rotated(s0 + s3, 23) + s0, t = s1 << 17;
    s2 ^= s0; s3 ^= s1; s1 ^= s2; s0 ^= s3; s2 ^= t; s3 = rotated(s3, 45);
    return out;
}

static uint64_t split_mix(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

"""

_BLOCKED = """\
typedef struct { double x[S + 1], a[B * W], sum[B]; } Big;
typedef struct { int64_t x[S]; Big big; } Run;

static inline double propensity(const double *x, int r) {
    return rate[r] * x[first[r]] * (x[second[r]] - less[r]);
}

static inline double added(const double *a) {
    double part[8] = {0};
    for (int i = 0; i < W; i += 8)
        for (int j = 0; j < 8; j++) part[j] += a[i + j];
    for (int j = 0; j < 4; j++) part[j] += part[j + 4];
    return (part[0] + part[1]) + (part[2] + part[3]);
}

static inline void begin(Run *run) {
    Big *big = &run->big;
    for (int i = 0; i < S; i++) big->x[i] = (double)run->x[i];
    big->x[S] = 1.0;
    for (int r = 0; r < B * W; r++) big->a[r] = r < R ? propensity(big->x, r) : 0.0;
    for (int b = 0; b < B; b++) big->sum[b] = added(big->a + b * W);
}

static inline double total(Run *run) {
    double sum = 0.0;
    for (int b = 0; b < B; b++) sum += run->big.sum[b];
    return sum;
}

static inline void fire(Run *run, double target) {
    Big *big = &run->big;
    int b = 0;
    while (b < B - 1 && big->sum[b] <= target) target -= big->sum[b++];
    int chosen = b * W;
    const int end = chosen + W;
    while (chosen < end - 1 && big->a[chosen] <= target) target -= big->a[chosen++];
    while (chosen > 0 && big->a[chosen] == 0.0) chosen--;  /* rounding at the end of a block */
    for (int j = moved_from[chosen]; j < moved_from[chosen + 1]; j++) {
        run->x[moved[j]] += amount[j];
        big->x[moved[j]] = (double)run->x[moved[j]];
    }
    for (int j = renewed_from[chosen]; j < renewed_from[chosen + 1]; j++)
        big->a[renewed[j]] = propensity(big->x, renewed[j]);
    for (int j = blocks_from[chosen]; j < blocks_from[chosen + 1]; j++)
        big->sum[blocks[j]] = added(big->a + blocks[j] * W);
}
"""

_LOOP = """
int64_t simulate(int64_t runs, uint64_t seed, int64_t num_times, const double *times,
                 const int64_t *initial, int64_t *states) {
    static Run run;
    int64_t events = 0;
    for (int64_t b = 0; b < runs; b++) {
        uint64_t mixed = seed * 0xda942042e4dd58b5u + (uint64_t)b * 0x5851f42d4c957f2du;
        s0 = split_mix(&mixed); s1 = split_mix(&mixed);
        s2 = split_mix(&mixed); s3 = split_mix(&mixed);
        for (int i = 0; i < S; i++) run.x[i] = initial[i];
        begin(&run);
        double time = 0.0;
        int64_t k = 0;
        for (;;) {
            const double sum = total(&run);
            const double u = (double)((next64() >> 11) + 1) * 0x1p-53;
            time += sum > 0.0 ? -log(u) / sum : INFINITY;
            while (k < num_times && times[k] <= time) {
                int64_t *out = states + (b * num_times + k++) * S;
                for (int i = 0; i < S; i++) out[i] = run.x[i];
            }
            if (k == num_times) break;
            fire(&run, (double)(next64() >> 11) * 0x1p-53 * sum);
            events++;
        }
    }
    return events;
}
"""
