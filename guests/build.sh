#!/bin/sh
# Builds each guest that is written in C. Needs Python with `pip install ziglang==0.17.1`, which brings clang and lld, and for
# the components Node.js with `npm install --global @bytecodealliance/jco@1.17.6`.
# With those versions, the same source gives the same bytes.
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

# Of these, the ones whose interface is written down are made components.
for interface in *.wit; do
    guest="${interface%.wit}.wasm"
    jco embed "$guest" --wit "$interface" -o "$guest"
    jco new "$guest" -o "$guest"
done

# Programs, with the C library, on WASI.
for source in wasi/*.c; do
    compile "$source" -target wasm32-wasi
done
