// A program of WASI 0.3: it waits for two times at once, yields, and copies a file to its standard output.
//
//     errand FILE        the file is in the first directory that the program is given

#include "command.h"
#include <string.h>

static command_waitable_set_t set;

// Waits until this stream, future or task has an event, and returns the event's code.
static uint32_t wait_for(uint32_t waitable) {
    command_event_t event;
    command_waitable_join(waitable, set);
    do
        command_waitable_set_wait(set, &event);
    while (event.waitable != waitable);
    command_waitable_join(waitable, 0);
    return event.code;
}

static wasi_cli_stdin_stream_u8_writer_t out;
static wasi_cli_stdout_future_result_void_error_code_t ended;

static void print(const void *text, size_t length) {
    const uint8_t *at = text;
    while (length > 0) {
        uint32_t status = wasi_cli_stdin_stream_u8_write(out, at, length);
        if (status == COMMAND_WAITABLE_STATUS_BLOCKED)
            status = wait_for(out);
        uint32_t written = COMMAND_WAITABLE_COUNT(status);
        if (COMMAND_WAITABLE_STATE(status) != COMMAND_WAITABLE_COMPLETED)
            __builtin_trap();
        at += written;
        length -= written;
    }
}

static void print_line(const char *line) {
    print(line, strlen(line));
    print("\n", 1);
}

static bool copy(wasi_filesystem_types_own_descriptor_t directory, command_string_t path) {
    wasi_filesystem_types_own_descriptor_t file;
    wasi_filesystem_types_error_code_t error;
    if (!wasi_filesystem_types_method_descriptor_open_at(
            wasi_filesystem_types_borrow_descriptor(directory), 0, &path, 0,
            WASI_FILESYSTEM_TYPES_DESCRIPTOR_FLAGS_READ, &file, &error)) {
        print_line("there is no such file");
        return false;
    }
    wasi_filesystem_types_tuple2_stream_u8_future_result_void_error_code_t content;
    wasi_filesystem_types_method_descriptor_read_via_stream(
        wasi_filesystem_types_borrow_descriptor(file), 0, &content);
    for (;;) {
        static uint8_t buffer[1000];
        uint32_t status = wasi_filesystem_types_stream_u8_read(content.f0, buffer, sizeof buffer);
        if (status == COMMAND_WAITABLE_STATUS_BLOCKED)
            status = wait_for(content.f0);
        print(buffer, COMMAND_WAITABLE_COUNT(status));
        if (COMMAND_WAITABLE_STATE(status) != COMMAND_WAITABLE_COMPLETED)
            break;
    }
    wasi_filesystem_types_stream_u8_drop_readable(content.f0);
    wasi_filesystem_types_result_void_error_code_t result;
    if (wasi_filesystem_types_future_result_void_error_code_read(content.f1, &result) == COMMAND_WAITABLE_STATUS_BLOCKED)
        wait_for(content.f1);
    wasi_filesystem_types_future_result_void_error_code_drop_readable(content.f1);
    wasi_filesystem_types_descriptor_drop_own(file);
    return !result.is_err;
}

bool exports_wasi_cli_run_run(void) {
    set = command_waitable_set_new();
    ended = wasi_cli_stdout_write_via_stream(wasi_cli_stdin_stream_u8_new(&out));

    uint32_t longer = wasi_clocks_monotonic_clock_wait_for(30000000) >> 4;
    uint32_t shorter = wasi_clocks_monotonic_clock_wait_for(10000000) >> 4;
    print_line("waiting");
    wait_for(shorter);
    print_line("waited for 10 ms");
    command_thread_yield();
    wait_for(longer);
    print_line("waited for 30 ms");

    bool is_right = true;
    command_list_string_t arguments;
    wasi_cli_environment_get_arguments(&arguments);
    if (arguments.len > 1) {
        wasi_filesystem_preopens_list_tuple2_own_descriptor_string_t directories;
        wasi_filesystem_preopens_get_directories(&directories);
        is_right = directories.len > 0 && copy(directories.ptr[0].f0, arguments.ptr[1]);
    }

    wasi_cli_stdin_stream_u8_drop_writable(out);
    wasi_cli_stdout_result_void_error_code_t result;
    if (wasi_cli_stdout_future_result_void_error_code_read(ended, &result) == COMMAND_WAITABLE_STATUS_BLOCKED)
        wait_for(ended);
    return is_right;
}

void abort(void) {
    __builtin_trap();
}
