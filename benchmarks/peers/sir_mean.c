/* Mean counts of exact SIR epidemics (direct method), with the rates as arguments.

   xoshiro256++ of Blackman & Vigna (2021), doi:10.1145/3460772, seeded by SplitMix64 of Steele et
   al. (2014), doi:10.1145/2660193.2660195. */

#include <math.h>
#include <stdint.h>

static uint64_t state[4];

static uint64_t rotated(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static uint64_t next(void) {
    const uint64_t result = rotated(state[0] + state[3], 23) + state[0];
    const uint64_t t = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = rotated(state[3], 45);
    return result;
}

static double uniform(void) { return ((next() >> 11) + 0.5) * 0x1.0p-53; }

void seed(uint64_t value) {
    for (int i = 0; i < 4; i++) {
        uint64_t z = (value += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        state[i] = z ^ (z >> 31);
    }
}

/* Write the mean of `runs` runs to mean[num_times][3], the columns being S, I, R. */
void sir_mean(double beta, double gamma, const int64_t *initial, int64_t runs, int64_t num_times,
              const double *times, double *mean) {
    for (int64_t i = 0; i < 3 * num_times; i++) mean[i] = 0.0;
    for (int64_t run = 0; run < runs; run++) {
        double s = initial[0], infected = initial[1], r = initial[2], t = 0.0;
        int64_t at = 0;
        while (at < num_times) {
            const double infection = beta * s * infected, total = infection + gamma * infected;
            const double then = total > 0.0 ? t - log(uniform()) / total : INFINITY;
            while (at < num_times && times[at] < then) {
                mean[3 * at] += s;
                mean[3 * at + 1] += infected;
                mean[3 * at + 2] += r;
                at++;
            }
            t = then;
            if (uniform() * total < infection) {
                s -= 1.0;
                infected += 1.0;
            } else {
                infected -= 1.0;
                r += 1.0;
            }
        }
    }
    for (int64_t i = 0; i < 3 * num_times; i++) mean[i] /= (double)runs;
}
