/* Writes the 32-bit words of tumble's random streams to standard output, for any test battery.
 *
 *     random_streams LAYOUT KEY ROUNDS [WORDS]
 *
 * The layouts are the ways in which tumble lines its streams up; they are listed at the end. KEY is
 * the 64-bit key of a stream, ROUNDS is 10 in tumble, and without WORDS there is no end but that of
 * the reader; the number of words that were taken is then told on the error stream. It shares no
 * code with tumble: random_streams.py compares the two word for word.
 */

#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 4096, LANES = 1024 };

typedef struct { uint32_t word[4]; } Block;

/* Philox4x32 (Salmon et al. 2011): block `draw` of `run` under `key`. */
static Block philox(uint64_t key, uint64_t run, uint64_t draw, int rounds)
{
    uint32_t c[4] = {(uint32_t)draw, (uint32_t)(draw >> 32), (uint32_t)run, (uint32_t)(run >> 32)};
    uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    for (int r = 0; r < rounds; r++) {
        uint64_t even = (uint64_t)0xD2511F53 * c[0];
        uint64_t odd = (uint64_t)0xCD9E8D57 * c[2];
        uint32_t next[4] = {(uint32_t)(odd >> 32) ^ c[1] ^ k[0], (uint32_t)odd,
                            (uint32_t)(even >> 32) ^ c[3] ^ k[1], (uint32_t)even};
        memcpy(c, next, sizeof c);
        k[0] += 0x9E3779B9;
        k[1] += 0xBB67AE85;
    }
    Block block;
    memcpy(block.word, c, sizeof c);
    return block;
}

/* BLAKE2b (RFC 7693) of a text of at most 128 bytes, with a digest of 8 bytes and no key. */
static uint64_t rotated(uint64_t x, int by) { return x >> by | x << (64 - by); }

static uint64_t blake2b(const char *text, size_t length)
{
    static const uint64_t iv[8] = {
        0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
        0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    static const uint8_t order[10][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
        {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
        {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
        {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
        {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
        {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
        {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
        {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
        {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
        {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};
    static const uint8_t lane[8][4] = {{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15},
                                       {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14}};
    uint64_t first = iv[0] ^ 0x01010000 ^ 8; /* one word of parameters: fanout, depth, digest */
    uint64_t message[16] = {0};
    uint64_t v[16];
    memcpy(message, text, length); /* little-endian machines only, as is checked in main */
    memcpy(v, iv, sizeof iv);
    memcpy(v + 8, iv, sizeof iv);
    v[0] = first;
    v[12] ^= length;
    v[14] = ~v[14]; /* the last block, which is the only one */
    for (int round = 0; round < 12; round++) {
        const uint8_t *s = order[round % 10];
        for (int i = 0; i < 8; i++) {
            uint64_t *a = v + lane[i][0], *b = v + lane[i][1];
            uint64_t *c = v + lane[i][2], *d = v + lane[i][3];
            *a += *b + message[s[2 * i]];
            *d = rotated(*d ^ *a, 32);
            *c += *d;
            *b = rotated(*b ^ *c, 24);
            *a += *b + message[s[2 * i + 1]];
            *d = rotated(*d ^ *a, 16);
            *c += *d;
            *b = rotated(*b ^ *c, 63);
        }
    }
    return first ^ v[0] ^ v[8];
}

/* The key of Stream.from_seed(seed). */
static uint64_t key_of_seed(uint64_t seed)
{
    char text[128];
    return blake2b(text, (size_t)sprintf(text, "tumble/int:%" PRIu64, seed));
}

/* The 52 bits of which tumble makes a uniform, through the double that it makes; low 32 of them. */
static uint32_t low_bits_of_uniform(uint32_t high, uint32_t low)
{
    uint64_t bits = ((uint64_t)high << 32 | low) >> 12;
    volatile double uniform = (double)bits * 0x1p-52 + 0x1p-53;
    return (uint32_t)(uint64_t)((uniform - 0x1p-53) * 0x1p52);
}

static uint32_t reversed(uint32_t x)
{
    x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
    x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
    x = (x >> 4 & 0x0F0F0F0F) | (x & 0x0F0F0F0F) << 4;
    x = (x >> 8 & 0x00FF00FF) | (x & 0x00FF00FF) << 8;
    return x >> 16 | x << 16;
}

/* The layouts: block n of each. */
static Block draws(uint64_t n, uint64_t key, int rounds) { return philox(key, 0, n, rounds); }

static Block runs(uint64_t n, uint64_t key, int rounds) { return philox(key, n, 0, rounds); }

static Block lanes(uint64_t n, uint64_t key, int rounds)
{
    return philox(key, n % LANES, n / LANES, rounds);
}

static Block seeds(uint64_t n, uint64_t key, int rounds)
{
    return philox(key_of_seed(key + n), 0, 0, rounds);
}

static Block keys(uint64_t n, uint64_t key, int rounds) { return philox(key + n, 0, 0, rounds); }

static Block bits(uint64_t n, uint64_t key, int rounds)
{
    Block block = philox(key, 0, 2 * n, rounds), next = philox(key, 0, 2 * n + 1, rounds);
    Block out = {{low_bits_of_uniform(block.word[0], block.word[1]),
                  low_bits_of_uniform(block.word[2], block.word[3]),
                  low_bits_of_uniform(next.word[0], next.word[1]),
                  low_bits_of_uniform(next.word[2], next.word[3])}};
    return out;
}

static Block backwards(uint64_t n, uint64_t key, int rounds)
{
    Block block = philox(key, 0, n, rounds);
    for (int i = 0; i < 4; i++) block.word[i] = reversed(block.word[i]);
    return block;
}

/* Not tumble's: the cryptographic generator of the operating system, to compare with. */
static Block operating_system(uint64_t n, uint64_t key, int rounds)
{
    static FILE *source = NULL;
    Block block;
    (void)n, (void)key, (void)rounds;
    if (source == NULL) source = fopen("/dev/urandom", "rb");
    if (source == NULL || fread(&block, sizeof block, 1, source) < 1) exit(1);
    return block;
}

static const struct { const char *name; Block (*block)(uint64_t, uint64_t, int); } layouts[] = {
    {"draws", draws}, {"runs", runs}, {"lanes", lanes},         {"seeds", seeds},
    {"keys", keys},   {"bits", bits}, {"backwards", backwards}, {"system", operating_system},
};

int main(int argc, char **argv)
{
    static Block buffer[BLOCKS];
    const uint16_t one = 1;
    size_t layout = 0, count = sizeof layouts / sizeof *layouts;
    while (argc >= 4 && layout < count && strcmp(argv[1], layouts[layout].name)) layout++;
    if (argc < 4 || layout == count || !*(const uint8_t *)&one) {
        fprintf(stderr, "usage, on a little-endian machine: %s LAYOUT KEY ROUNDS [WORDS]\n", *argv);
        return 2;
    }
    uint64_t key = strtoull(argv[2], NULL, 10);
    int rounds = atoi(argv[3]);
    uint64_t left = argc > 4 ? strtoull(argv[4], NULL, 10) : UINT64_MAX;
    uint64_t n = 0;
    signal(SIGPIPE, SIG_IGN);
    while (left > 0) {
        for (uint64_t i = 0; i < BLOCKS; i++) buffer[i] = layouts[layout].block(n + i, key, rounds);
        size_t words = left < 4 * BLOCKS ? (size_t)left : 4 * BLOCKS;
        if (fwrite(buffer, 4, words, stdout) < words) break; /* the reader has had enough */
        left -= words;
        n += BLOCKS;
    }
    fprintf(stderr, "%" PRIu64 "\n", 4 * n);
    return 0;
}
