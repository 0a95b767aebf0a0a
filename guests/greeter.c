// The component of greeter.wit. What is there is here as the canonical ABI has it: a string or a list is an address and a
// length, a record that is given is its fields one by one, and what is returned has its place in memory.
// https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(name) __attribute__((import_module("$root"), import_name(name)))

typedef struct {
    const char *text;
    size_t length;
} string;

typedef struct {
    string name;
    uint32_t legs;
    bool hungry;
} creature;

// The fields of a creature, as parameters and as a creature.
#define CREATURE const char *name, size_t length, uint32_t legs, bool hungry
#define WHO ((creature){{name, length}, legs, hungry})

typedef struct {
    bool is_error;
    string error;
} verdict;

IMPORT("pause") void pause(void);
IMPORT("ask-guard") void ask_guard(CREATURE, verdict *);

// Holds what is given and returned in one call of an export, and is empty between calls.
static _Alignas(8) char space[64 * 1024];
static size_t used;

// Memory for the host's strings and lists too. Nothing is freed but all at once.
EXPORT("cabi_realloc") void *allocate(void *old, size_t old_size, size_t align, size_t size) {
    size_t at = (used + align - 1) & -align;
    if (at > sizeof space || size > sizeof space - at)
        __builtin_trap();
    used = at + size;
    if (old_size > 0)
        __builtin_memcpy(space + at, old, old_size < size ? old_size : size);
    return space + at;
}

#define NEW(type, count) ((type *)allocate(NULL, 0, _Alignof(type), sizeof(type) * (count)))

// The host calls these when it has read what an export has returned.
#define AFTER(name, ...) \
    EXPORT("cabi_post_" name) void __VA_ARGS__ { used = 0; }

#define TEXT(literal) ((string){literal, sizeof literal - 1})

static string join(int count, const string parts[]) {
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].length;
    char *text = NEW(char, length), *end = text;
    for (int i = 0; i < count; i++) {
        __builtin_memcpy(end, parts[i].text, parts[i].length);
        end += parts[i].length;
    }
    return (string){text, length};
}

#define JOIN(...) join(sizeof((string[]){__VA_ARGS__}) / sizeof(string), (string[]){__VA_ARGS__})

static string greeting(string name) {
    return JOIN(TEXT("Good day, "), name, TEXT("!"));
}

EXPORT("greet") string *greet(const char *name, size_t length) {
    string *result = NEW(string, 1);
    *result = greeting((string){name, length});
    return result;
}
AFTER("greet", after_greet(string *result))

typedef struct {
    string *greetings;
    size_t length;
} greetings;

EXPORT("receive") greetings *receive(const creature *visitors, size_t length) {
    greetings *result = NEW(greetings, 1);
    *result = (greetings){NEW(string, length), length};
    for (size_t i = 0; i < length; i++) {
        result->greetings[i] = greeting(visitors[i].name);
        pause();
    }
    return result;
}
AFTER("receive", after_receive(greetings *result))

EXPORT("feed") creature *feed(CREATURE) {
    creature *result = NEW(creature, 1);
    *result = WHO;
    result->hungry = false;
    return result;
}
AFTER("feed", after_feed(creature *result))

typedef struct {
    enum { NOTHING, BERRIES, SONG } kind;
    union {
        uint32_t berries;
        string song;
    };
} gift;

// The songs that are known by heart.
static uint32_t songs;

EXPORT("offer") gift *offer(CREATURE) {
    gift *result = NEW(gift, 1);
    result->kind = hungry ? BERRIES : songs > 0 ? SONG : NOTHING;
    if (result->kind == BERRIES)
        result->berries = 3 * legs;
    if (result->kind == SONG)
        result->song = JOIN(TEXT("O "), (string){name, length}, TEXT(", how you walk!"));
    return result;
}
AFTER("offer", after_offer(gift *result))

// Who was let in last, with room for its name.
static struct {
    bool is_some;
    creature who;
} last_admitted;
static char last_name[64];

EXPORT("admit") verdict *admit(CREATURE) {
    verdict *result = NEW(verdict, 1);
    if (length > sizeof last_name) {
        *result = (verdict){true, TEXT("nobody can remember such a name")};
        return result;
    }
    ask_guard(name, length, legs, hungry, result);
    if (!result->is_error) {
        __builtin_memcpy(last_name, name, length);
        last_admitted.is_some = true;
        last_admitted.who = WHO;
        last_admitted.who.name.text = last_name;
    }
    return result;
}
AFTER("admit", after_admit(verdict *result))

EXPORT("last-admitted") void *get_last_admitted(void) {
    return &last_admitted;
}

EXPORT("total") uint64_t total(const uint32_t *numbers, size_t length) {
    uint64_t sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += numbers[i];
    return sum;
}
AFTER("total", after_total(uint64_t result))

typedef struct {
    bool is_error;
    union {
        uint32_t known;
        string error;
    };
} learned;

EXPORT("learn") learned *learn(uint32_t count) {
    learned *result = NEW(learned, 1);
    *result = (learned){.is_error = __builtin_wasm_memory_grow(0, count) == (size_t)-1};
    if (result->is_error)
        result->error = TEXT("my head is full");
    else
        result->known = songs += count;
    return result;
}
AFTER("learn", after_learn(learned *result))

EXPORT("keep-watch") void keep_watch(void) {
    for (volatile uint32_t moments = 0;; moments++) {
    }
}

EXPORT("stumble") void stumble(void) {
    __builtin_trap();
}
