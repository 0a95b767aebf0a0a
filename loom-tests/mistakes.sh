#!/usr/bin/env bash
# The mistakes that the models catch, as patches: `mistakes/<file of models>/<name>.patch`. Each has a header, which says where the mistake
# is made, what it is, and which models see it, and a diff against the root of the repository. Needs bash, git and cargo.
#
#   mistakes.sh check            does each patch still apply, and has README.md the tables?
#   mistakes.sh tables           prints the tables of README.md
#   mistakes.sh write            puts the tables into README.md
#   mistakes.sh run [-j N] [--record] [PATTERN]
#                                makes each mistake whose path contains PATTERN, in a copy of the tree, and runs the models that have to
#                                see it; N copies at once. Fails if a mistake survives, or does not compile. With --record, it writes into
#                                each patch how the models failed, and leaves out those that did not.
set -euo pipefail
shopt -s nullglob
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd -P)
root=$(dirname "$here")
# Inside the repository, so that cargo finds the alias `loom`; hidden from git, which would take the paths of a patch for the repository's.
work=$root/target/mistakes
begin='<!-- tables: made by `mistakes.sh write` -->'
end='<!-- end of the tables -->'

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

field() { # of a patch
    sed -n "/^---\$/q; s/^$1: //p" "$2"
}

models() { # that have to see a patch
    field 'seen by' "$1" | sed 's/ *([^)]*)//g; s/, */\n/g'
}

# The files of models that have patches, by the number of their invariant; those of several come last.
files() {
    for folder in "$here"/mistakes/*/; do
        file=$(basename "$folder")
        number=$(sed -n '1s/^.*Invariant \([0-9]*\),.*/\1/p' "$here/tests/$file.rs")
        printf '%s %s\n' "${number:-99}" "$file"
    done | sort -n | cut -d' ' -f2
}

tables() {
    local file patch
    for file in $(files); do
        printf '\n### [%s](tests/%s.rs)\n\n| made in | the mistake | seen by |\n|---|---|---|\n' "$file" "$file"
        for patch in "$here/mistakes/$file"/*.patch; do
            printf '| `%s` | %s | %s |\n' "$(field 'made in' "$patch" | sed 's/, */`, `/g')" "$(field mistake "$patch")" \
                "$(field 'seen by' "$patch" | sed 's/\([a-z_0-9]*\) (/`\1` (/g')"
        done | sort
    done
}

readme_with_tables() {
    sed "/^$begin\$/q" "$here/README.md"
    tables
    printf '\n'
    sed -n "/^$end\$/,\$p" "$here/README.md"
}

check() {
    local patch file model name failed=0
    for patch in "$here"/mistakes/*/*.patch; do
        name=${patch#"$here/mistakes/"} file=$(basename "$(dirname "$patch")")
        for part in 'made in' mistake 'seen by'; do
            [[ -n $(field "$part" "$patch") ]] || { printf '%s: has no line "%s: "\n' "$name" "$part"; failed=1; }
        done
        for model in $(models "$patch"); do
            grep -q "fn $model()" "$here/tests/$file.rs" || { printf '%s: tests/%s.rs has no model %s\n' "$name" "$file" "$model"; failed=1; }
        done
        git -C "$root" apply --check "$patch" || { printf '%s: does not apply\n' "$name"; failed=1; }
    done
    readme_with_tables | git diff --no-index --exit-code -- "$here/README.md" - || { printf 'README.md: run `mistakes.sh write`\n'; failed=1; }
    return "$failed"
}

copy_tree() { # into a folder of which the target folder is kept
    mkdir -p "$1/target"
    # At the start, that of the tree saves building the dependencies.
    [[ -d $1/target/loom || ! -d $root/target/loom ]] || cp -a "$root/target/loom" "$1/target/"
    find "$1" -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +
    # Without `.cargo`: the alias would be read twice.
    (cd "$root" && git ls-files -z --cached --others --exclude-standard -- ':!.cargo' |
        while IFS= read -rd '' file; do [[ ! -f $file ]] || printf '%s\0' "$file"; done | xargs -0 cp --parents -t "$1")
}

# How a model failed, by its first message.
manner() {
    local first file line
    first=$(grep -m1 -A1 'panicked at ' "$1") || { echo abort; return; }
    case $first in
    *'deadlock; threads'*) echo deadlock ;;
    *'entered unreachable code'*) echo 'unreachable code' ;;
    *'maximum number of branches'*) echo 'too many branches' ;;
    *'Causality violation'* | *'two threads touch an exclusive value'*) echo race ;;
    *)
        IFS=: read -r file line _ <<<"${first#*panicked at }"
        if sed -n "${line}p" "$file" 2>/dev/null | grep -q assert; then echo assertion; else echo panic; fi
        ;;
    esac
}

# In the copy: `cargo loom`, with our own packages left as they are, because building them would be most of the time.
loom() {
    cargo --config 'profile.release.package.wasm-jobs.opt-level=0' \
        --config 'profile.release.package.wasm-jobs-loom-tests.opt-level=0' loom "$@"
}

# In the copy: makes one mistake and runs its models.
try_patch() {
    local patch=$1 record=$2 name file model passed caught='' survived=''
    name=${patch#"$here/mistakes/"} file=$(basename "$(dirname "$patch")")
    git apply "$patch" || { printf 'DOES NOT APPLY    %s\n' "$name"; return 1; }
    if ! loom --test "$file" --no-run >log 2>&1; then
        git apply -R "$patch"
        printf 'DOES NOT COMPILE  %s\n' "$name"
        grep -A9 '^error' log || cat log
        return 1
    fi
    for model in $(models "$patch"); do
        loom --test "$file" -- --exact "$model" --nocapture >log 2>&1 && passed=yes || passed=''
        if [[ -n $passed ]] || ! grep -q '^running 1 test$' log; then
            survived+="${survived:+, }$model"
        else
            caught+="${caught:+, }$model ($(manner log))"
        fi
    done
    git apply -R "$patch"
    if [[ -n $survived && ( -z $record || -z $caught ) ]]; then
        printf 'SURVIVED          %s: %s%s\n' "$name" "$survived" "${caught:+; caught by $caught}"
        return 1
    fi
    printf 'caught            %s: %s%s\n' "$name" "$caught" "${survived:+; survived $survived}"
    [[ -z $record ]] || sed -i "s/^seen by: .*/seen by: $caught/" "$patch"
}

run_share() { # of one copy: each COPIES-th patch
    local copy=$1 copies=$2 record=$3 n failed=0
    shift 3
    copy_tree "$work/$copy"
    cd "$work/$copy"
    for ((n = copy; n <= $#; n += copies)); do
        try_patch "${!n}" "$record" || failed=1
    done
    return "$failed"
}

run() {
    local copies=1 record='' pattern='' patches=() shares=() patch n failed=0
    while (($#)); do
        case $1 in
        -j) copies=${2:?} && shift ;;
        --record) record=yes ;;
        *) pattern=$1 ;;
        esac
        shift
    done
    for patch in "$here"/mistakes/*/*.patch; do
        [[ ${patch#"$here/mistakes/"} != *"$pattern"* ]] || patches+=("$patch")
    done
    ((${#patches[@]})) || fail "no patch has \"$pattern\" in its path"
    mkdir -p "$work"
    export GIT_CEILING_DIRECTORIES=$work
    # Rebuilding after a small change is most of the time.
    export CARGO_INCREMENTAL=1 LOOM_MAX_DURATION=${LOOM_MAX_DURATION:-120}
    for ((n = 1; n <= copies; n++)); do
        run_share "$n" "$copies" "$record" "${patches[@]}" &
        shares+=($!)
    done
    for n in "${shares[@]}"; do
        wait "$n" || failed=1
    done
    return "$failed"
}

case ${1-} in
check) check ;;
tables) tables ;;
write)
    text=$(readme_with_tables)
    printf '%s\n' "$text" >"$here/README.md"
    ;;
run) shift && run "$@" ;;
*) sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "$0" && exit 2 ;;
esac
