//! A guest that uses the kit, in Zig.

const std = @import("std");

const kit = struct {
    extern "env" fn yield() void;
    extern "env" fn sleep(nanoseconds: u64) void;
    extern "env" fn panic(message: [*]const u8, bytes: usize) noreturn;
};

// The compiler calls this function where the guest panics.
pub const panic = std.debug.FullPanic(giveUp);

fn giveUp(message: []const u8, _: ?usize) noreturn {
    kit.panic(message.ptr, message.len);
}

// The sum of the numbers from 1 to `last`. Yields after each.
export fn sum(last: i32) i64 {
    var total: i64 = 0;
    var number: i32 = 1;
    while (number <= last) : (number += 1) {
        total += number;
        kit.yield();
    }
    return total;
}

export fn nap(milliseconds: i32) void {
    kit.sleep(@as(u64, @intCast(milliseconds)) * std.time.ns_per_ms);
}

// Computes, and never stops.
export fn spin() void {
    while (true) {}
}

export fn fail() void {
    @panic("the berries are gone");
}
