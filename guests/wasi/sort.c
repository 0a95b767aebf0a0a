// Sorts numbers and words by three sorts, and prints how they end up: the C library's qsort, a quicksort and a heapsort.

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 60000, WORDS = 12000, LONGEST = 12 };

static uint32_t numbers[NUMBERS];
static char words[WORDS][LONGEST];

static uint32_t next(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

static void fill(void) {
    uint32_t state = 2463534242u;
    for (int n = 0; n < NUMBERS; n++)
        numbers[n] = next(&state);
    for (int n = 0; n < WORDS; n++) {
        int length = 3 + next(&state) % (LONGEST - 4);
        for (int c = 0; c < length; c++)
            words[n][c] = 'a' + next(&state) % 6;
        words[n][length] = 0;
    }
}

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int by_letters(const void *a, const void *b) {
    return strcmp(a, b);
}

static void swap(uint32_t *a, uint32_t *b) {
    uint32_t kept = *a;
    *a = *b;
    *b = kept;
}

static void insert(uint32_t *from, uint32_t *to) {
    for (uint32_t *next = from; next < to; next++) {
        uint32_t number = *next, *at = next;
        for (; at > from && at[-1] > number; at--)
            *at = at[-1];
        *at = number;
    }
}

static void quicksort(uint32_t *from, uint32_t *to) {
    while (to - from > 16) {
        uint32_t *middle = from + (to - from) / 2, *last = to - 1;
        if (*middle < *from)
            swap(middle, from);
        if (*last < *middle)
            swap(last, middle);
        if (*middle < *from)
            swap(middle, from);
        uint32_t pivot = *middle, *low = from, *high = last;
        for (;;) {
            while (*low < pivot)
                low++;
            while (*high > pivot)
                high--;
            if (low >= high)
                break;
            swap(low++, high--);
        }
        quicksort(from, high + 1);
        from = high + 1;
    }
    insert(from, to);
}

static void sink(uint32_t *heap, uint32_t at, uint32_t count) {
    uint32_t number = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child] < heap[child + 1])
            child++;
        if (heap[child] <= number)
            break;
        heap[at] = heap[child];
    }
    heap[at] = number;
}

static void heapsort(uint32_t *heap, uint32_t count) {
    for (uint32_t at = count / 2; at-- > 0;)
        sink(heap, at, count);
    while (count > 1) {
        swap(&heap[0], &heap[--count]);
        sink(heap, 0, count);
    }
}

// The sum depends on the order.
static void report(const char *how) {
    uint64_t sum = 0;
    for (int n = 0; n < NUMBERS; n++)
        sum = sum * 31 + numbers[n];
    printf("%s %016" PRIx64 "\n", how, sum);
}

int main(int argc, char **argv) {
    int times = argc == 2 ? atoi(argv[1]) : 1;
    for (int n = 0; n < times; n++) {
        fill();
        qsort(numbers, NUMBERS, sizeof *numbers, by_size);
        report("qsort");
        fill();
        quicksort(numbers, numbers + NUMBERS);
        report("quicksort");
        fill();
        heapsort(numbers, NUMBERS);
        report("heapsort");
        qsort(words, WORDS, LONGEST, by_letters);
        printf("words %s %s %s\n", words[0], words[WORDS / 2], words[WORDS - 1]);
    }
    return 0;
}
