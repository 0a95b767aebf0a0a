// A guest that uses the kit, in AssemblyScript.

@external("env", "yield") declare function yieldNow(): void;
@external("env", "sleep") declare function sleep(nanoseconds: u64): void;
@external("env", "panic") declare function panic(message: usize, bytes: usize): void;

const NANOSECONDS_A_MILLISECOND: u64 = 1000000;

// The compiler calls this function where the guest throws an error: `--use abort=berries/giveUp`.
function giveUp(message: string | null, file: string | null, line: u32, column: u32): void {
    const text = message === null ? "" : message;
    const bytes = String.UTF8.encode(text);
    panic(changetype<usize>(bytes), bytes.byteLength);
}

// The sum of the numbers from 1 to `last`. Yields after each.
export function sum(last: i32): i64 {
    let sum: i64 = 0;
    for (let number = 1; number <= last; number++) {
        sum += number;
        yieldNow();
    }
    return sum;
}

export function nap(milliseconds: i32): void {
    sleep(<u64>milliseconds * NANOSECONDS_A_MILLISECOND);
}

// Computes, and never stops.
export function spin(): void {
    while (true) {}
}

export function fail(): void {
    throw new Error("the berries are gone");
}
