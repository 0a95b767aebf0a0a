#!/bin/sh
# Builds all guests. Needs Python with `pip install ziglang==0.17.1`, which has clang and lld; and for the component, Node.js with
# `npm install --global @bytecodealliance/jco@1.17.6`. With these versions, the same source gives the same bytes.
set -eu
cd "$(dirname "$0")"

compile() {
    guest="${1%.c}.wasm"
    python3 -m ziglang cc -O2 -s "$@" -o "$guest"
    chmod -x "$guest"
}

# Freestanding: these guests import only what their source declares.
for source in *.c; do
    compile "$source" -target wasm32-freestanding -mcpu=generic+simd128 -Wl,--no-entry
done

# Turns each of them that has an interface into a component.
for interface in *.wit; do
    guest="${interface%.wit}.wasm"
    jco embed "$guest" --wit "$interface" -o "$guest"
    jco new "$guest" -o "$guest"
done

# Programs that use WASI and the C library.
for source in wasi/*.c; do
    compile "$source" -target wasm32-wasi
done
