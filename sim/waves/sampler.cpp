// A verilated top whose every port is read in every clock. Driven through ctypes by
// sim/waves/sampler.py.
//
// One clock is two evaluations: with the clock low the inputs change and all settles, the outputs are
// read then, as a register on the other side of them reads them; the rising edge follows.
//
// "sterna_ports.h" is generated: STERNA_CLOCK is the clock's port; STERNA_INPUTS(X) and
// STERNA_OUTPUTS(X) call X(port, bytes) for the others, in their order.

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

#include "Vtop.h"
#include "sterna_ports.h"
#include "verilated.h"
#include "verilator_ends.h"

namespace {

#define STERNA_SIZE(port, bytes) +bytes
constexpr size_t kOutputs = 0 STERNA_OUTPUTS(STERNA_SIZE);

// Ports are CData .. QData or VlWide; all hold their bits little-endian in memory.
template <class Port>
inline void put(Port& port, const uint8_t* from, size_t count) {
    port = Port();
    std::memcpy(&port, from, count);
}

}  // namespace

extern "C" {

struct Bench {
    VerilatedContext context;
    Vtop* top = nullptr;
    std::string message;

    ~Bench() { delete top; }
    void low() {
        top->STERNA_CLOCK = 0;
        top->eval();
    }
    void high() {
        top->STERNA_CLOCK = 1;
        top->eval();
    }
    void read(uint8_t* out) {
#define STERNA_GET(port, bytes)            \
    std::memcpy(out, &top->port, bytes); \
    out += bytes;
        STERNA_OUTPUTS(STERNA_GET)
    }
};

Bench* sterna_bench_new(uint64_t seed) {
    Bench* bench = new Bench;
    bench->context.randReset(2);
    bench->context.randSeed(static_cast<int>(seed & 0x7fffffff));
    try {
        bench->top = new Vtop{&bench->context, "top"};
    } catch (const std::exception& error) {
        bench->message = error.what();
    }
    return bench;
}

void sterna_bench_delete(Bench* bench) { delete bench; }
const char* sterna_bench_message(Bench* bench) { return bench->message.c_str(); }

// One clock with the inputs `in`, whose outputs go to `out`. False: sterna_bench_message says why it
// ended.
bool sterna_bench_step(Bench* bench, const uint8_t* in, uint8_t* out) {
    try {
#define STERNA_PUT(port, bytes)           \
    put(bench->top->port, in, bytes); \
    in += bytes;
        STERNA_INPUTS(STERNA_PUT)
        bench->low();
        bench->read(out);
        bench->high();
    } catch (const std::exception& error) {
        bench->message = error.what();
        return false;
    }
    return true;
}

// Up to `most` more clocks with the same inputs, as long as the outputs are `out`, too. How many; -1
// as above.
int64_t sterna_bench_hold(Bench* bench, const uint8_t* out, uint64_t most) {
    uint8_t now[kOutputs + 1];
    int64_t count = 0;
    try {
        for (; count < static_cast<int64_t>(most); ++count) {
            bench->low();
            bench->read(now);
            if (std::memcmp(now, out, kOutputs)) break;
            bench->high();
        }
    } catch (const std::exception& error) {
        bench->message = error.what();
        return -1;
    }
    return count;
}

}  // extern "C"
