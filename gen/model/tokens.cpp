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
#include <vector>

namespace {

using Clock = int64_t;
using Params = std::vector<int64_t>;

struct Unit;

// Units that may go on, the one nearest to the output first: it is the results that end a run.
// stop: the run has seen enough.
struct Queue {
    std::vector<uint64_t> waiting;  // a bit a unit
    size_t top = 0;                 // no bit is set in words from this one on
    bool stop = false;
    void wake(uint32_t unit) {
        const size_t word = unit / 64;
        waiting[word] |= uint64_t(1) << unit % 64;
        top = std::max(top, word + 1);
    }
    int64_t next() {  // -1: none
        while (top && !waiting[top - 1]) --top;
        if (!top) return -1;
        const int bit = 63 - __builtin_clzll(waiting[top - 1]);
        waiting[top - 1] ^= uint64_t(1) << bit;
        return int64_t(top - 1) * 64 + bit;
    }
};

// at[n]: the clock of beat n, for n >= taken only the first clock in which it is offered.
// Runs spend their time where memory is: a channel is one line of the cache, and a unit that is woken
// is a bit, not looked at.
struct alignas(64) Channel {
    std::vector<Clock> at;
    size_t taken = 0;
    uint32_t source = 0, sink = 0;  // numbers of units
    size_t wanted = 0;   // the source waits until so many are taken; 0: it does not
    bool hungry = true;  // the sink waits for a beat
    Queue* queue = nullptr;

    void reset() {  // keeps the memory: new pages cost more than the beats in them
        at.clear();
        taken = wanted = 0;
        hungry = true;
    }
    size_t offered() const { return at.size(); }
    Clock last() const { return taken ? at[taken - 1] : -1; }
    // For the sink: a beat is on offer. If not, the sink is woken when there is.
    bool has() {
        hungry = taken == at.size();
        return !hungry;
    }
    // For the source: beat n was taken. If not, the source is woken when it is.
    bool gone(size_t n) {
        if (taken > n) return true;
        wanted = wanted ? std::min(wanted, n + 1) : n + 1;
        return false;
    }
    bool empty() { return taken == at.size() || gone(at.size() - 1); }
    void offer(Clock clock) {
        at.push_back(clock);
        if (!hungry) return;
        hungry = false;
        queue->wake(sink);
    }
    // Beat `taken` moves once it is offered, and not before `room`, the first clock with room.
    Clock take(Clock room) {
        Clock& clock = at[taken];
        clock = std::max({clock, room, last() + 1});
        ++taken;
        if (wanted && taken >= wanted) {
            wanted = 0;
            queue->wake(source);
        }
        return clock;
    }
};

struct Unit {
    std::vector<Channel*> in, out;
    Channel *first_in = nullptr, *first_out = nullptr;
    virtual ~Unit() = default;
    virtual void run() = 0;
    // Only for a unit whose room can shrink without a beat: the clock of a beat that moves unless
    // something unknown comes before (-1: none), and the permission to move it.
    virtual Clock doubtful() const { return -1; }
    virtual void allow() {}
};

// The beats of a period of units of `parts` slices, the last of `last` slices.
struct Slices {
    int64_t parts, last, period, index = 0, group = 0;
    int64_t now() const { return group == period - 1 ? last : parts; }
    bool final() const { return index == now() - 1; }
    bool next() {  // true: the unit is complete
        if (!final()) return ++index, false;
        index = 0;
        group = group == period - 1 ? 0 : group + 1;
        return true;
    }
};

// Buffer (depth 2), Fifo, SkipFifo. Parameters: depth (0: wires, below: endless), latency.
struct Fifo : Unit {
    int64_t depth, latency;
    explicit Fifo(const Params& p) : depth(p[0]), latency(p[1]) {}
    void run() override {
        Channel &i = *first_in, &o = *first_out;
        if (depth == 0) {
            for (;;) {
                while (o.taken > i.taken) i.take(o.at[i.taken]);
                while (i.offered() > o.offered()) o.offer(i.at[o.offered()]);
                i.hungry = true;  // the next beat, whether this one was taken or not
                if (!o.gone(i.taken)) return;
            }
        }
        while (i.has()) {
            Clock room = 1;  // ready is a register that is 0 in reset
            if (depth > 0 && i.taken >= size_t(depth)) {
                const size_t gone = i.taken - depth;
                if (!o.gone(gone)) return;
                room = o.at[gone] + 1;
            }
            o.offer(i.take(room) + latency);
        }
    }
};

// Behind it a Buffer. Parameters: parts, last, period.
struct Cut : Unit {
    Slices slices;
    explicit Cut(const Params& p) : slices{p[0], p[1], p[2]} {}
    void run() override {
        Channel &i = *first_in, &o = *first_out;
        // The next beat comes in the clock in which the last slice leaves.
        while (i.has() && o.empty()) {
            const Clock clock = i.take(o.last());
            do o.offer(clock + 1);
            while (!slices.next());
        }
    }
};

// In front of it a Buffer. Parameters: parts, last, period.
struct Join : Unit {
    Slices slices;
    explicit Join(const Params& p) : slices{p[0], p[1], p[2]} {}
    void run() override {
        Channel &i = *first_in, &o = *first_out;
        while (i.has()) {
            if (slices.index == 0 && !o.empty()) return;
            const Clock clock = i.take(slices.index ? 0 : o.last());
            if (slices.next()) o.offer(clock + 1);
        }
    }
};

// LaneSplit with its memory, behind it a Buffer. Parameters: parts, last, period, beats.
struct Split : Unit {
    Slices slices;  // index unused: a group's slices leave all at once here
    int64_t beats, beat = 0;
    std::vector<size_t> freed;  // a beat: the last of its slices, counted at the output
    explicit Split(const Params& p) : slices{p[0], p[1], p[2]}, beats(p[3]) {}
    void run() override {
        Channel &i = *first_in, &o = *first_out;
        while (i.has()) {
            Clock room = 0;
            if (i.taken >= size_t(2 * beats)) {
                const size_t slice = freed[i.taken - 2 * beats];
                if (!o.gone(slice)) return;
                room = o.at[slice] + 1;
            }
            freed.push_back(o.offered() + (slices.now() - 1) * beats);
            o.offer(i.take(room) + 1);
            if (++beat < beats) continue;
            beat = 0;
            for (int64_t k = (slices.now() - 1) * beats; k > 0; --k) o.offer(0);
            do {
            } while (!slices.next());
        }
    }
};

// LaneMerge with its memory. Parameters: parts, last, period, beats.
struct Gather : Unit {
    Slices slices;
    int64_t beats, beat = 0;
    size_t begun = 0;  // beats of the output
    explicit Gather(const Params& p) : slices{p[0], p[1], p[2]}, beats(p[3]) {}
    void run() override {
        Channel &i = *first_in, &o = *first_out;
        while (i.has()) {
            Clock room = 0;
            if (slices.index == 0 && begun >= size_t(2 * beats)) {
                const size_t gone = begun - 2 * beats;
                if (!o.gone(gone)) return;
                room = o.at[gone] + 1;
            }
            begun += slices.index == 0;
            const Clock clock = i.take(room);
            if (slices.final()) o.offer(clock + 1);
            if (++beat == beats) beat = 0, slices.next();
        }
    }
};

// The shifter of BitGearbox, behind it a Buffer. Parameters: units of a word in, of a word out, of
// the last word in of a packet, words in of a packet.
struct Shifter : Unit {
    int64_t ins, outs, rest, words, fill = 0;  // fill: units taken so far
    explicit Shifter(const Params& p) : ins(p[0]), outs(p[1]), rest(p[2]), words(p[3]) {}
    void run() override {
        Channel &i = *first_in, &o = *first_out;
        while (i.has()) {
            const int64_t must = fill / outs;  // words gone, or going in the same clock
            if (must && !o.gone(must - 1)) return;
            const bool last = int64_t(i.taken) % words == words - 1;
            const Clock clock = i.take(must ? o.at[must - 1] : 0);
            fill += last ? rest : ins;
            while ((int64_t(o.offered()) + 1) * outs <= fill) o.offer(clock + 1);
        }
    }
};

// Behind a Buffer. Any number of outputs.
struct Fork : Unit {
    explicit Fork(const Params&) {}
    void run() override {
        Channel& i = *in[0];
        for (;;) {
            if (out[0]->offered() > i.taken) {  // a beat is out: gone when the last branch has it
                Clock clock = 0;
                for (Channel* o : out) {
                    if (!o->gone(i.taken)) return;
                    clock = std::max(clock, o->last());
                }
                i.take(clock);
            }
            if (!i.has()) return;
            const Clock clock = std::max(i.at[i.taken], i.last() + 1);
            for (Channel* o : out) o->offer(clock);
        }
    }
};

// Behind Buffers; a beat leaves when every input has one.
struct Meet : Unit {
    explicit Meet(const Params&) {}
    void run() override {
        Channel& o = *out[0];
        for (;;) {
            const size_t moved = in[0]->taken;
            if (o.taken > moved)
                for (Channel* i : in) i->take(o.at[moved]);
            if (o.offered() > o.taken && !o.empty()) return;
            Clock clock = 0;
            for (Channel* i : in) {
                if (!i->has()) return;
                clock = std::max(clock, i->at[i->taken]);
            }
            o.offer(clock);
        }
    }
};

// Behind Buffers; the inputs take turns. Parameters: beats of each input's turn.
struct Concat : Unit {
    Params beats;
    size_t turn = 0;
    int64_t beat = 0;
    bool on_offer = false;
    explicit Concat(const Params& p) : beats(p) {}
    void run() override {
        Channel& o = *out[0];
        for (;;) {
            if (!o.empty()) return;
            if (on_offer) {
                in[turn]->take(o.last());
                if (++beat == beats[turn]) beat = 0, turn = turn + 1 == in.size() ? 0 : turn + 1;
            }
            Channel& i = *in[turn];
            on_offer = i.has();
            if (!on_offer) return;
            o.offer(i.at[i.taken]);
        }
    }
};

// The packets of ImageInput, whose sender never waits. Outputs: words, flags (one an image, kept in
// a Fifo). Parameters: images, words of an image, places for flags (below 0: endless).
struct Source : Unit {
    size_t images, words, places;  // endless: more than there are images
    explicit Source(const Params& p) : images(p[0]), words(p[1]), places(p[2]) {}
    void run() override {
        Channel &o = *out[0], &flags = *out[1];
        while (flags.offered() < images && o.gone((flags.offered() + 1) * words - 1))
            flags.offer(o.at[(flags.offered() + 1) * words - 1] + 1);
        while (o.offered() < images * words) {
            const size_t image = o.offered() / words;
            Clock clock = 1;  // the register of room for flags is 0 in reset
            if (image >= places) {
                if (!flags.gone(image - places)) return;
                clock = flags.at[image - places] + 1;
            }
            o.offer(clock);
            for (size_t k = 1; k < words; ++k) o.offer(0);
        }
    }
};

// ResultOutput before its Buffer. Inputs: logits, flags. Parameters: logits of an image.
struct Result : Unit {
    size_t count;
    explicit Result(const Params& p) : count(p[0]) {}
    void run() override {
        Channel &i = *in[0], &flags = *in[1], &o = *out[0];
        for (;;) {
            const size_t before = i.taken + flags.taken + o.offered();
            // The header leaves with the flags.
            if (o.gone(flags.taken * (count + 1))) flags.take(o.at[flags.taken * (count + 1)]);
            const size_t packet = o.offered() / (count + 1);
            flags.hungry = true;
            if (i.taken >= (packet + 1) * count && flags.offered() > packet) {
                o.offer(std::max(i.at[(packet + 1) * count - 1] + 1, flags.at[packet]));
                for (size_t k = 0; k < count; ++k) o.offer(0);
            }
            const size_t image = i.taken / count;
            if (i.has()) {
                // Two banks: one is free again behind the last word of its packet.
                const size_t last = image >= 2 ? (image - 1) * (count + 1) - 1 : 0;
                if (image < 2 || o.gone(last)) i.take(image < 2 ? 0 : o.at[last] + 1);
            }
            if (before == i.taken + flags.taken + o.offered()) return;
        }
    }
};

// Takes every beat at once. Parameters: beats of a packet, then of the clocks an image above which
// the run stops: their numerator (0: never), denominator, from which packet on, clocks of grace.
struct Sink : Unit {
    int64_t packet, limit, images, first, grace, packets = 0;
    Clock since = 0;
    explicit Sink(const Params& p)
        : packet(p[0]), limit(p[1]), images(p.size() > 2 ? p[2] : 1),
          first(p.size() > 3 ? p[3] : 2), grace(p.size() > 4 ? p[4] : 0) {}
    void run() override {
        Channel& i = *in[0];
        while (i.has()) {
            const Clock clock = i.take(0);
            if (i.taken % packet) continue;
            if (++packets <= first) since = clock;
            else if (limit && (clock - since - grace) * images > (packets - first) * limit)
                i.queue->stop = true;
        }
    }
};

// ShortcutQueue. Output: a token for every visit that is whole, taken when the visit is claimed.
// Parameters: beats of room, clocks from the claim until the place of each beat is free again.
struct Shortcut : Unit {
    size_t depth;
    Params delays;
    explicit Shortcut(const Params& p) : depth(p[0]), delays(p.begin() + 1, p.end()) {}
    void run() override {
        Channel &i = *first_in, &o = *first_out;
        while (i.has()) {
            Clock room = 1;  // ready is a register that is 0 in reset
            if (i.taken >= depth) {
                const size_t gone = i.taken - depth, visit = gone / delays.size();
                if (!o.gone(visit)) return;
                room = o.at[visit] + delays[gone % delays.size()];
            }
            const Clock clock = i.take(room);
            if (i.taken % delays.size() == 0) o.offer(clock + 1);
        }
    }
};

// A line buffer and the walker that reads it: one visit after another, each of which makes a fixed
// number of tokens a fixed number of clocks after its start. A visit starts when the rows of its
// window are there, every input but the first has a token (a visit of a queue that the join needs),
// and a credit is left; credits come back a while after the last token of an older visit was taken.
// Parameters: beats of a row, rows of the map, rows of the kernel, stride, padding above, rows out,
// row slots, visits of an output row, items of a visit, clocks between visits, credits, clocks until
// a credit is back, clocks until a row that was left is free, the clock of each token after the
// start.
struct Core : Unit {
    int64_t row_beats, height, kernel, stride, top, out_height, slots, visits, items, pitch;
    int64_t credits, back, freeing;
    Params delays;
    std::vector<Clock> rows_in, rows_out;  // the clock of the last beat, of the last item of a row
    int64_t row = 0, visit = 0;            // the output row walked, the visit in it
    size_t visited = 0;
    Clock next = 0;
    int64_t beat = 0, ended = 0;  // ended: output rows gone by the input's clock
    bool dips, allowed = false;   // dips: the walk goes on in the next image above the row it was at
    Clock doubt = -1;

    explicit Core(const Params& p)
        : row_beats(p[0]), height(p[1]), kernel(p[2]), stride(p[3]), top(p[4]), out_height(p[5]),
          slots(p[6]), visits(p[7]), items(p[8]), pitch(p[9]), credits(p[10]), back(p[11]),
          freeing(p[12]), delays(p.begin() + 13, p.end()) {
        dips = height < (out_height - 1) * stride;
    }
    // Input rows before the first one that output row `at` begins with.
    int64_t base(int64_t at) const {
        return at / out_height * height + at % out_height * stride;
    }
    bool free(int64_t ended) const { return slots - top - int64_t(rows_in.size()) + base(ended) > 0; }
    void run() override {
        size_t before;
        do {
            before = in[0]->taken + visited;
            accept();
            walk();
        } while (before != in[0]->taken + visited);
    }
    void accept() {
        Channel& i = *in[0];
        while (i.has()) {
            Clock room = 0;
            if (beat == 0 && !dips) {
                while (!free(ended)) ++ended;
                if (ended > int64_t(rows_out.size())) return;
                room = ended ? rows_out[ended - 1] + freeing : 0;
            }
            if (dips && !settle(room)) return;
            const Clock clock = i.take(room);
            if (++beat == row_beats) beat = 0, rows_in.push_back(clock);
        }
    }
    // With dips: the clock in which there is room for the next beat, whatever was free before.
    bool settle(Clock& room) {
        const Channel& i = *in[0];
        const int64_t known = int64_t(rows_out.size());
        if (ended) room = rows_out[ended - 1] + freeing;  // looked at before, by this beat perhaps
        for (;;) {
            const Clock clock = std::max({i.at[i.taken], i.last() + 1, room});
            while (ended < known && rows_out[ended] + freeing <= clock) ++ended;
            doubt = -1;
            if (free(ended)) {
                if (ended < known || allowed) return allowed = false, true;
                doubt = clock;
                return false;
            }
            if (ended == known) return false;
            room = rows_out[ended] + freeing;
        }
    }
    Clock doubtful() const override { return doubt; }
    void allow() override { allowed = true; }

    void walk() {
        Channel& o = *out[0];
        for (;;) {
            Clock clock = next;
            if (visit == 0) {
                const int64_t image = row / out_height, at = row % out_height * stride - top;
                const int64_t need = image * height + std::min(at + kernel, height);
                if (need > int64_t(rows_in.size())) return;
                if (need > 0) clock = std::max(clock, rows_in[need - 1] + 1);
            }
            if (visited >= size_t(credits)) {
                const size_t last = (visited - credits + 1) * delays.size() - 1;
                if (!o.gone(last)) return;
                clock = std::max(clock, o.at[last] + back);
            }
            for (size_t k = 1; k < in.size(); ++k) {
                if (!in[k]->has()) return;
                clock = std::max(clock, in[k]->at[in[k]->taken]);
            }
            for (size_t k = 1; k < in.size(); ++k) in[k]->take(clock);
            for (int64_t delay : delays) o.offer(clock + delay);
            next = clock + pitch;
            ++visited;
            if (++visit == visits) {
                visit = 0, ++row;
                rows_out.push_back(clock + items - 1);
            }
        }
    }
};

std::unique_ptr<Unit> make(int64_t kind, const Params& p) {
    switch (kind) {
        case 0: return std::make_unique<Fifo>(p);
        case 1: return std::make_unique<Cut>(p);
        case 2: return std::make_unique<Join>(p);
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
// kind.
int sterna_tokens_run(Model* model, const int64_t* text, int64_t size, int64_t grow) {
    Queue& queue = model->queue;
    queue = Queue();
    model->grown = nullptr;
    model->units.clear();
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
        Clock least = -1;
        for (size_t n = 0; n < model->units.size(); ++n) {
            const Clock clock = model->units[n]->doubtful();
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

}  // extern "C"
