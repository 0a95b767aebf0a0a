// Lua's interpreter: `lua -e SCRIPT` or `lua FILE` runs a script, which has the libraries base, math, string, table and utf8.
//
// The C library has no longjmp. So an error ends the program, even inside pcall, and there are no coroutines.
//
// Lua's source is not here: build.sh downloads it. All of it is included in this file, as Lua's own onelua.c does it.

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LUA_CORE
#define LUA_LIB

#include "luaconf.h"

// Nothing is exported.
#undef LUAI_FUNC
#undef LUAI_DDEC
#undef LUAI_DDEF
#undef LUA_API
#undef LUALIB_API
#undef LUAMOD_API
#define LUAI_FUNC static
#define LUAI_DDEC(definition)
#define LUAI_DDEF static
#define LUA_API static
#define LUALIB_API static
#define LUAMOD_API static

// The same script does the same in each run.
#define luai_makeseed(L) 0u
#define l_randomizePivot() 0u

// There are no signals.
#define l_signalT int

// Instead of a longjmp. <setjmp.h> is an error here, so it counts as included.
#define _SETJMP_H
#define LUAI_THROW(L, jump) fail(L)
#define LUAI_TRY(L, jump, attempt) {attempt}
#define luai_jmpbuf int

#include "lua.h"

static _Noreturn void fail(lua_State *L);

#include "lzio.c"
#include "lctype.c"
#include "lopcodes.c"
#include "lmem.c"
#include "lundump.c"
#include "ldump.c"
#include "lstate.c"
#include "lgc.c"
#include "llex.c"
#include "lcode.c"
#include "lparser.c"
#include "ldebug.c"
#include "lfunc.c"
#include "lobject.c"
#include "ltm.c"
#include "lstring.c"
#include "ltable.c"
#include "ldo.c"
#include "lvm.c"
#include "lapi.c"
#include "lauxlib.c"
#include "lbaselib.c"
#include "lmathlib.c"
#include "lstrlib.c"
#include "ltablib.c"
#include "lutf8lib.c"

// The error is on top of the stack, unless there was no memory left for one.
static _Noreturn void fail(lua_State *L) {
    const char *message = L->errorJmp->status == LUA_ERRMEM ? "not enough memory" : lua_tostring(L, -1);
    fprintf(stderr, "lua: %s\n", message ? message : "the error is no string");
    exit(1);
}

int main(int argc, char **argv) {
    static const luaL_Reg libraries[] = {
        {LUA_GNAME, luaopen_base},         {LUA_MATHLIBNAME, luaopen_math}, {LUA_STRLIBNAME, luaopen_string},
        {LUA_TABLIBNAME, luaopen_table},   {LUA_UTF8LIBNAME, luaopen_utf8},
    };
    int in_argument = argc == 3 && strcmp(argv[1], "-e") == 0;
    if (!in_argument && argc != 2) {
        fprintf(stderr, "usage: lua -e SCRIPT | lua FILE\n");
        return 2;
    }
    lua_State *L = luaL_newstate();
    if (!L) {
        fprintf(stderr, "lua: not enough memory\n");
        return 1;
    }
    for (size_t n = 0; n < sizeof libraries / sizeof *libraries; n++) {
        luaL_requiref(L, libraries[n].name, libraries[n].func, 1);
        lua_pop(L, 1);
    }
    int status = in_argument ? luaL_loadbuffer(L, argv[2], strlen(argv[2]), "=(command line)")
                             : luaL_loadfile(L, argv[1]);
    if (status != LUA_OK) {
        fprintf(stderr, "lua: %s\n", lua_tostring(L, -1));
        return 1;
    }
    // It never returns an error: `fail` exits. An unprotected call would end in Lua's abort instead.
    lua_pcall(L, 0, 0, 0);
    lua_close(L);
    return 0;
}
