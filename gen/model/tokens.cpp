// The clock of every beat of a network's hardware, without its data: data never decides timing.
// Driven through ctypes by gen/model/tokens.py.
//
// Every unit's valid and ready come from its own registers, valid waits for the beat to be taken
// and ready for a beat to come. So beat n of a channel moves in the first clock in which its source
// offers it and its sink has room for it, and both of those clocks follow from clocks of earlier
// beats. A unit therefore works through the beats whose clocks are known, without stepping through
// the clocks between, and is woken when one of its channels has got further. When none can go on
// and images are missing, the hardware stands still too: a deadlock.
//
// Clock 0 is the first one after reset. What each unit does is that of the hardware of the same
// name; its docstring says why, the comments here only where registers show.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>

#include "token_channels.h"
#include "token_core.h"
#include "token_units.h"

namespace {

std::unique_ptr<Unit> make(int64_t kind, const Params& p) {
    switch (kind) {
        case 0: return std::make_unique<Fifo>(p);
        case 1: return std::make_unique<Downsizer>(p);
        case 2: return std::make_unique<Upsizer>(p);
        case 3: return std::make_unique<Split>(p);
        case 4: return std::make_unique<Gather>(p);
        case 5: return std::make_unique<Shifter>(p);
        case 6: return std::make_unique<Fork>(p);
        case 7: return std::make_unique<Meet>(p);
        case 8: return std::make_unique<Concat>(p);
        case 9: return std::make_unique<Source>(p);
        case 10: return std::make_unique<Result>(p);
        case 11: return std::make_unique<Sink>(p);
        case 12: return std::make_unique<Shortcut>(p);
        case 13: return std::make_unique<Core>(p);
        default: return nullptr;
    }
}

struct Model {
    Queue queue;
    Fifo* grown = nullptr;
    uint32_t grows = 0;  // the number of that FIFO
    std::vector<Fork*> forks;
    std::deque<Channel> channels;
    std::vector<std::unique_ptr<Unit>> units;
};

}  // namespace

extern "C" {

Model* sterna_tokens_new(int64_t channels) {
    Model* model = new Model;
    model->channels.resize(channels);
    for (Channel& channel : model->channels) channel.queue = &model->queue;
    return model;
}

void sterna_tokens_free(Model* model) { delete model; }

// Runs a network from reset to its end, or until nothing can move. `text`: for every unit its kind,
// then a counted list each of parameters, input channels and output channels. `grow`: where in it
// the depth of a FIFO stands that gets a place more whenever nothing can move, or -1. 0: an unknown
// kind. `marked`: the first of the forks whose beats are marked.
int sterna_tokens_run(
    Model* model, const int64_t* text, int64_t size, int64_t grow, int64_t marked
) {
    Queue& queue = model->queue;
    queue = Queue();
    model->grown = nullptr;
    model->units.clear();
    model->forks.clear();
    for (Channel& channel : model->channels) channel.reset();
    for (const int64_t *at = text, *end = text + size; at < end;) {
        const int64_t kind = *at++;
        const bool grows = at + 1 - text == grow;
        Params lists[3];
        for (Params& list : lists) {
            const int64_t count = *at++;
            list.assign(at, at + count);
            at += count;
        }
        auto unit = make(kind, lists[0]);
        if (!unit) return 0;
        const uint32_t number = uint32_t(model->units.size());
        if (auto fork = dynamic_cast<Fork*>(unit.get())) {
            fork->number = int64_t(model->forks.size()) - marked;
            model->forks.push_back(fork);
        }
        if (grows) model->grown = static_cast<Fifo*>(unit.get()), model->grows = number;
        for (int64_t k : lists[1]) {
            unit->in.push_back(&model->channels[k]);
            model->channels[k].sink = number;
        }
        for (int64_t k : lists[2]) {
            unit->out.push_back(&model->channels[k]);
            model->channels[k].source = number;
        }
        if (!unit->in.empty()) unit->first_in = unit->in[0];
        if (!unit->out.empty()) unit->first_out = unit->out[0];
        queue.waiting.resize(number / 64 + 1);
        queue.wake(number);
        model->units.push_back(std::move(unit));
    }
    for (;;) {
        for (int64_t next; !queue.stop && (next = queue.next()) >= 0;) model->units[next]->run();
        // All that is unknown follows from a doubtful beat, so nothing comes before the earliest.
        if (queue.stop) return 1;
        size_t first = model->units.size();
        int64_t least = -1;
        for (size_t n = 0; n < model->units.size(); ++n) {
            const int64_t clock = model->units[n]->doubtful();
            if (clock >= 0 && (least < 0 || clock < least)) least = clock, first = n;
        }
        if (least < 0) {
            // What stands still for want of room does so at any speed: this depth is too little.
            Fifo* fifo = model->grown;
            if (!fifo || fifo->in[0]->taken == fifo->in[0]->offered()) return 1;
            ++fifo->depth;
            queue.wake(model->grows);
            continue;
        }
        model->units[first]->allow();
        queue.wake(uint32_t(first));
    }
}

// The depth that the FIFO of the last run has grown to.
int64_t sterna_tokens_grown(Model* model) { return model->grown ? model->grown->depth : 0; }

#ifdef STERNA_NEEDS

// The number of forks whose beats a run marks.
int64_t sterna_tokens_marks() { return FORKS; }

// The smallest depth with which a FIFO of these two channels, behind a marked fork, lets every beat
// out: a beat may only leave once the fork has offered another one, further on, so all up to that
// wait in the FIFO. -1: it is not behind a marked fork. The run had the depths of all FIFOs.
int64_t sterna_tokens_needs(Model* model, int64_t entry, int64_t exit) {
    const Channel& i = model->channels[entry];
    const auto fork = dynamic_cast<Fork*>(model->units[i.source].get());
    if (!fork || fork->number < 0 || fork->number >= FORKS) return -1;
    const Channel& o = model->channels[exit];
    int64_t most = 0;
    for (size_t n = 0; n < o.taken; ++n)
        most = std::max(most, o.at[n].of[fork->number + 1] - int64_t(n));
    return most;
}

#else

// The clocks of a channel's beats, and how many beats moved.
int64_t sterna_tokens_beats(Model* model, int64_t channel, const int64_t** clocks) {
    *clocks = model->channels[channel].at.data();
    return int64_t(model->channels[channel].taken);
}

// The depth from which a FIFO of these two channels never refuses a beat of this run.
int64_t sterna_tokens_fill(Model* model, int64_t entry, int64_t exit) {
    const Channel &i = model->channels[entry], &o = model->channels[exit];
    int64_t most = 0;
    for (size_t n = 0, gone = 0; n < i.taken; ++n) {
        while (gone < o.taken && o.at[gone] < i.at[n]) ++gone;
        most = std::max(most, int64_t(n + 1 - gone));
    }
    return most;
}

#endif

}  // extern "C"
