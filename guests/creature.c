// A creature of the world of examples/frame_loop.rs: a script that reads from top to bottom, and takes many frames.

#include <stdbool.h>

#define EXPORT(name) __attribute__((export_name(#name))) name
#define IMPORT(name) __attribute__((import_module("world"), import_name(#name))) name

// The world, row by row. It ends at rocks.
enum { WIDTH = 80, HEIGHT = 22, CELLS = WIDTH * HEIGHT };
enum { ROCK = '#', BERRY = '*' };

// Directions, clockwise.
enum { NORTH, EAST, SOUTH, WEST, DIRECTIONS };
static const int way[DIRECTIONS] = {-WIDTH, 1, WIDTH, -1};

// How many berries are in a plan.
enum { STOPS = 9 };

int IMPORT(look)(char world[CELLS]); // Where the creature is.
int IMPORT(walk)(int direction);     // The same after a step, which takes a frame.
bool IMPORT(eat)(void);              // Was there a berry?
void IMPORT(nap)(int milliseconds);
int IMPORT(chance)(int below);

// What was thought of: for each berry, in the order of the shortest way through them all, how far every cell is from it.
static int plan_length;
static short plan[STOPS][CELLS];

// Carries out a plan and whiles some time away, until it is time for another. Gives the number of berries eaten.
int EXPORT(act)(void) {
    static char world[CELLS];
    int here = look(world), eaten = 0;

    for (int stop = 0; stop < plan_length; stop++) {
        while (plan[stop][here] > 0) {
            int direction = NORTH;
            while (plan[stop][here + way[direction]] != plan[stop][here] - 1)
                direction++;
            here = walk(direction);
        }
        // Others are after the berries, too.
        if (eat()) {
            eaten++;
            nap(100);
        }
    }
    plan_length = 0;

    nap(chance(2000));
    for (int steps = chance(60), direction = NORTH; steps > 0; steps--) {
        if (chance(4) == 0)
            direction = chance(DIRECTIONS);
        walk(direction);
    }
    return eaten;
}

// The cells that can be reached from where a flood starts, by their distance.
static int reached[CELLS];

// Finds how far each cell is from `start`; -1 is for those that cannot be reached. Gives the number of those that can.
static int flood(const char world[CELLS], int start, short distance[CELLS]) {
    for (int cell = 0; cell < CELLS; cell++)
        distance[cell] = -1;
    int count = 0;
    distance[start] = 0;
    reached[count++] = start;
    for (int next = 0; next < count; next++) {
        for (int direction = NORTH; direction < DIRECTIONS; direction++) {
            int cell = reached[next] + way[direction];
            if (world[cell] != ROCK && distance[cell] < 0) {
                distance[cell] = distance[reached[next]] + 1;
                reached[count++] = cell;
            }
        }
    }
    return count;
}

// The places of a plan: where the creature is, and the berries.
static int places, place[1 + STOPS];
static short distance[1 + STOPS][CELLS];

// An order of the places, and the best so far.
static int order[1 + STOPS], best_order[1 + STOPS], shortest;

// Tries every order of the places from the one at `from` on. The way through those before it has this length.
static void try_orders(int from, int length) {
    if (from == places && length < shortest) {
        shortest = length;
        __builtin_memcpy(best_order, order, sizeof order);
    }
    for (int i = from; i < places; i++) {
        int next = order[i];
        order[i] = order[from];
        order[from] = next;
        try_orders(from + 1, length + distance[next][place[order[from - 1]]]);
        order[from] = order[i];
        order[i] = next;
    }
}

// Plans the shortest way through the nearest berries. That is hard: there are 362,880 orders of nine.
void EXPORT(think)(void) {
    static char world[CELLS];
    place[0] = look(world);
    places = 1;
    int count = flood(world, place[0], distance[0]);
    for (int next = 0; next < count && places <= STOPS; next++)
        if (world[reached[next]] == BERRY)
            place[places++] = reached[next];
    for (int i = 0; i < places; i++) {
        flood(world, place[i], distance[i]);
        order[i] = i;
    }
    shortest = 1 << 30;
    try_orders(1, 0);
    plan_length = places - 1;
    for (int stop = 0; stop < plan_length; stop++)
        __builtin_memcpy(plan[stop], distance[best_order[stop + 1]], sizeof plan[stop]);
}
