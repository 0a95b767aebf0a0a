#!/bin/sh
# Builds the guests that use the kit, and the two files of the kit that are made from its interface. Beside what ../build.sh needs, it
# needs `npm install --global assemblyscript@0.28.20`, and a Rust 1.63 with the targets wasm32-unknown-unknown and wasm32-wasi, such as
# Debian 12's packages `rustc` and `libstd-rust-dev-wasm32`. RUSTC says where it is.
set -eu
cd "$(dirname "$0")"
kit=../../guest-kit

scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

zig() {
    python3 -m ziglang "$@"
}

# `component FROM TO WIT` makes a component of a module, with the world of this file.
component() {
    rm -rf "$scratch/world"
    mkdir -p "$scratch/world/deps"
    cp "$3" "$scratch/world"
    cp $kit/wit/guest.wit "$scratch/world/deps"
    jco embed "$1" --wit "$scratch/world" -o "$scratch/embedded.wasm"
    jco new "$scratch/embedded.wasm" -o "$2"
}

# The kit's own imports, as custom sections. `section FOLDER FILE` makes one of a folder's world: it is what `jco embed` adds to an
# empty module.
section() {
    printf '\0asm\1\0\0\0' >"$scratch/empty.wasm"
    jco embed "$scratch/empty.wasm" --wit "$1" -o "$scratch/section.wasm"
    python3 - "$scratch/section.wasm" "$2" <<'END'
import sys

NAME = b"component-type"
module = open(sys.argv[1], "rb").read()
name = module.index(bytes([len(NAME)]) + NAME)
open(sys.argv[2], "wb").write(module[name + 1 + len(NAME) :])
END
}
mkdir -p "$scratch/preview2/deps"
cp $kit/src/component_type/preview2.wit "$scratch/preview2"
cp $kit/wit/guest.wit "$scratch/preview2/deps"
section $kit/wit $kit/src/component_type/host.bin
section "$scratch/preview2" $kit/src/component_type/preview2.bin

# C.
c() {
    zig cc -O2 -s berries.c "$@"
}
c -o c.wasm -target wasm32-freestanding -Wl,--no-entry
c -o c-wasi.wasm -target wasm32-wasi -mexec-model=reactor
c -o "$scratch/c.wasm" -target wasm32-freestanding -Wl,--no-entry -DWASM_JOBS_COMPONENT
component "$scratch/c.wasm" c-component.wasm berries.wit

# Zig.
zig build-exe berries.zig -target wasm32-freestanding -O ReleaseSmall -fno-entry -rdynamic -femit-bin=zig.wasm

# AssemblyScript.
asc berries.ts --outFile assemblyscript.wasm --optimizeLevel 3 --shrinkLevel 2 --converge --runtime stub --use abort=berries/giveUp

# Rust, linked by Zig's linker. It needs no word about which linker it is, and would fail for a warning about a file that is no code.
cat >"$scratch/linker" <<'END'
#!/bin/bash
arguments=()
for argument in "$@"; do
    case $argument in -flavor | wasm | --fatal-warnings) ;; *) arguments+=("$argument") ;; esac
done
exec python3 -m ziglang wasm-ld "${arguments[@]}"
END
chmod +x "$scratch/linker"

# `rust TARGET TO OPTION...` compiles the kit with these options, and the guest with the kit.
rust() {
    target=$1 to=$2
    shift 2
    set -- --target "$target" --edition 2021 -C opt-level=s -C panic=abort "$@"
    "${RUSTC:-rustc}" "$@" --crate-name wasm_jobs_guest --crate-type rlib $kit/src/lib.rs -o "$scratch/libwasm_jobs_guest.rlib"
    "${RUSTC:-rustc}" "$@" --crate-type cdylib berries.rs --extern wasm_jobs_guest="$scratch/libwasm_jobs_guest.rlib" \
        -C strip=symbols -C linker="$scratch/linker" -C linker-flavor=wasm-ld -o "$to"
}
rust wasm32-unknown-unknown rust.wasm --cfg 'feature="panic-handler"'
rust wasm32-wasi rust-wasi.wasm --cfg 'feature="std"'
rust wasm32-unknown-unknown "$scratch/rust.wasm" --cfg 'feature="panic-handler"' --cfg 'feature="component"'
component "$scratch/rust.wasm" rust-component.wasm berries.wit
# This Rust has no targets for WASI 0.2 and 0.3. Without std, such a guest differs only in how the kit is told of its target.
rust wasm32-unknown-unknown "$scratch/rust.wasm" --cfg 'feature="panic-handler"' --cfg 'target_os="wasi"' --cfg 'target_env="p2"'
component "$scratch/rust.wasm" rust-preview2.wasm berries.wit
rust wasm32-unknown-unknown "$scratch/rust.wasm" --cfg 'feature="panic-handler"' --cfg 'target_os="wasi"' --cfg 'target_env="p3"'
component "$scratch/rust.wasm" rust-preview3.wasm berries-async.wit

chmod -x -- *.wasm
