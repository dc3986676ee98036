/* The Cellular Potts model as one writes it in plain C: the measure of speed for cellular_potts.py.
 *
 *     cellular_potts SIZE CELLS WIDTH J01 J11 LAMBDA TARGET STEPS SEED RUNS OUT FRAMES EVERY
 *
 * A torus of SIZE x SIZE sites with CELLS x CELLS square cells of one type, WIDTH sites wide, from
 * the corner on. Contacts and copies are between the eight neighbors. It prints the processor
 * seconds of RUNS runs, seeds SEED, SEED + 1, ..., and writes FRAMES frames of each, from step STEPS
 * on and EVERY steps apart, to OUT as 32-bit integers.
 * Random numbers are xoshiro256** (Blackman and Vigna 2021), 64 bits an attempt, or 128.
 */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t s[4];

static inline uint64_t rotated(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static inline uint64_t next_word(void)
{
    uint64_t found = rotated(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0]; s[3] ^= s[1]; s[1] ^= s[2]; s[0] ^= s[3]; s[2] ^= t; s[3] = rotated(s[3], 45);
    return found;
}

static void seed_words(uint64_t seed)
{
    for (int i = 0; i < 4; i++) { /* splitmix64 */
        uint64_t z = (seed += 0x9E3779B97F4A7C15ULL);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        s[i] = z ^ (z >> 31);
    }
}

static const int DY[8] = {-1, -1, -1, 0, 0, 1, 1, 1}, DX[8] = {-1, 0, 1, -1, 1, -1, 0, 1};

static inline int wrapped(int i, int n) { return i < 0 ? n - 1 : i == n ? 0 : i; }

int main(int argc, char **argv)
{
    if (argc != 14) return 2;
    int n = atoi(argv[1]), cells = atoi(argv[2]), width = atoi(argv[3]);
    double J[2][2] = {{0, atof(argv[4])}, {atof(argv[4]), atof(argv[5])}};
    double lambda = atof(argv[6]), target = atof(argv[7]);
    int steps = atoi(argv[8]), seed = atoi(argv[9]), runs = atoi(argv[10]);
    int frames = atoi(argv[12]), every = atoi(argv[13]);
    int *site = malloc(n * n * sizeof *site), *volume = malloc((cells * cells + 1) * sizeof *volume);
    FILE *out = fopen(argv[11], "wb");
    double seconds = 0;
    for (int run = 0; run < runs; run++) {
        seed_words(seed + run);
        memset(site, 0, n * n * sizeof *site);
        memset(volume, 0, (cells * cells + 1) * sizeof *volume);
        for (int y = 0; y < cells * width; y++)
            for (int x = 0; x < cells * width; x++)
                volume[site[y * n + x] = 1 + y / width * cells + x / width]++;
        for (int frame = 0; frame < frames; frame++) {
            struct timespec a, b;
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
            for (long t = 0; t < (long)(frame ? every : steps) * n * n; t++) {
                uint64_t word = next_word();
                int p = (int)(((word >> 32) * (uint64_t)(n * n)) >> 32), k = (int)(word & 7);
                int y = p / n, x = p % n;
                int old = site[p], new = site[wrapped(y + DY[k], n) * n + wrapped(x + DX[k], n)];
                if (old == new) continue;
                double change = 0;
                for (int q = 0; q < 8; q++) {
                    int other = site[wrapped(y + DY[q], n) * n + wrapped(x + DX[q], n)];
                    if (other != new) change += J[new > 0][other > 0];
                    if (other != old) change -= J[old > 0][other > 0];
                }
                if (new) change += lambda * (2 * (volume[new] - target) + 1);
                if (old) change -= lambda * (2 * (volume[old] - target) - 1);
                if (change > 0 && (double)(next_word() >> 11) * 0x1.0p-53 >= exp(-change)) continue;
                site[p] = new;
                volume[new]++;
                volume[old]--;
            }
            clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
            seconds += (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
            fwrite(site, sizeof *site, (size_t)n * n, out);
        }
    }
    fclose(out);
    printf("%.9f\n", seconds);
    return 0;
}
