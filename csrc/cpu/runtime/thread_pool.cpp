// A pool whose caller never waits for a worker that has not started.
//
// A parallel loop is published in a slot; the caller and any worker that happens to be awake take
// chunks from the slot's counter. A caller whose workers sleep, or are kept from a processor by
// other processes, does all chunks itself: a busy machine costs a share of the speed, not a
// scheduler quantum a call. OpenMP has a barrier there, and hangs or aborts in a forked child.
#include "runtime/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <thread>

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#endif

#include "runtime/cpu_info.h"    // default_threads, available_processors
#include "runtime/errors.h"      // ConfigError
#include "runtime/float_mode.h"  // DefaultFloatMode
#include "runtime/fork.h"        // at_fork
#include "runtime/parking.h"     // park_while, unpark

namespace plainformer {
namespace {

using Clock = std::chrono::steady_clock;
using Body = void (*)(void* context, int64_t chunk);

constexpr int slot_count = 64;  // callers that share the workers; the 65th runs alone
constexpr auto longest_spin = std::chrono::microseconds(20);
enum SlotState : uint32_t { running, caller_sleeps, ended };

thread_local bool inside_chunk = false;  // true for good in workers
thread_local int64_t this_thread_index = 0;
thread_local int64_t threads_of_call = 0;  // 0: outside a SteadyThreads

void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Spins until ready() or for `duration`; returns ready().
template <typename Ready>
bool spin_until(const Ready& ready, Clock::duration duration) {
    const Clock::time_point deadline = Clock::now() + duration;
    do {
        for (int i = 0; i < 16; ++i) {  // a clock reading costs as much as a few pauses
            if (ready()) return true;
            relax();
        }
    } while (Clock::now() < deadline);
    return ready();
}

struct Failure {
    std::atomic<bool> raised{false};
    std::exception_ptr first;

    void record() noexcept {
        if (!raised.exchange(true)) first = std::current_exception();
    }
};

// One parallel loop. Whoever takes `unclaimed` from r > 0 to r - k owns the k chunks from
// `chunks - r` on, as far as there are. The loop cannot end before they do, so the plain fields are
// read only by owners, and a late worker that meets a closed or reused slot either gets nothing or
// a chunk of the new loop.
struct alignas(64) Slot {
    std::atomic<int64_t> unclaimed{0};
    std::atomic<int64_t> unfinished{0};
    std::atomic<int64_t> seats{0};  // workers that may still join
    std::atomic<uint32_t> state{running};
    int64_t chunks = 0;
    Body body = nullptr;
    void* context = nullptr;
    Failure* failure = nullptr;

    void run(int64_t chunk) {
        if (failure->raised.load(std::memory_order_relaxed)) return;
        try {
            body(context, chunk);
        } catch (...) {
            failure->record();
        }
    }
};

struct Pool {
    Slot slots[slot_count];
    alignas(64) std::atomic<uint64_t> open{0};      // bit s: slot s may have chunks to claim
    alignas(64) std::atomic<uint64_t> taken{0};     // bit s: slot s belongs to a caller
    alignas(64) std::atomic<uint32_t> sleepers{0};  // workers parked, or about to, on `wakeups`
    std::atomic<uint32_t> wakeups{0};
    alignas(64) std::atomic<uint32_t> limit{0};  // threads, the caller included; 0: not yet known
    std::atomic<uint32_t> started{0};
    std::atomic<bool> exhausted{false};  // the system refused another thread
    std::atomic_flag starting = ATOMIC_FLAG_INIT;
};

Pool pool;  // trivially destructible: workers and late callers may use it while the process ends

// ---- taking part in a loop -------------------------------------------------------------------

bool many_threads() { return pool.limit.load(std::memory_order_relaxed) >= 16; }

// How many chunks to claim of those left: one, but where very many threads would all wait for the
// counter's cache line, a small part of their shares, so that the last chunks still even out.
int64_t claim_of(int64_t left) {
    if (!many_threads()) return 1;
    const int64_t part = left / (8 * int64_t{pool.limit.load(std::memory_order_relaxed)});
    return std::max<int64_t>(1, std::min<int64_t>(part, 16));
}

// Runs chunks of slot s while there are any. True if the caller of this function ended the loop.
bool take_part(int s) {
    Slot& slot = pool.slots[s];
    int64_t mine = 0;
    for (;;) {
        const int64_t seen = slot.unclaimed.load(std::memory_order_relaxed);
        if (seen <= 0) break;
        const int64_t claimed = claim_of(seen);
        const int64_t left = slot.unclaimed.fetch_sub(claimed, std::memory_order_acq_rel);
        if (left <= 0) break;
        if (left <= claimed) pool.open.fetch_and(~(uint64_t{1} << s));  // let idle workers park
        const int64_t end = std::max<int64_t>(0, left - claimed);
        for (int64_t n = left; n > end; --n) slot.run(slot.chunks - n);
        mine += left - end;
    }
    return mine > 0 && slot.unfinished.fetch_sub(mine, std::memory_order_acq_rel) == mine;
}

// A loop has a seat for each thread of its call, less the caller. A worker keeps its seat while
// there are chunks; whoever takes the last one, or finds none, sends the others elsewhere.
bool take_seat(int s) {
    const int64_t left = pool.slots[s].seats.fetch_sub(1, std::memory_order_acq_rel);
    if (left <= 1) pool.open.fetch_and(~(uint64_t{1} << s));
    return left > 0;
}

// Wakes up to so many workers: each wakes as many more while chunks are left, so a caller with many
// workers pays for one system call and a short loop disturbs few.
int wake_width() { return many_threads() ? 4 : 2; }

void wake_workers(int count) {
    if (pool.sleepers.load() == 0) return;
    pool.wakeups.fetch_add(1);
    unpark(pool.wakeups, count);
}

// ---- workers ---------------------------------------------------------------------------------

// Helps one open loop; workers begin their search at different slots.
void help(int64_t index) {
    const uint64_t open = pool.open.load(std::memory_order_acquire);
    if (open == 0) return;
    const uint64_t ahead = open & (~uint64_t{0} << (index % slot_count));
    const int s = __builtin_ctzll(ahead != 0 ? ahead : open);
    Slot& slot = pool.slots[s];
    if (take_seat(s) && take_part(s) && slot.state.exchange(ended) == caller_sleeps)
        unpark(slot.state, 1);
}

bool surplus(int64_t index) { return index >= pool.limit.load(std::memory_order_relaxed); }

// Parks until there may be work. The order (count as a sleeper, then look for work) pairs with
// the caller's (publish work, then look for sleepers): one of the two sees the other.
void sleep_until_woken(int64_t index) {
    const uint32_t seen = pool.wakeups.load();
    pool.sleepers.fetch_add(1);
    if (pool.open.load() == 0 && !surplus(index)) park_while(pool.wakeups, seen);
    pool.sleepers.fetch_sub(1);
    if (pool.open.load() != 0) wake_workers(wake_width());
}

// A worker that set_num_threads made surplus waits here until the limit changes.
void sleep_while_surplus(int64_t index) {
    const uint32_t limit = pool.limit.load();
    if (index >= limit) park_while(pool.limit, limit);
}

// Spinning steals from the other threads where there are more threads than processors.
Clock::duration spin_time() {
    const bool crowded = pool.limit.load(std::memory_order_relaxed) > available_processors();
    return crowded ? Clock::duration::zero() : Clock::duration(longest_spin);
}

[[noreturn]] void work(int64_t index) {
    inside_chunk = true;
    this_thread_index = index;
    set_float_mode(default_float_mode);
    const auto busy = [=] { return pool.open.load(std::memory_order_relaxed) != 0; };
    for (;;) {
        if (surplus(index)) {
            sleep_while_surplus(index);
        } else if (spin_until(busy, spin_time())) {
            help(index);
        } else {
            sleep_until_woken(index);
        }
    }
}

// Signals are the business of the threads that Python knows. Windows has none for threads.
#if defined(_WIN32)
struct SignalsBlocked {
    SignalsBlocked() {}
};
#else
class SignalsBlocked {
  public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &saved_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }

  private:
    sigset_t saved_;
};
#endif

bool start_worker(int64_t index) {
    try {
        std::thread worker(work, index);
#if defined(__linux__)
        pthread_setname_np(worker.native_handle(), "plainformer");
#endif
        worker.detach();
        return true;
    } catch (const std::system_error&) {  // process limit: the threads there are do the work
        return false;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void start_workers(uint32_t wanted) {
    if (pool.started.load(std::memory_order_acquire) >= wanted || pool.exhausted.load()) return;
    if (pool.starting.test_and_set(std::memory_order_acquire)) return;  // another caller does it
    SignalsBlocked blocked;
    while (pool.started.load() < wanted && !pool.exhausted.load()) {
        if (start_worker(pool.started.load() + 1)) {
            pool.started.fetch_add(1);
        } else {
            pool.exhausted.store(true);
        }
    }
    pool.starting.clear(std::memory_order_release);
}

// The child of a fork has the caller only: forget workers and loops, start anew on first use.
void reset_after_fork() {
    const uint32_t limit = pool.limit.load();
    new (&pool) Pool;
    pool.limit.store(limit);
    reset_parking_after_fork();
}

const bool registered = (at_fork(nullptr, nullptr, reset_after_fork), true);

// ---- callers ---------------------------------------------------------------------------------

class InsideChunk {
  public:
    InsideChunk() { inside_chunk = true; }
    ~InsideChunk() { inside_chunk = before_; }

  private:
    const bool before_ = inside_chunk;
};

// A chunk is a chunk here too: what runs inside it is serial, as it would be on a worker.
void run_inline(int64_t chunks, Body body, void* context) {
    DefaultFloatMode mode;
    InsideChunk inside;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) body(context, chunk);
}

// Index of a slot that is now the caller's, or -1 if all are taken.
int take_slot() {
    uint64_t taken = pool.taken.load(std::memory_order_relaxed);
    while (~taken != 0) {
        const int s = __builtin_ctzll(~taken);
        if (pool.taken.compare_exchange_weak(taken, taken | uint64_t{1} << s)) return s;
    }
    return -1;
}

// The count comes before the bit of `open`, so that a worker that sees the bit sees chunks. A late
// worker may meet the slot between the two: if it claims the last chunk there, the bit it clears is
// not set yet, and is taken back here.
void publish(int s, int64_t threads, int64_t chunks, Body body, void* context, Failure* failure) {
    const uint64_t bit = uint64_t{1} << s;
    Slot& slot = pool.slots[s];
    slot.chunks = chunks;
    slot.body = body;
    slot.context = context;
    slot.failure = failure;
    slot.unfinished.store(chunks, std::memory_order_relaxed);
    slot.seats.store(threads - 1, std::memory_order_relaxed);
    slot.state.store(running, std::memory_order_relaxed);
    slot.unclaimed.store(chunks);
    pool.open.fetch_or(bit);
    if (slot.unclaimed.load() <= 0) pool.open.fetch_and(~bit);
    wake_workers(static_cast<int>(std::min<int64_t>(chunks - 1, wake_width())));
}

// Waits for workers in the middle of their last chunks. Sleeping hands them this processor if
// they have lost theirs.
void await_done(Slot& slot) {
    const auto done = [&] { return slot.state.load(std::memory_order_acquire) == ended; };
    if (spin_until(done, spin_time())) return;
    uint32_t expected = running;
    slot.state.compare_exchange_strong(expected, caller_sleeps);
    while (!done()) park_while(slot.state, caller_sleeps);
}

void run_shared(int s, int64_t threads, int64_t chunks, Body body, void* context) {
    Failure failure;
    {
        DefaultFloatMode mode;
        InsideChunk inside;
        publish(s, threads, chunks, body, context, &failure);
        if (!take_part(s)) await_done(pool.slots[s]);
    }
    pool.taken.fetch_and(~(uint64_t{1} << s));
    if (failure.raised.load()) std::rethrow_exception(failure.first);
}

}  // namespace

void run_chunks(int64_t chunks, Body body, void* context) {
    if (chunks <= 1 || inside_chunk) return run_inline(chunks, body, context);
    const int64_t threads = threads_of_loops();
    const int s = threads > 1 ? take_slot() : -1;
    if (s < 0) return run_inline(chunks, body, context);
    start_workers(static_cast<uint32_t>(threads) - 1);
    run_shared(s, threads, chunks, body, context);
}

int64_t threads_of_loops() {
    if (inside_chunk) return 1;
    return threads_of_call != 0 ? threads_of_call : num_threads();
}

SteadyThreads::SteadyThreads() : before_(threads_of_call) {
    if (before_ == 0) threads_of_call = num_threads();
}
SteadyThreads::~SteadyThreads() { threads_of_call = before_; }

int64_t num_threads() {
    uint32_t limit = pool.limit.load(std::memory_order_relaxed);
    if (limit != 0) return limit;
    const auto wanted = static_cast<uint32_t>(default_threads().count);  // may throw ConfigError
    return pool.limit.compare_exchange_strong(limit, wanted) ? wanted : limit;
}

void set_num_threads(int64_t count) {
    if (count < 1 || count > max_threads) {
        throw ConfigError("num_threads: got " + std::to_string(count) + ", expected 1 to " +
                          std::to_string(max_threads));
    }
    pool.limit.store(static_cast<uint32_t>(count));
    pool.exhausted.store(false);
    unpark(pool.limit, static_cast<int>(max_threads));
    pool.wakeups.fetch_add(1);  // the newly surplus leave the queue of those that can help
    unpark(pool.wakeups, static_cast<int>(max_threads));
}

int64_t num_workers() { return pool.started.load(); }

int64_t thread_index() { return this_thread_index; }

}  // namespace plainformer
