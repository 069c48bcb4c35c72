// Runs a verilated top over a whole batch of images in one call: Python is entered once a batch and
// not once a clock. Driven through ctypes by sim/batch.py, which mirrors struct Job.
//
// One clock is two evaluations. With the clock low the inputs change and everything combinational
// settles; valid and ready are read then; the rising edge follows. Nothing is assumed about paths
// from inputs to outputs, so a netlist or a faulty design is read correctly too.
//
// "sterna_ports.h" is generated: STERNA_TAPS(X) calls X(index, valid, ready, data, bytes) for every
// tap; STERNA_LIMITS(X) calls X(index, port) for every buffer whose depth can be lowered;
// STERNA_AXIL is 1 where the top has the AXI4-Lite port.

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vtop.h"
#include "sterna_ports.h"
#include "verilated.h"
#include "verilator_ends.h"

namespace {

#define STERNA_COUNT(...) +1
constexpr unsigned kTaps = 0 STERNA_TAPS(STERNA_COUNT);
constexpr unsigned kBeatBytes = 64;  // streams are at most 512 bits wide

// Ports are CData .. QData or VlWide; all hold their bits little-endian in memory.
template <class Port>
inline void load(Port& port, const uint8_t* bytes, size_t count) {
    port = Port();
    std::memcpy(&port, bytes, count < sizeof(Port) ? count : sizeof(Port));
}

inline uint64_t draw(uint64_t& state) {  // xorshift64*
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545F4914F6CDD1Dull) >> 32;
}

enum Status : uint64_t {
    kDone = 0,
    kStuck = 1,        // nothing moved for `watchdog` clocks
    kLastWrong = 2,    // an output packet is shorter or longer than words_out
    kExtraOutput = 3,  // an output word after the last packet
    kTapFull = 4,      // tap `where` has more beats than expected
    kUnstable = 5,     // stream `where` (kTaps = m_axis) changed or dropped a beat not yet taken
    kThrown = 6,       // sterna_message() has the reason
};

}  // namespace

extern "C" {

struct Job {
    const uint8_t* input;     // words * word_bytes
    const uint8_t* last;      // words flags, or null: every words_per_image-th word
    uint32_t* output;         // packets * words_out
    int64_t* clocks;          // packets * 4: first in, last in, first out, last out
    uint8_t** tap_data;       // a tap: tap_room * bytes, or null
    const uint64_t* tap_room; // a tap: beats expected; ~0 = any number, none recorded
    uint64_t* tap_count;      // a tap: beats seen (written)
    uint8_t* tap_state;       // kTaps + 2: bit 0 valid, bit 1 ready at the end; then s_axis, m_axis
    int64_t** tap_clocks;     // null, or a tap: the clock of each beat, tap_room of them
    uint64_t words, word_bytes, words_per_image;
    uint64_t packets, words_out;
    uint64_t in_stall, out_stall;  // of 2**32
    uint64_t seed, watchdog, drain, max_clocks;
    uint64_t status, where, words_taken, words_given, clocks_run;  // written
};

struct Model {
    VerilatedContext context;
    Vtop* top = nullptr;
    int64_t clock = 0;
    std::string message;
    uint8_t held[kTaps + 1][kBeatBytes];
    bool waiting[kTaps + 1];

    ~Model() { delete top; }
    void forget() { std::memset(waiting, 0, sizeof waiting); }
    void low() {
        top->clk = 0;
        top->eval();
    }
    void high() {
        top->clk = 1;
        top->eval();
        ++clock;
    }
};

// A new model: `seed` != 0 gives registers and memories without a reset value random contents.
Model* sterna_new(uint64_t seed) {
    Model* model = new Model;
    model->context.randReset(seed ? 2 : 0);
    if (seed) model->context.randSeed(static_cast<int>(seed & 0x7fffffff));
    try {
        model->top = new Vtop{&model->context, "top"};
#define STERNA_AS_BUILT(k, port) model->top->port = 0;
        STERNA_LIMITS(STERNA_AS_BUILT)  // inputs start at random, too
        model->forget();
        model->top->rst = 1;
        model->low();
    } catch (const std::exception& error) {
        model->message = error.what();
    }
    return model;
}

void sterna_delete(Model* model) { delete model; }
const char* sterna_message(Model* model) { return model->message.c_str(); }
uint64_t sterna_taps() { return kTaps; }

// Buffer `index` behaves as one of `depth` beats from now on (0: as built); in reset only.
int sterna_limit(Model* model, uint64_t index, uint64_t depth) {
#define STERNA_LIMIT(k, port) \
    if (index == k) {         \
        model->top->port = depth; \
        return 1;             \
    }
    STERNA_LIMITS(STERNA_LIMIT)
    (void)model, (void)depth;
    return 0;
}
int64_t sterna_clock(Model* model) { return model->clock; }

// Holds reset for `clocks` clocks with every input idle.
int sterna_reset(Model* model, uint64_t clocks) {
    Vtop& top = *model->top;
    try {
        top.s_axis_tvalid = 0;
        top.s_axis_tlast = 0;
        top.m_axis_tready = 0;
#if STERNA_AXIL
        top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_arvalid = 0;
        top.s_axil_bready = top.s_axil_rready = 0;
#endif
        top.rst = 1;
        for (uint64_t k = 0; k < clocks; ++k) model->low(), model->high();
        top.rst = 0;
        model->low(), model->high();  // the wrapper around the design holds rst in a register
        model->low();
        model->forget();
    } catch (const std::exception& error) {
        model->message = error.what();
        return kThrown;
    }
    return kDone;
}

static bool stable(Model* model, unsigned index, bool valid, bool ready, const void* data,
                   size_t bytes) {
    if (model->waiting[index] && (!valid || std::memcmp(model->held[index], data, bytes)))
        return false;
    model->waiting[index] = valid && !ready;
    if (model->waiting[index]) std::memcpy(model->held[index], data, bytes);
    return true;
}

static uint64_t run(Model* model, Job* job) {
    Vtop& top = *model->top;
    uint64_t random = job->seed * 0x9E3779B97F4A7C15ull | 1;
    uint64_t word = 0, packet = 0, index = 0, quiet = 0, after = 0, in_image = 0, image = 0;
    bool offering = false;
    const int64_t start = model->clock;
    for (unsigned k = 0; k < kTaps; ++k) job->tap_count[k] = 0;

    for (;;) {
        // AXI4-Stream: a word once offered stays until it is taken.
        if (!offering && word < job->words && draw(random) >= job->in_stall) {
            offering = true;
            load(top.s_axis_tdata, job->input + word * job->word_bytes, job->word_bytes);
            top.s_axis_tlast =
                job->last ? job->last[word] : in_image + 1 == job->words_per_image;
        }
        top.s_axis_tvalid = offering;
        top.m_axis_tready = draw(random) >= job->out_stall;
        model->low();

        bool moved = false;
        const bool taken = offering && top.s_axis_tready;
        const bool given = top.m_axis_tvalid && top.m_axis_tready;
        const uint64_t beat = uint64_t(top.m_axis_tdata) | uint64_t(top.m_axis_tlast) << 32;
        job->tap_state[kTaps] = uint8_t(offering | top.s_axis_tready << 1);
        job->tap_state[kTaps + 1] = uint8_t(top.m_axis_tvalid | top.m_axis_tready << 1);
        if (!stable(model, kTaps, top.m_axis_tvalid, top.m_axis_tready, &beat, sizeof beat)) {
            job->where = kTaps;
            return kUnstable;
        }
#define STERNA_RECORD(K, VALID, READY, DATA, BYTES)                                        \
    job->tap_state[K] = uint8_t(top.VALID | top.READY << 1);                               \
    if (!stable(model, K, top.VALID, top.READY, &top.DATA, BYTES)) {                       \
        job->where = K;                                                                    \
        return kUnstable;                                                                  \
    }                                                                                      \
    if (top.VALID & top.READY) {                                                           \
        const uint64_t at = job->tap_count[K];                                             \
        if (at >= job->tap_room[K]) {                                                      \
            job->where = K;                                                                \
            return kTapFull;                                                               \
        }                                                                                  \
        if (job->tap_data[K]) std::memcpy(job->tap_data[K] + at * (BYTES), &top.DATA, BYTES); \
        if (job->tap_clocks) job->tap_clocks[K][at] = model->clock;                        \
        job->tap_count[K] = at + 1;                                                        \
        moved = true;                                                                      \
    }
        STERNA_TAPS(STERNA_RECORD)

        if (taken) {
            offering = false;
            if (job->clocks && image < job->packets) {
                if (in_image == 0) job->clocks[image * 4] = model->clock;
                if (in_image + 1 == job->words_per_image) job->clocks[image * 4 + 1] = model->clock;
            }
            ++word;
            if (++in_image == job->words_per_image) in_image = 0, ++image;
            moved = true;
        }
        if (given) {
            if (packet == job->packets) return kExtraOutput;
            if (job->output) job->output[packet * job->words_out + index] = top.m_axis_tdata;
            if (job->clocks && index == 0) job->clocks[packet * 4 + 2] = model->clock;
            if (bool(top.m_axis_tlast) != (index + 1 == job->words_out)) {
                job->where = packet;
                return kLastWrong;
            }
            if (++index == job->words_out) {
                if (job->clocks) job->clocks[packet * 4 + 3] = model->clock;
                index = 0, ++packet;
            }
            moved = true;
        }
        model->high();
        job->words_taken = word;
        job->words_given = packet * job->words_out + index;
        job->clocks_run = uint64_t(model->clock - start);

        bool done = word == job->words && packet == job->packets;
        for (unsigned k = 0; k < kTaps; ++k)
            done = done && (job->tap_room[k] == ~0ull || job->tap_count[k] == job->tap_room[k]);
        // A few clocks more, in which nothing may come out.
        if (done && after++ == job->drain) return kDone;
        if (job->max_clocks && job->clocks_run >= job->max_clocks) return kDone;
        quiet = moved ? 0 : quiet + 1;
        if (!done && quiet >= job->watchdog) return kStuck;
    }
}

// Drives and takes the streams until all that `job` expects has come, or says what went wrong.
uint64_t sterna_run(Model* model, Job* job) {
    try {
        job->status = run(model, job);
        Vtop& top = *model->top;
        if (job->status != kStuck) {  // leave the inputs idle
            top.s_axis_tvalid = 0;
            top.m_axis_tready = 0;
            model->low();
            model->waiting[kTaps] = false;
        }
    } catch (const std::exception& error) {
        model->message = error.what();
        job->status = kThrown;
    }
    return job->status;
}

#if STERNA_AXIL
// Both return 0 .. 3, the response, or -1 when nothing answered within `limit` clocks.
int sterna_axil_write(Model* model, uint32_t address, uint32_t data, uint32_t strobe,
                      uint64_t limit) {
    Vtop& top = *model->top;
    bool address_left = true, data_left = true;
    top.s_axil_awaddr = address;
    top.s_axil_wdata = data;
    top.s_axil_wstrb = strobe;
    top.s_axil_bready = 1;
    int answer = -1;
    for (uint64_t k = 0; k < limit && answer < 0; ++k) {
        top.s_axil_awvalid = address_left;
        top.s_axil_wvalid = data_left;
        model->low();
        const bool address_taken = address_left && top.s_axil_awready;
        const bool data_taken = data_left && top.s_axil_wready;
        if (top.s_axil_bvalid) answer = top.s_axil_bresp;
        model->high();
        address_left = address_left && !address_taken;
        data_left = data_left && !data_taken;
    }
    top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_bready = 0;
    model->low();
    return answer;
}

int sterna_axil_read(Model* model, uint32_t address, uint32_t* data, uint64_t limit) {
    Vtop& top = *model->top;
    bool left = true;
    top.s_axil_araddr = address;
    top.s_axil_rready = 1;
    int answer = -1;
    for (uint64_t k = 0; k < limit && answer < 0; ++k) {
        top.s_axil_arvalid = left;
        model->low();
        const bool taken = left && top.s_axil_arready;
        if (top.s_axil_rvalid) {
            answer = top.s_axil_rresp;
            *data = top.s_axil_rdata;
        }
        model->high();
        left = left && !taken;
    }
    top.s_axil_arvalid = top.s_axil_rready = 0;
    model->low();
    return answer;
}
#endif

}  // extern "C"
