// A verilated network between the two streams of an AXI DMA, clock by clock; driven through ctypes by
// tests/helpers/zynqsim.py. Both streams go on while AXI4-Lite is used, as on a chip.
//
// "zynq_ports.h" is generated: ZYNQ_CLOCK, the port's name, and ZYNQ_RESET(top, on).

#include <cstdint>
#include <cstring>

#include "Vtop.h"
#include "zynq_ports.h"
#include "verilated.h"
#include "verilator_ends.h"

namespace {
uint64_t draw(uint64_t& state) {  // xorshift64*
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545F4914F6CDD1Dull) >> 32;
}

template <class Port>
void load(Port& port, const uint8_t* bytes, size_t count) {
    port = Port();
    std::memcpy(&port, bytes, count < sizeof(Port) ? count : sizeof(Port));
}
}  // namespace

extern "C" {

struct Zynq {
    VerilatedContext context;
    Vtop* top = nullptr;
    uint64_t random = 1, in_stall = 0, out_stall = 0;
    const uint8_t* source = nullptr;  // MM2S: beats * beat_bytes
    uint64_t beats = 0, beat_bytes = 0, sent = 0;
    bool offering = false;
    uint32_t* sink = nullptr;  // S2MM: room words
    uint64_t room = 0, received = 0;
    bool taking = false, ready = false, complete = false, overflow = false;
    uint64_t early = 0;  // TLAST with the word of this number, from 1; 0: as the network says
    uint64_t clocks = 0;

    void step() {
        if (!offering && sent < beats && draw(random) >= in_stall) {
            offering = true;
            load(top->s_axis_tdata, source + sent * beat_bytes, beat_bytes);
            top->s_axis_tlast = sent + 1 == beats;
        }
        top->s_axis_tvalid = offering;
        ready = taking && draw(random) >= out_stall;
        top->m_axis_tready = ready;
        top->ZYNQ_CLOCK = 0;
        top->eval();
        const bool taken = offering && top->s_axis_tready, given = ready && top->m_axis_tvalid;
        if (given) {
            if (received == room) {
                taking = false, overflow = true;
            } else {
                sink[received++] = top->m_axis_tdata;
                const bool last = early ? received == early || top->m_axis_tlast : top->m_axis_tlast;
                if (last) taking = false, complete = true;
            }
        }
        top->ZYNQ_CLOCK = 1;
        top->eval();
        if (taken) offering = false, ++sent;
        ++clocks;
    }
};

Zynq* zynq_new(uint64_t seed) {
    Zynq* z = new Zynq;
    z->context.randReset(2);
    z->context.randSeed(static_cast<int>(seed & 0x7fffffff));
    z->top = new Vtop{&z->context, "top"};
    z->random = seed * 0x9E3779B97F4A7C15ull | 1;
    return z;
}

void zynq_delete(Zynq* z) {
    delete z->top;
    delete z;
}

void zynq_abort(Zynq* z) {  // a reset of the DMA: both streams end where they are
    z->beats = z->sent = z->received = z->room = 0;
    z->offering = z->taking = z->complete = z->overflow = false;
}

void zynq_reset(Zynq* z, uint64_t clocks) {
    zynq_abort(z);
    Vtop& top = *z->top;
    top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_arvalid = 0;
    top.s_axil_bready = top.s_axil_rready = 0;
    ZYNQ_RESET(top, 1);
    for (uint64_t k = 0; k < clocks; ++k) z->step();
    ZYNQ_RESET(top, 0);
    z->step(), z->step();
}

void zynq_stalls(Zynq* z, uint64_t in, uint64_t out, uint64_t early) {
    z->in_stall = in, z->out_stall = out, z->early = early;
}

void zynq_send(Zynq* z, const uint8_t* source, uint64_t beats, uint64_t beat_bytes) {
    z->source = source, z->beats = beats, z->beat_bytes = beat_bytes, z->sent = 0;
}

void zynq_receive(Zynq* z, uint32_t* sink, uint64_t room) {
    z->sink = sink, z->room = room, z->received = 0;
    z->complete = z->overflow = false, z->taking = true;
}

void zynq_run(Zynq* z, uint64_t clocks) {
    for (uint64_t k = 0; k < clocks; ++k) z->step();
}

void zynq_state(Zynq* z, uint64_t* out) {
    out[0] = z->sent, out[1] = z->beats, out[2] = z->received;
    out[3] = z->complete | z->overflow << 1, out[4] = z->clocks;
}

int zynq_write(Zynq* z, uint32_t address, uint32_t data, uint64_t limit) {
    Vtop& top = *z->top;
    bool address_left = true, data_left = true;
    top.s_axil_awaddr = address, top.s_axil_wdata = data, top.s_axil_wstrb = 15;
    top.s_axil_bready = 1;
    int answer = -1;
    for (uint64_t k = 0; k < limit && answer < 0; ++k) {
        top.s_axil_awvalid = address_left, top.s_axil_wvalid = data_left;
        top.ZYNQ_CLOCK = 0;
        top.eval();
        const bool a = top.s_axil_awready, d = top.s_axil_wready;
        if (top.s_axil_bvalid) answer = top.s_axil_bresp;
        z->step();
        address_left = address_left && !a, data_left = data_left && !d;
    }
    top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_bready = 0;
    return answer;
}

int zynq_read(Zynq* z, uint32_t address, uint32_t* data, uint64_t limit) {
    Vtop& top = *z->top;
    bool left = true;
    top.s_axil_araddr = address, top.s_axil_rready = 1;
    int answer = -1;
    for (uint64_t k = 0; k < limit && answer < 0; ++k) {
        top.s_axil_arvalid = left;
        top.ZYNQ_CLOCK = 0;
        top.eval();
        const bool taken = top.s_axil_arready;
        if (top.s_axil_rvalid) answer = top.s_axil_rresp, *data = top.s_axil_rdata;
        z->step();
        left = left && !taken;
    }
    top.s_axil_arvalid = top.s_axil_rready = 0;
    return answer;
}

}  // extern "C"
