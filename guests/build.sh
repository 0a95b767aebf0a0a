#!/bin/sh
# Builds all guests. Needs Python with `pip install ziglang==0.17.1`, which has clang and lld; for the component, Node.js with
# `npm install --global @bytecodealliance/jco@1.17.6`; for that of WASI 0.3, `cargo install wit-bindgen-cli@0.63.0`; curl, for what others wrote;
# and what kit/build.sh says. With these versions, the same source gives the same bytes.
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

# Fetches a crate's files into a folder, which is removed at the end.
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
fetch_crate() {
    mkdir "$scratch/$1"
    curl --fail --silent --show-error "https://static.crates.io/crates/$1/$1-$2.crate" --output "$scratch/$1.crate"
    echo "$3  $scratch/$1.crate" | sha256sum --check --quiet
    tar --extract --gzip --file "$scratch/$1.crate" --directory "$scratch/$1" --strip-components 1
}

# Lua's source and that of QuickJS, from crates that have them.
fetch_crate lua-src 548.1.2 bdc4e1aff422ad5f08cffb4719603dcdbc2be2307f4c1510d7aab74b7fa88ca8
fetch_crate rquickjs-sys 0.14.0 cee271d0eeba64f0915b846cb7ae02e16faf3dfdffdca91731101d9d30fe3423

# With debug information.
python3 -m ziglang cc -O1 -g -target wasm32-freestanding -mcpu=generic -Wl,--no-entry -ffile-prefix-map="$PWD"=. debug/dream.c -o debug/dream.wasm
chmod -x debug/dream.wasm

# Programs that use WASI and the C library.
for source in wasi/*.c; do
    compile "$source" -target wasm32-wasi -idirafter "$scratch/lua-src/lua-5.4.8" -idirafter "$scratch/rquickjs-sys/quickjs"
done

# The guests that use the kit. They are in several languages, and need their compilers.
kit/build.sh

# Some of them as components of WASI 0.2, with an adapter that jco has.
mkdir -p wasi2
for program in copy given lua nap sleeper wanderer; do
    jco new "wasi/$program.wasm" --wasi-command -o "wasi2/$program.wasm"
done

# A program of WASI 0.3, whose interfaces are those of the crate that the library uses.
fetch_crate wasmtime-wasi 48.0.8 a678afa77874a2d6eed071852f7777ccd77495e0bfbc30f7b8089e1d00b2485f
bindings="$scratch/bindings"
wit-bindgen c "$scratch/wasmtime-wasi/src/p3/wit" --world wasi:cli/command --out-dir "$bindings" \
    --sync 'export:wasi:cli/run@0.3.0#run' \
    --sync 'import:wasi:filesystem/types@0.3.0#[method]descriptor.open-at'
python3 -m ziglang cc -O2 -s -target wasm32-wasi -mexec-model=reactor -I "$bindings" \
    wasi3/errand.c "$bindings/command.c" "$bindings/command_component_type.o" -o "$scratch/errand.wasm"
jco new "$scratch/errand.wasm" -o wasi3/errand.wasm
