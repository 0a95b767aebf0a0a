#!/bin/sh
# Builds each guest that is written in C. Needs Python with `pip install ziglang==0.17.1`, which brings clang and lld.
# With that version, the same source gives the same bytes.
set -eu
cd "$(dirname "$0")"

compile() {
    guest="${1%.c}.wasm"
    python3 -m ziglang cc -O2 -s "$@" -o "$guest"
    chmod -x "$guest"
}

# Freestanding: a guest imports what its source declares, and nothing else.
for source in *.c; do
    compile "$source" -target wasm32-freestanding -mcpu=generic+simd128 -Wl,--no-entry
done

# Programs, with the C library, on WASI.
for source in wasi/*.c; do
    compile "$source" -target wasm32-wasi
done
