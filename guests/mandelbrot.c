// Tiles of the Mandelbrot set, for examples/mandelbrot.rs.

#include "../guest-kit/wasm_jobs.h"

#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name))) name
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name))) name

enum { WIDTH = 160, HEIGHT = 90, CHANNELS = 3, SAMPLES = 4, ITERATIONS = 3000 };

void IMPORT(row_done)(void);

// The samples of one pixel, computed side by side.
typedef double samples __attribute__((vector_size(SAMPLES * sizeof(double))));
typedef int64_t masks __attribute__((vector_size(SAMPLES * sizeof(int64_t))));

static uint8_t pixels[HEIGHT][WIDTH][CHANNELS];

static samples select(masks mask, samples yes, samples no) {
    return (samples)((mask & (masks)yes) | (~mask & (masks)no));
}

// The logarithm of the number of iterations in which each sample escapes, or -1 if it does not.
static samples escape(samples a, samples b) {
    // The farther it is to here, the smoother is the fraction that is added to the iterations.
    const double outside = 1e4;
    samples x = {0}, y = {0}, norm = {0};
    masks iterations = {0};
    for (int i = 0; i < ITERATIONS; i++) {
        samples xx = x * x, yy = y * y;
        norm = xx + yy;
        masks inside = norm < outside;
        if (!(inside[0] | inside[1] | inside[2] | inside[3]))
            break;
        iterations -= inside; // A mask is -1 where it is set.
        // A sample that has escaped stays where it is, while the others go on.
        y = select(inside, 2 * x * y + b, y);
        x = select(inside, xx - yy + a, x);
    }
    samples depth;
    for (int s = 0; s < SAMPLES; s++) {
        double fraction = 1 - __builtin_log2(__builtin_log2(norm[s]) / 2);
        depth[s] = norm[s] < outside ? -1 : __builtin_log2(iterations[s] + fraction + 8);
    }
    return depth;
}

// How bright a pixel is in one channel. Each channel is a wave over the depth, a little ahead of the channel before.
static uint8_t brightness(samples depth, int channel) {
    double light = 0;
    for (int s = 0; s < SAMPLES; s++) {
        double level = 0.5 - 0.5 * __builtin_cos(3.14159265358979 * (depth[s] + 0.2 * channel));
        // Light adds up as the square of what a screen is told, or nearly so.
        light += depth[s] < 0 ? 0 : level * level;
    }
    return 255 * __builtin_sqrt(light / SAMPLES) + 0.5;
}

// Draws the tile that has its upper left corner at (`left`, `top`) and pixels of the size `step`. Gives the address of
// its pixels.
const uint8_t *EXPORT(render)(double left, double top, double step) {
    for (int row = 0; row < HEIGHT; row++) {
        for (int column = 0; column < WIDTH; column++) {
            // No two of them in one line, so that edges are smooth whichever way they run.
            samples a = left + step * (column + (samples){0.125, 0.625, 0.375, 0.875});
            samples b = top - step * (row + (samples){0.125, 0.375, 0.625, 0.875});
            samples depth = escape(a, b);
            for (int channel = 0; channel < CHANNELS; channel++)
                pixels[row][column][channel] = brightness(depth, channel);
        }
        row_done();
        wasm_jobs_yield();
    }
    return &pixels[0][0][0];
}
