// A core: its line buffer and the walk over it.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "token_channels.h"

namespace {

// A line buffer and the walker that reads it: one visit after another, each of which makes a fixed
// number of tokens a fixed number of clocks after its start. A visit starts when the rows of its
// window are there, every input but the first has a token (a visit of a queue that the join needs),
// and a credit is left; credits come back a while after the last token of an older visit was taken.
// Parameters: beats of a row, rows of the map, rows of the kernel, stride, padding above, rows out,
// row slots, visits of an output row, items of a visit, clocks between visits, results, credits,
// clocks until a credit is back, clocks until a row that was left is free, the clock of each token
// after the start.
// With results > 0 rows add up: only so many visits at the end of an image's last row make tokens,
// and what takes no credit and makes none lasts no longer than its items.
struct Core : Unit {
    int64_t row_beats, height, kernel, stride, top, out_height, slots, visits, items, pitch;
    int64_t results, credits, back, freeing;
    Params delays;
    std::vector<Clock> rows_in, rows_out;  // the clock of the last beat, of the last item of a row
    int64_t row = 0, visit = 0;            // the output row walked, the visit in it
    size_t visited = 0;
    Clock next = 0;
    int64_t beat = 0, ended = 0;  // ended: output rows gone by the input's clock
    bool dips, allowed = false;   // dips: the walk goes on in the next image above the row it was at
    int64_t doubt = -1;

    explicit Core(const Params& p)
        : row_beats(p[0]), height(p[1]), kernel(p[2]), stride(p[3]), top(p[4]), out_height(p[5]),
          slots(p[6]), visits(p[7]), items(p[8]), pitch(p[9]), results(p[10]), credits(p[11]),
          back(p[12]), freeing(p[13]), delays(p.begin() + 14, p.end()) {
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
            before = in[0]->taken + rows_out.size() + visited;
            accept();
            walk();
        } while (before != in[0]->taken + rows_out.size() + visited);
    }
    void accept() {
        Channel& i = *in[0];
        while (i.has()) {
            Clock room = 0;
            if (beat == 0 && !dips) {
                while (!free(ended)) ++ended;
                if (ended > int64_t(rows_out.size())) return;
                if (ended) room = rows_out[ended - 1] + freeing;
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
            const int64_t clock = time_of(later(i.at[i.taken], i.last() + 1, room));
            while (ended < known && time_of(rows_out[ended]) + freeing <= clock) ++ended;
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
    int64_t doubtful() const override { return doubt; }
    void allow() override { allowed = true; }

    void walk() {
        Channel& o = *out[0];
        for (;;) {
            Clock clock = next;
            if (visit == 0) {
                const int64_t image = row / out_height, at = row % out_height * stride - top;
                const int64_t need = image * height + std::min(at + kernel, height);
                if (need > int64_t(rows_in.size())) return;
                if (need > 0) clock = later(clock, rows_in[need - 1] + 1);
            }
            if (visited >= size_t(credits)) {
                const size_t last = (visited - credits + 1) * delays.size() - 1;
                if (!o.gone(last)) return;
                clock = later(clock, o.at[last] + back);
            }
            for (size_t k = 1; k < in.size(); ++k) {
                if (!in[k]->has()) return;
                clock = later(clock, in[k]->at[in[k]->taken]);
            }
            for (size_t k = 1; k < in.size(); ++k) in[k]->take(clock);
            const bool has = !results || (row % out_height == out_height - 1 && visit >= visits - results);
            if (has) {
                for (int64_t delay : delays) o.offer(clock + delay);
                ++visited;
            }
            next = clock + (has ? pitch : items);
            if (++visit == visits) {
                visit = 0, ++row;
                rows_out.push_back(clock + (items - 1));
            }
        }
    }
};

}  // namespace
