// Hashes bytes by three functions, and prints the hashes: SHA-256, the 32-bit XXH and a cyclic redundancy check.

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 1 << 20 };

static uint8_t bytes[BYTES];

static uint32_t left(uint32_t x, int n) {
    return x << n | x >> (32 - n);
}

static uint32_t right(uint32_t x, int n) {
    return left(x, 32 - n);
}

static uint32_t big_endian(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

static uint32_t little_endian(const uint8_t *at) {
    return (uint32_t)at[3] << 24 | at[2] << 16 | at[1] << 8 | at[0];
}

// SHA-256's constants are the first bits of the roots of primes.
static uint32_t rounds[64], initial[8];

// The first 32 bits behind the point of the `root`th root of a number: the greatest x with (x / 2^32)^root <= n.
static uint32_t root_bits(uint32_t n, int root) {
    unsigned __int128 x = 0;
    for (int bit = 36; bit >= 0; bit--) {
        unsigned __int128 more = x | (unsigned __int128)1 << bit;
        // Three factors of 36 bits fit.
        unsigned __int128 power = root == 2 ? more * more : more * more * more;
        if (power <= (unsigned __int128)n << 32 * root)
            x = more;
    }
    return (uint32_t)x;
}

static void find_constants(void) {
    for (uint32_t n = 2, found = 0; found < 64; n++) {
        int prime = 1;
        for (uint32_t d = 2; d * d <= n; d++)
            prime &= n % d != 0;
        if (!prime)
            continue;
        if (found < 8)
            initial[found] = root_bits(n, 2);
        rounds[found++] = root_bits(n, 3);
    }
}

static void sha256_block(uint32_t *state, const uint8_t *block) {
    uint32_t w[64], s[8];
    for (int n = 0; n < 16; n++)
        w[n] = big_endian(block + 4 * n);
    for (int n = 16; n < 64; n++) {
        uint32_t a = w[n - 15], b = w[n - 2];
        w[n] = w[n - 16] + (right(a, 7) ^ right(a, 18) ^ a >> 3) + w[n - 7] + (right(b, 17) ^ right(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int n = 0; n < 64; n++) {
        uint32_t e = s[4], a = s[0];
        uint32_t one = s[7] + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + rounds[n] + w[n];
        uint32_t two = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one;
        s[0] = one + two;
    }
    for (int n = 0; n < 8; n++)
        state[n] += s[n];
}

static void sha256(const uint8_t *data, size_t length, uint32_t *state) {
    memcpy(state, initial, sizeof initial);
    size_t whole = length / 64;
    for (size_t n = 0; n < whole; n++)
        sha256_block(state, data + 64 * n);
    uint8_t end[128] = {0};
    size_t rest = length % 64, last = rest < 56 ? 64 : 128;
    memcpy(end, data + 64 * whole, rest);
    end[rest] = 0x80;
    for (int n = 0; n < 8; n++)
        end[last - 1 - n] = (uint8_t)((uint64_t)length * 8 >> 8 * n);
    for (size_t at = 0; at < last; at += 64)
        sha256_block(state, end + at);
}

static uint32_t xxh32(const uint8_t *data, size_t length) {
    const uint32_t p1 = 2654435761u, p2 = 2246822519u, p3 = 3266489917u, p4 = 668265263u, p5 = 374761393u;
    const uint8_t *end = data + length;
    uint32_t hash = p5;
    if (length >= 16) {
        uint32_t lanes[4] = {p1 + p2, p2, 0, 0u - p1};
        for (; data + 16 <= end; data += 16)
            for (int n = 0; n < 4; n++)
                lanes[n] = left(lanes[n] + little_endian(data + 4 * n) * p2, 13) * p1;
        hash = left(lanes[0], 1) + left(lanes[1], 7) + left(lanes[2], 12) + left(lanes[3], 18);
    }
    hash += (uint32_t)length;
    for (; data + 4 <= end; data += 4)
        hash = left(hash + little_endian(data) * p3, 17) * p4;
    for (; data < end; data++)
        hash = left(hash + *data * p5, 11) * p1;
    hash = (hash ^ hash >> 15) * p2;
    hash = (hash ^ hash >> 13) * p3;
    return hash ^ hash >> 16;
}

static uint32_t crc32(const uint8_t *data, size_t length) {
    static uint32_t table[256];
    for (uint32_t n = 0; n < 256; n++) {
        table[n] = n;
        for (int bit = 0; bit < 8; bit++)
            table[n] = table[n] >> 1 ^ (table[n] & 1 ? 0xedb88320u : 0);
    }
    uint32_t hash = ~0u;
    for (size_t n = 0; n < length; n++)
        hash = hash >> 8 ^ table[(hash ^ data[n]) & 255];
    return ~hash;
}

static void report(const char *of, const uint8_t *data, size_t length) {
    uint32_t state[8];
    sha256(data, length, state);
    printf("%s ", of);
    for (int n = 0; n < 8; n++)
        printf("%08" PRIx32, state[n]);
    printf(" %08" PRIx32 " %08" PRIx32 "\n", xxh32(data, length), crc32(data, length));
}

int main(int argc, char **argv) {
    int times = argc == 2 ? atoi(argv[1]) : 1;
    find_constants();
    report("abc", (const uint8_t *)"abc", 3);
    uint32_t state = 1;
    for (int n = 0; n < BYTES; n++)
        bytes[n] = (state = state * 1664525 + 1013904223) >> 24;
    for (int n = 0; n < times; n++)
        report("bytes", bytes, BYTES);
    return 0;
}
