// Everything between the cores: buffers, gearboxes, forks, joins, the ends and the shortcut queue.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "token_channels.h"

namespace {

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
struct Downsizer : Unit {
    Slices slices;
    explicit Downsizer(const Params& p) : slices{p[0], p[1], p[2]} {}
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

// The FIFOs in front of it are in it: beats between two units are what a run spends its time on. A
// chain of FIFOs is one of all their places, whose place is free a clock later for each of them.
// Parameters: parts, last, period, then of the FIFOs: places, latency, clocks until one is free.
struct Upsizer : Unit {
    Slices slices;
    size_t depth, moved = 0;  // moved: slices that left the FIFO
    int64_t latency, freeing;
    std::vector<Clock> left;  // the clocks of the last `depth` of them
    explicit Upsizer(const Params& p)
        : slices{p[0], p[1], p[2]}, depth(p[3]), latency(p[4]), freeing(p[5]), left(p[3]) {}
    void run() override {
        Channel &i = *first_in, &o = *first_out;
        for (size_t place = moved % depth;;) {
            while (moved < i.taken && (slices.index || o.empty())) {
                const Clock last = moved ? left[place ? place - 1 : depth - 1] + 1 : Clock(0);
                const Clock clock =
                    later(i.at[moved] + latency, last, slices.index ? Clock(0) : o.last());
                left[place] = clock;
                if (++place == depth) place = 0;
                ++moved;
                if (slices.next()) o.offer(clock + 1);
            }
            // As full as it gets: beat n takes the place of beat n - depth, which is at `place`.
            if (i.taken - moved == depth || !i.has()) return;
            const size_t to = i.taken % depth;
            i.take(i.taken < depth ? Clock(1) : left[to] + freeing);
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
            const Clock clock = i.take(must ? o.at[must - 1] : Clock(0));
            fill += last ? rest : ins;
            while ((int64_t(o.offered()) + 1) * outs <= fill) o.offer(clock + 1);
        }
    }
};

// Behind a Buffer. Any number of outputs.
struct Fork : Unit {
    int64_t number = -1;  // of the forks that are marked
    explicit Fork(const Params&) {}
    void run() override {
        Channel& i = *in[0];
        for (;;) {
            if (out[0]->offered() > i.taken) {  // a beat is out: gone when the last branch has it
                Clock clock = 0;
                for (Channel* o : out) {
                    if (!o->gone(i.taken)) return;
                    clock = later(clock, o->last());
                }
                i.take(clock);
            }
            if (!i.has()) return;
            Clock clock = later(i.at[i.taken], i.last() + 1);
            mark(clock, number, i.taken);
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
                clock = later(clock, i->at[i->taken]);
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
// a Fifo). Parameters: images, words of an image, places for flags (below 0: endless), then of the
// clocks an image that the sender keeps to, word by word: their numerator (0: none), denominator.
struct Source : Unit {
    size_t images, words, places;  // endless: more than there are images
    int64_t clocks, each;
    explicit Source(const Params& p)
        : images(p[0]), words(p[1]), places(p[2]), clocks(p.size() > 3 ? p[3] : 0),
          each(p.size() > 3 ? p[4] * p[1] : 1) {}
    Clock due(size_t word) const { return int64_t(word) * clocks / each; }
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
            for (size_t k = 0; k < words; ++k, clock = 0) o.offer(later(clock, due(o.offered())));
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
                o.offer(later(i.at[(packet + 1) * count - 1] + 1, flags.at[packet]));
                for (size_t k = 0; k < count; ++k) o.offer(0);
            }
            const size_t image = i.taken / count;
            if (i.has()) {
                // Two banks: one is free again behind the last word of its packet.
                const size_t last = image >= 2 ? (image - 1) * (count + 1) - 1 : 0;
                if (image < 2 || o.gone(last)) i.take(image < 2 ? Clock(0) : o.at[last] + 1);
            }
            if (before == i.taken + flags.taken + o.offered()) return;
        }
    }
};

// Takes every beat at once. Parameters: beats of a packet, then of the clocks an image above which
// the run stops: their numerator (0: never), denominator, from which packet on, clocks of grace.
struct Sink : Unit {
    int64_t packet, limit, images, first, grace, packets = 0;
    int64_t since = 0;
    explicit Sink(const Params& p)
        : packet(p[0]), limit(p[1]), images(p.size() > 2 ? p[2] : 1),
          first(p.size() > 3 ? p[3] : 2), grace(p.size() > 4 ? p[4] : 0) {}
    void run() override {
        Channel& i = *in[0];
        while (i.has()) {
            const int64_t clock = time_of(i.take(0));
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

}  // namespace
