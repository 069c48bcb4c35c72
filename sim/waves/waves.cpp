// The harness (harness.cpp, here as harness.h) around a model that writes what every signal does,
// after each of its evaluations, from sterna_wave_open on. A clock is 10 ns long.

#include <filesystem>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE_FST
#include "verilated_fst_c.h"
using Trace = VerilatedFstC;
#else
#include "verilated_vcd_c.h"
using Trace = VerilatedVcdC;
#endif

class Waves : public Vtop {
public:
    Waves(VerilatedContext* context, const char* name) : Vtop{tracing(context), name} {}
    ~Waves() { trace_.close(); }

    void open(const char* path, uint64_t limit) {
        path_ = path, limit_ = limit;
        trace_.set_time_unit("1ns");
        trace_.set_time_resolution("1ns");
        trace(&trace_, 99);
        trace_.open(path);
    }
    void eval() {
        Vtop::eval();
        if (!trace_.isOpen()) return;
        trace_.dump(uint64_t(time_));
        time_ += 5;
        if (++count_ % 4096 == 0 && std::filesystem::file_size(path_) > limit_) trace_.close();
    }
    // Whether everything so far is in the file, which can be read now.
    bool flush() {
        const bool whole = trace_.isOpen();
        if (whole) trace_.flush();
        return whole;
    }

private:
    static VerilatedContext* tracing(VerilatedContext* context) {
        context->traceEverOn(true);  // before there is a model
        return context;
    }
    Trace trace_;
    std::string path_;
    uint64_t time_ = 0, limit_ = 0, count_ = 0;
};

#define Vtop Waves
#include "harness.h"

extern "C" {
int sterna_wave_open(Model* model, const char* path, uint64_t limit) {
    try {
        static_cast<Waves*>(model->top)->open(path, limit);
        return static_cast<Waves*>(model->top)->flush();
    } catch (const std::exception& error) {
        model->message = error.what();
        return 0;
    }
}
int sterna_wave_flush(Model* model) { return static_cast<Waves*>(model->top)->flush(); }
}
