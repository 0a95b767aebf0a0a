#!/bin/sh
# Builds each guest that is written in C. Needs Python with `pip install ziglang==0.17.1`, which brings clang and lld.
# With that version, the same source gives the same bytes.
set -eu
cd "$(dirname "$0")"

# Freestanding: a guest imports what its source declares, and nothing else.
for source in *.c; do
    guest="${source%.c}.wasm"
    python3 -m ziglang cc -target wasm32-freestanding -mcpu=generic+simd128 -O2 -s -Wl,--no-entry -o "$guest" "$source"
    chmod -x "$guest"
done
