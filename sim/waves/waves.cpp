// The harness (harness.cpp, here as harness.h) around a model that writes what every signal does,
// after each of its evaluations, from sterna_wave_open to sterna_wave_close. A SAIF is written when
// it is closed.

#include <filesystem>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#elif VM_TRACE_SAIF
#include "verilated_saif_c.h"
using Trace = VerilatedSaifC;
#else
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#endif

class Waves : public Vtop {
public:
    Waves(VerilatedContext* context, const char* name) : Vtop{tracing(context), name} {}
    ~Waves() { trace_.close(); }

    // unit: of time, as "1ns"; half: of them in half a clock.
    void open(const char* path, uint64_t limit, const char* unit, uint64_t half) {
        path_ = path, limit_ = limit, half_ = half;
        trace_.set_time_unit(unit);
        trace_.set_time_resolution(unit);
        trace(&trace_, 99);
        trace_.open(path);
    }
    void eval() {
        Vtop::eval();
        if (!trace_.isOpen()) return;
        trace_.dump(uint64_t(time_));
        time_ += half_;
        if (++count_ % 4096 == 0 && std::filesystem::file_size(path_) > limit_) trace_.close();
    }
    // Whether everything so far is in the file, which can be read now.
    bool flush() {
        const bool whole = trace_.isOpen();
        if (whole) trace_.flush();
        return whole;
    }
    void close() { trace_.close(); }

private:
    static VerilatedContext* tracing(VerilatedContext* context) {
        context->traceEverOn(true);  // before there is a model
        return context;
    }
    Trace trace_;
    std::string path_;
    uint64_t time_ = 0, half_ = 0, limit_ = 0, count_ = 0;
};

#define Vtop Waves
#include "harness.h"

extern "C" {
int sterna_wave_open(Model* model, const char* path, uint64_t limit, const char* unit,
                     uint64_t half) {
    try {
        static_cast<Waves*>(model->top)->open(path, limit, unit, half);
        return static_cast<Waves*>(model->top)->flush();
    } catch (const std::exception& error) {
        model->message = error.what();
        return 0;
    }
}
int sterna_wave_flush(Model* model) { return static_cast<Waves*>(model->top)->flush(); }
void sterna_wave_close(Model* model) { static_cast<Waves*>(model->top)->close(); }
}
