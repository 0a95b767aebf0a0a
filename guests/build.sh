#!/bin/sh
# Builds all guests. Needs Python with `pip install ziglang==0.17.1`, which has clang and lld; for the component, Node.js with
# `npm install --global @bytecodealliance/jco@1.17.6`; and curl, for Lua's source. With these versions, the same source gives the same bytes.
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

# Lua's source, from a crate that has it.
lua=$(mktemp -d)
trap 'rm -r "$lua"' EXIT
curl --fail --silent --show-error https://static.crates.io/crates/lua-src/lua-src-548.1.2.crate --output "$lua/crate"
echo "bdc4e1aff422ad5f08cffb4719603dcdbc2be2307f4c1510d7aab74b7fa88ca8  $lua/crate" | sha256sum --check --quiet
tar --extract --gzip --file "$lua/crate" --directory "$lua" --strip-components 1

# Programs that use WASI and the C library.
for source in wasi/*.c; do
    compile "$source" -target wasm32-wasi -idirafter "$lua/lua-5.4.8"
done

# Some of them as components of WASI 0.2, with an adapter that jco has.
mkdir -p wasi2
for program in copy given lua nap sleeper wanderer; do
    jco new "wasi/$program.wasm" --wasi-command -o "wasi2/$program.wasm"
done
