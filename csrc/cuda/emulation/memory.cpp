// The memory that blocks run in: guarded, so that a stray access is a fault.
#include <signal.h>
#include <sys/mman.h>

#include <cstring>
#include <mutex>

#include "launch.h"
#if defined(__x86_64__) && defined(__linux__)
#include <ucontext.h>
#endif

namespace plainformer::emulation {

static char* reserve(size_t bytes, int protection) {
    void* const p =
        mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw Error("the emulation cannot reserve memory");
    return static_cast<char*>(p);
}

// Stacks grow down to a guard page. Tops are staggered: at equal offsets all would compete for
// the same few sets of the caches, and a switch would cost four times as much.
static void prepare_stacks(Runner& r, size_t fibers) {
    if (fibers <= r.stack_count) return;
    if (r.stacks) munmap(r.stacks, r.stack_count * stack_bytes);
    r.stacks = reserve(fibers * stack_bytes, PROT_READ | PROT_WRITE);
    r.stack_count = fibers;
    r.fibers = std::make_unique<Fiber[]>(fibers);
    constexpr size_t colours = 64, colour_bytes = 5 * 64;
    for (size_t i = 0; i < fibers; ++i) {
        char* const bottom = r.stacks + i * stack_bytes;
        mprotect(bottom, page_bytes, PROT_NONE);
        r.fibers[i].stack_bottom = bottom + page_bytes;
        r.fibers[i].stack_top = bottom + stack_bytes - i % colours * colour_bytes;
#ifdef PLAINFORMER_EMULATION_TSAN
        r.fibers[i].tsan = __tsan_create_fiber(0);
#endif
    }
}

static size_t rounded(size_t bytes) { return (bytes + 1023) & ~size_t{1023}; }

// Shared memory ends at a guard page, as closely as an alignment to 1024 bytes lets it.
static char* image(Runner& r, size_t block, int which, size_t shared_bytes) {
    char* const start = r.arena + block * arena_stride + which * (arena_stride / 2);
    return start + arena_bytes - rounded(shared_bytes);
}

static void open_image(char* base, size_t bytes) {
    char* const from =
        reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(base) & ~uintptr_t{page_bytes - 1});
    mprotect(from, static_cast<size_t>(base - from) + rounded(bytes), PROT_READ | PROT_WRITE);
}

static void prepare_arena(Runner& r, size_t blocks, size_t shared_bytes) {
    if (blocks <= r.arena_blocks && shared_bytes == r.arena_shared_bytes) return;
    if (r.arena) munmap(r.arena, r.arena_blocks * arena_stride);
    r.arena_blocks = std::max(blocks, r.arena_blocks);
    r.arena = reserve(r.arena_blocks * arena_stride, PROT_NONE);
    r.arena_shared_bytes = shared_bytes;
    for (size_t b = 0; b < r.arena_blocks; ++b)
        for (int which : {0, 1}) open_image(image(r, b, which, shared_bytes), shared_bytes);
}

void prepare_memory(Runner& r, size_t blocks, size_t fibers, size_t shared_bytes) {
    prepare_stacks(r, fibers);
    prepare_arena(r, blocks, shared_bytes);
    r.blocks.resize(blocks);
    for (size_t i = 0; i < blocks; ++i) {
        Block& b = r.blocks[i];
        b.bytes = shared_bytes;
        b.shared = image(r, i, 0, shared_bytes);
        b.proxy = image(r, i, 1, shared_bytes);
        b.proxy_used = false;
        allow(b.shared, rounded(shared_bytes));
        std::memset(b.shared, r.poison, rounded(shared_bytes));
        forbid(b.shared + shared_bytes, rounded(shared_bytes) - shared_bytes);
    }
}

Runner::~Runner() {
    if (stacks) munmap(stacks, stack_count * stack_bytes);
    if (arena) munmap(arena, arena_blocks * arena_stride);
}

// ---- the end of a block ------------------------------------------------------------------------

static std::string slack_error(const Block& b) {
    if (address_sanitizer) return "";
    for (size_t i = b.bytes; i < rounded(b.bytes); ++i)
        if (static_cast<uint8_t>(b.shared[i]) != runner->poison)
            return "shared memory was written past its end, at byte " + std::to_string(i) + " of " +
                   std::to_string(b.bytes);
    return "";
}

static std::string end_error(const Block& b) {
    for (const auto& [address, bar] : b.mbarriers)
        if (bar.bytes) {
            const std::string place =
                " by the mbarrier at shared offset " + std::to_string(address - shared_start);
            return bar.bytes < 0 ? "block ends with " + std::to_string(-bar.bytes) +
                                       " more bytes delivered than expected" + place
                                 : "block ends with " + std::to_string(bar.bytes) +
                                       " bytes still expected" + place;
        }
    for (const Warpgroup& w : b.warpgroups)
        if (!w.operations.empty())
            return where(w.operations.front().site) + ": block ends with this wgmma in flight";
    return slack_error(b);
}

void check_block_end(Block& b) {
    const std::string error = end_error(b);
    const uint3& i = b.index;
    if (!error.empty())
        stop(error + " [block " + std::to_string(i.x) + "," + std::to_string(i.y) + "," +
             std::to_string(i.z) + "]");
}

// ---- faults ------------------------------------------------------------------------------------

#if defined(__x86_64__) && defined(__linux__)
static struct sigaction previous_action;

static std::string describe(const char* address) {
    const Runner& r = *runner;
    std::string text = "access to bad address";
    for (const Block& b : r.blocks)
        if (address >= b.shared - arena_bytes && address < b.shared + arena_bytes)
            text = "shared memory out of bounds at byte " + std::to_string(address - b.shared) +
                   " of " + std::to_string(b.bytes);
    const Fiber& f = *r.current;
    if (address < f.stack_bottom && address >= f.stack_bottom - page_bytes)
        text = "stack overflow: a thread has " + std::to_string(stack_bytes >> 10) + " KiB";
    const uint3 &b = self->block, &t = self->thread;
    const auto triple = [](const uint3& i) {
        return std::to_string(i.x) + "," + std::to_string(i.y) + "," + std::to_string(i.z);
    };
    text += " [block " + triple(b) + " thread " + triple(t) + "]";
    return f.waits_for ? text + ", after " + f.waits_for + " at " + where(f.site) : text;
}

static thread_local const char* fault_address;

// Runs on the fiber's stack after the handler has returned; the fiber is given up.
static void end_launch() {
    stop(describe(fault_address));
    ignore_accesses();
    runner->current->done = true;
    switch_to(nullptr);
}

static void on_fault(int signal, siginfo_t* info, void* context) {
    if (!runner || !runner->current) {  // not a kernel's
        sigaction(signal, &previous_action, nullptr);
        return;
    }
    fault_address = static_cast<const char*>(info->si_addr);
    auto* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    // A fresh frame below the red zone; after an overflow of the stack, at its top.
    Fiber& f = *runner->current;
    char* top = reinterpret_cast<char*>(registers[REG_RSP]) - 256;
    if (top < f.stack_bottom + 2 * page_bytes) top = f.stack_top;
    registers[REG_RSP] =
        static_cast<greg_t>((reinterpret_cast<uintptr_t>(top) & ~uintptr_t{15}) - 8);
    registers[REG_RIP] = reinterpret_cast<greg_t>(&end_launch);
}

static void use_signal_stack() {  // of this host thread: a fiber's may be what overflowed
    static thread_local std::unique_ptr<char[]> memory;
    constexpr size_t bytes = 64 << 10;
    if (memory) return;
    memory = std::make_unique<char[]>(bytes);
    stack_t stack{};
    stack.ss_sp = memory.get();
    stack.ss_size = bytes;
    sigaltstack(&stack, nullptr);
}

void catch_faults() {
    if (address_sanitizer || thread_sanitizer) return;
    use_signal_stack();
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    struct sigaction now{};
    sigaction(SIGSEGV, nullptr, &now);
    if (now.sa_flags & SA_SIGINFO && now.sa_sigaction == on_fault) return;
    previous_action = now;
    struct sigaction action{};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, nullptr);
}
#else
void catch_faults() {}
#endif

}  // namespace plainformer::emulation
