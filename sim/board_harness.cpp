// Runs a verilated board top: both clocks, and a serial line at its pins. Driven through ctypes by
// sim/boardsim.py, which mirrors struct Run.
//
// The clocks are those of ports clk (domain sync) and uart_clk (the board's oscillator). Both rise
// at whole numbers of ticks; at each such tick the top is evaluated twice, with the clocks that
// rise there low, and high. Falling edges do nothing in these designs, so they share the first
// evaluation of the next tick.
//
// The line has its own clock: a bit lasts `bit_clocks` uart clocks, no whole number where the
// computer's rate is a little off. The board sees the line only at rising edges of uart_clk, so the
// line is advanced there.

#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>

#include "Vtop.h"
#include "verilated.h"
#include "verilator_ends.h"

namespace {

constexpr int kFrame = 10;  // bits of a byte on the line: start, 8 data, stop

// The computer's transmitter: the level of the line at any time, in uart clocks.
struct Sender {
    std::deque<uint8_t> queue;
    double bit_clocks = 4, start = 0;
    bool busy = false;
    unsigned shift = 0;

    bool level(double now) {
        if (busy && now >= start + kFrame * bit_clocks) {
            start += kFrame * bit_clocks;
            busy = false;
            if (!queue.empty()) begin();
        } else if (!busy && !queue.empty()) {
            start = now;
            begin();
        }
        if (!busy) return true;
        return shift >> int((now - start) / bit_clocks) & 1;
    }
    void begin() {
        shift = 1u << 9 | unsigned(queue.front()) << 1;
        queue.pop_front();
        busy = true;
    }
};

// The computer's receiver: samples in the middle of a bit, drops a byte without a stop bit.
struct Receiver {
    double bit_clocks = 4, start = 0;
    int bit = -1;  // -1: waiting for a start bit
    unsigned shift = 0;
    bool last = true;
    uint64_t errors = 0;

    // True when `shift` holds a new byte.
    bool sample(double now, bool line) {
        bool done = false;
        if (bit < 0) {
            if (last && !line) bit = 0, start = now;
        } else if (now >= start + (bit + 0.5) * bit_clocks) {
            if (bit == 0) {
                if (line) bit = -2;  // a spike, no start bit
            } else if (bit <= 8) {
                shift = (shift >> 1 | unsigned(line) << 7) & 255;
            } else {
                done = line;
                errors += !line;
                bit = -2;
            }
            ++bit;
        }
        last = line;
        return done;
    }
};

enum Status : uint64_t { kTime = 0, kQuiet = 1, kFull = 2, kThrown = 3 };

}  // namespace

extern "C" {

struct Run {
    const uint8_t* input;  // joins the line's queue at once
    uint8_t* output;       // room bytes
    uint64_t count, room, clocks;
    uint64_t quiet;  // end after so many clocks in which the line was idle both ways; 0 = never
    uint64_t received, ran, status;  // written
};

struct Board {
    VerilatedContext context;
    Vtop* top = nullptr;
    uint64_t sync_period = 2, uart_period = 2;  // ticks
    uint64_t next_sync = 1, next_uart = 0;      // ticks; sync is half a tick late: never together
    uint64_t clock = 0, uart_clock = 0, idle = 0, led_changes = 0;
    bool led = false;
    Sender sender;
    Receiver receiver;
    std::string message;

    ~Board() { delete top; }

    // To the next rising edge of either clock. True when the receiver has a byte.
    bool step() {
        const uint64_t now = next_sync < next_uart ? next_sync : next_uart;
        const bool sync = next_sync == now, uart = next_uart == now;
        top->clk = 0;
        top->uart_clk = 0;
        if (uart) top->rx = sender.level(double(uart_clock));
        top->eval();
        bool received = false;
        if (uart) {
            received = receiver.sample(double(uart_clock), top->tx);
            ++uart_clock;
            next_uart += uart_period;
        }
        if (sync) {
            ++clock;
            ++idle;
            next_sync += sync_period;
        }
        if (sender.busy || receiver.bit >= 0) idle = 0;
        top->clk = sync;
        top->uart_clk = uart;
        top->eval();
        if (bool(top->led) != led) led = top->led, ++led_changes;
        return received;
    }
};

// `sync_period` and `uart_period`: of the two clocks, even numbers of ticks. `bit_clocks`: uart
// clocks that a bit of the computer's takes. `seed` as in harness.cpp.
Board* board_new(uint64_t seed, uint64_t sync_period, uint64_t uart_period, double bit_clocks) {
    Board* board = new Board;
    board->sync_period = sync_period;
    board->uart_period = uart_period;
    board->sender.bit_clocks = board->receiver.bit_clocks = bit_clocks;
    board->context.randReset(seed ? 2 : 0);
    if (seed) board->context.randSeed(static_cast<int>(seed & 0x7fffffff));
    try {
        board->top = new Vtop{&board->context, "top"};
    } catch (const std::exception& error) {
        board->message = error.what();
    }
    return board;
}

void board_delete(Board* board) { delete board; }
const char* board_message(Board* board) { return board->message.c_str(); }
uint64_t board_clock(Board* board) { return board->clock; }
uint64_t board_uart_clock(Board* board) { return board->uart_clock; }
uint64_t board_queued(Board* board) { return board->sender.queue.size() + board->sender.busy; }
uint64_t board_errors(Board* board) { return board->receiver.errors; }
int board_led(Board* board) { return board->led; }
uint64_t board_led_changes(Board* board) { return board->led_changes; }

// Holds both resets for `clocks` clocks of the slower clock; the line is idle and forgets.
int board_reset(Board* board, uint64_t clocks) {
    try {
        board->sender.queue.clear();
        board->sender.busy = false;
        board->receiver.bit = -1;
        board->receiver.last = true;
        board->top->rst = board->top->uart_rst = 1;
        const uint64_t sync = board->clock + clocks, uart = board->uart_clock + clocks;
        while (board->clock < sync || board->uart_clock < uart) board->step();
        board->receiver.bit = -1;
        board->receiver.errors = 0;
        board->top->rst = board->top->uart_rst = 0;
    } catch (const std::exception& error) {
        board->message = error.what();
        return kThrown;
    }
    return kTime;
}

uint64_t board_run(Board* board, Run* run) {
    board->sender.queue.insert(board->sender.queue.end(), run->input, run->input + run->count);
    const uint64_t start = board->clock;
    run->received = 0;
    if (run->count) board->idle = 0;
    run->status = kTime;
    try {
        while (board->clock - start < run->clocks) {
            if (board->step()) {
                run->output[run->received++] = uint8_t(board->receiver.shift);
                if (run->received == run->room) {
                    run->status = kFull;
                    break;
                }
            }
            if (run->quiet && board->idle >= run->quiet) {
                run->status = kQuiet;
                break;
            }
        }
    } catch (const std::exception& error) {
        board->message = error.what();
        run->status = kThrown;
    }
    run->ran = board->clock - start;
    return run->status;
}

}  // extern "C"
