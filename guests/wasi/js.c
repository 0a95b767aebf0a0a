// An interpreter for JavaScript: `js -e SCRIPT` or `js FILE` runs a script, which has the language's own objects and `print`.
//
// It is QuickJS. Its source is not here: build.sh downloads it. All of it is included in this file, as its own amalgam.js does it.

// An assertion would put the path of the source into the program.
#define NDEBUG

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The C library has no rounding modes but the one.
#include <fenv.h>
#define FE_DOWNWARD 0
#define FE_UPWARD 0

#include "quickjs.c"
#include "dtoa.c"
#include "libregexp.c"
#include "libunicode.c"

static JSValue print(JSContext *context, JSValueConst this, int argc, JSValueConst *argv) {
    for (int n = 0; n < argc; n++) {
        const char *text = JS_ToCString(context, argv[n]);
        if (!text)
            return JS_EXCEPTION;
        printf("%s%s", n ? " " : "", text);
        JS_FreeCString(context, text);
    }
    putchar('\n');
    return JS_UNDEFINED;
}

// The text of a file, with a zero at the end.
static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *text = NULL;
    for (size_t got = 1, room = 0; got; *length += got) {
        if (*length == room)
            text = realloc(text, (room = room * 2 + 4096) + 1);
        if (!text)
            break;
        got = fread(text + *length, 1, room - *length, file);
        text[*length + got] = 0;
    }
    fclose(file);
    return text;
}

static void report(JSContext *context) {
    JSValue error = JS_GetException(context);
    const char *message = JS_ToCString(context, error);
    fprintf(stderr, "js: %s\n", message ? message : "the error has no text");
    JS_FreeCString(context, message);
    JS_FreeValue(context, error);
}

int main(int argc, char **argv) {
    int in_argument = argc == 3 && strcmp(argv[1], "-e") == 0;
    if (!in_argument && argc != 2) {
        fprintf(stderr, "usage: js -e SCRIPT | js FILE\n");
        return 2;
    }
    size_t length = 0;
    char *script = in_argument ? argv[2] : read_file(argv[1], &length);
    if (in_argument)
        length = strlen(script);
    JSRuntime *runtime = JS_NewRuntime();
    JSContext *context = runtime ? JS_NewContext(runtime) : NULL;
    if (!script || !context) {
        fprintf(stderr, "js: %s\n", script ? "not enough memory" : "the file cannot be read");
        return 1;
    }
    JSValue global = JS_GetGlobalObject(context);
    JS_SetPropertyStr(context, global, "print", JS_NewCFunction(context, print, "print", 1));
    JS_FreeValue(context, global);

    JSValue result = JS_Eval(context, script, length, in_argument ? "(command line)" : argv[1], 0);
    int failed = JS_IsException(result);
    JS_FreeValue(context, result);
    // What promises have left to do.
    JSContext *job;
    int done = 0;
    while (!failed && (done = JS_ExecutePendingJob(runtime, &job)) > 0)
        ;
    if (failed || done < 0) {
        report(context);
        return 1;
    }
    JS_FreeContext(context);
    JS_FreeRuntime(runtime);
    return 0;
}
