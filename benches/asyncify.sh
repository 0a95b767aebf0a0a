#!/bin/sh
# Makes the guests of `asyncified_…` and `freezable_beside_asyncify…`: those of `freezable_…`, prepared by Binaryen's asyncify in the place of this library. Needs
# `npm install --global binaryen@132.0.0`; WASM_OPT says where its wasm-opt is. With this version, the same guests give the same bytes. It takes some minutes.
#
# As Binaryen advises, each is optimised after that. Each may wait in the same imports as the freezable one: `default` has those of `PrepareOptions::freezable`,
# `anywhere` all.
set -eu
cd "$(dirname "$0")"
wasm_opt=${WASM_OPT:-wasm-opt}
mkdir -p asyncified/default asyncified/anywhere

# What the guests use beyond the first version of WebAssembly.
features='--enable-simd --enable-bulk-memory --enable-nontrapping-float-to-int --enable-sign-ext --enable-mutable-globals --enable-multivalue --enable-reference-types'

asyncify() {
    source=$1
    guest=$2
    shift 2
    if test -e "$source"; then
        echo "$guest"
        "$wasm_opt" "$source" $features --asyncify "$@" -O -o "asyncified/$guest.wasm"
    else
        echo "skipped: there is no $source"
    fi
}

# Without a list, all imports may wait.
for guest in interpreter kernels guest; do
    asyncify "src/$guest.wat" "default/$guest"
done
asyncify ../guests/mandelbrot.wasm default/picture
asyncify ../guests/primes.wasm default/primes
asyncify ../guests/creature.wasm default/creature

both() {
    asyncify "$1" "default/$2" \
        --pass-arg=asyncify-imports@wasi_snapshot_preview1.poll_oneoff,wasi_snapshot_preview1.sched_yield
    asyncify "$1" "anywhere/$2"
}
for program in hash sort bzip2 lua js; do
    both "../guests/wasi/$program.wasm" "$program"
done
both ../../shared/guests/sqlite-speedtest1.wasm sqlite
