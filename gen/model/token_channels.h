// Channels with the clocks of their beats, and the queue of units that may go on.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

#ifndef STERNA_NEEDS
using Clock = int64_t;
inline int64_t time_of(Clock clock) { return clock; }
inline void mark(Clock&, int64_t, size_t) {}
inline Clock both(Clock a, Clock b) { return std::max(a, b); }
#else
// With what must have happened before: of some forks the last beat that they offered, or -1.
// Slower, and for counts of beats only.
constexpr int64_t FORKS = 7;
struct Clock {
    typedef int64_t Numbers __attribute__((vector_size(64)));
    Numbers of;  // the clock, then the forks
    Clock(int64_t clock = 0) : of{clock, -1, -1, -1, -1, -1, -1, -1} {}
    Clock operator+(int64_t clocks) const {
        Clock sum = *this;
        sum.of[0] += clocks;
        return sum;
    }
};
inline int64_t time_of(const Clock& clock) { return clock.of[0]; }
inline void mark(Clock& clock, int64_t fork, size_t beat) {
    if (fork >= 0 && fork < FORKS) clock.of[fork + 1] = int64_t(beat);
}
inline Clock both(Clock a, const Clock& b) {
    a.of = a.of > b.of ? a.of : b.of;
    return a;
}
#endif
template <class... Clocks>
inline Clock later(const Clock& a, const Clocks&... others) {
    Clock clock = a;
    for (const Clock& other : {Clock(others)...}) clock = both(clock, other);
    return clock;
}
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
    Clock last() const { return taken ? at[taken - 1] : Clock(-1); }
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
        clock = later(clock, room, last() + 1);
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
    virtual int64_t doubtful() const { return -1; }
    virtual void allow() {}
};

}  // namespace
