// Free blocks wait in one list a size class, newest first (its pages are the likeliest to be in
// a cache), and in one list by age; beyond the limit the oldest go back to the system. A header
// of 64 bytes stands before each block. One mutex guards all: it is held for tens of nanoseconds,
// never while the system is asked for memory.
#include "runtime/allocator.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <new>

#include "runtime/cpu_info.h"     // memory_bytes
#include "runtime/environment.h"  // environment_bytes, environment_flag
#include "runtime/fork.h"         // at_fork
#include "runtime/pages.h"        // system_allocate, system_release

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace plainformer {
namespace {

// ---- size classes ----------------------------------------------------------------------------

// Blocks are multiples of 64 bytes. Up to 512 bytes each multiple is a class; above, eight
// classes a doubling (1/8 apart): close enough to waste little, few enough that sizes which vary
// from call to call meet each other's blocks.
constexpr size_t granule = 64;
constexpr int steps = 8;
constexpr size_t largest_block = size_t{1} << 46;
constexpr int class_count = steps * 38;  // 64 * 8 * 2^37 = 2^46

struct SizeClass {
    int index;
    size_t bytes;
};

SizeClass class_of(size_t bytes) {
    const size_t units = std::max<size_t>((bytes + granule - 1) / granule, 1);
    if (units <= steps) return {static_cast<int>(units) - 1, units * granule};
    const int shift = 60 - __builtin_clzll(units - 1);  // units - 1 in [8, 16) << shift
    const size_t step = (units - 1) >> shift;           // 8 ... 15
    return {steps * (shift + 1) + static_cast<int>(step) - steps, ((step + 1) << shift) * granule};
}

// ---- blocks and lists ------------------------------------------------------------------------

struct Block;

// Neighbors in a circular list, whose head is a Links of its own.
struct Links {
    Links* previous = this;
    Links* next = this;

    bool empty() const { return next == this; }
    void push_front(Links* node) {
        node->previous = this;
        node->next = next;
        next->previous = node;
        next = node;
    }
    void remove() {
        previous->next = next;
        next->previous = previous;
    }
};

// The header; the caller's bytes follow it.
struct alignas(granule) Block {
    Links same_class;  // first member: a Links* of a class list is a Block*
    Links by_age;
    size_t bytes;
    int32_t class_index;

    void* data() { return this + 1; }
    static Block* of(void* data) { return static_cast<Block*>(data) - 1; }
    static Block* of_class(Links* links) { return reinterpret_cast<Block*>(links); }
    static Block* of_age(Links* links) { return reinterpret_cast<Block*>(links - 1); }
};
static_assert(sizeof(Block) == granule, "blocks stay aligned behind their header");

// Names the size asked for; Python shows it as the text of a MemoryError.
class OutOfMemory : public std::bad_alloc {
  public:
    explicit OutOfMemory(size_t bytes) {
        std::snprintf(text_, sizeof text_, "cannot allocate %zu bytes (%.3g GiB)", bytes,
                      static_cast<double>(bytes) / (1 << 30));
    }
    const char* what() const noexcept override { return text_; }

  private:
    char text_[80];
};

Block* new_block(const SizeClass& size) {
    void* memory = system_allocate(sizeof(Block) + size.bytes);
    if (memory == nullptr) return nullptr;
    Block* block = new (memory) Block;
    block->bytes = size.bytes;
    block->class_index = size.index;
    return block;
}

void free_chain(Links& blocks) {
    while (!blocks.empty()) {
        Block* block = Block::of_age(blocks.next);
        block->by_age.remove();
        const size_t bytes = sizeof(Block) + block->bytes;
        ASAN_UNPOISON_MEMORY_REGION(block, bytes);
        system_release(block, bytes);
    }
}

// ---- the cache -------------------------------------------------------------------------------

class Cache {
  public:
    // A cached block of that class, or nullptr.
    Block* take(const SizeClass& size) {
        std::lock_guard<std::mutex> lock(mutex_);
        Links& blocks = classes_[size.index];
        if (blocks.empty()) return nullptr;
        Block* block = Block::of_class(blocks.next);
        forget(block);
        ++hits_;
        add_live(block->bytes);
        return block;
    }

    void count_miss(size_t bytes) {
        std::lock_guard<std::mutex> lock(mutex_);
        ++misses_;
        add_live(bytes);
    }

    // Keeps the block; moves the oldest ones beyond the limit to `surplus`.
    void keep(Block* block, Links& surplus) {
        std::lock_guard<std::mutex> lock(mutex_);
        live_ -= block->bytes;
        classes_[block->class_index].push_front(&block->same_class);
        by_age_.push_front(&block->by_age);
        cached_ += block->bytes;
        shrink(limit_, surplus);
    }

    // Moves all blocks to `surplus`; returns their bytes.
    int64_t empty_into(Links& surplus) {
        std::lock_guard<std::mutex> lock(mutex_);
        const int64_t bytes = cached_;
        shrink(0, surplus);
        return bytes;
    }

    MemoryStats stats() {
        std::lock_guard<std::mutex> lock(mutex_);
        return {live_, peak_, cached_, limit_, hits_, misses_};
    }

    void reset_peak() {
        std::lock_guard<std::mutex> lock(mutex_);
        peak_ = live_;
    }

    void set_limit(int64_t bytes) {
        std::lock_guard<std::mutex> lock(mutex_);
        limit_ = bytes;
    }

    // A fork finds the lists whole when no other thread is inside.
    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

  private:
    void add_live(int64_t bytes) {
        live_ += bytes;
        peak_ = std::max(peak_, live_);
    }

    void forget(Block* block) {
        block->same_class.remove();
        block->by_age.remove();
        cached_ -= block->bytes;
    }

    void shrink(int64_t limit, Links& surplus) {
        while (cached_ > limit) {
            Block* oldest = Block::of_age(by_age_.previous);
            forget(oldest);
            surplus.push_front(&oldest->by_age);
        }
    }

    std::mutex mutex_;
    Links classes_[class_count];
    Links by_age_;
    int64_t live_ = 0, peak_ = 0, cached_ = 0, limit_ = 0, hits_ = 0, misses_ = 0;
};

// Never destroyed: arrays outlive the module while the interpreter ends.
Cache& cache() {
    alignas(Cache) static unsigned char storage[sizeof(Cache)];
    static Cache* const instance = [] {
        Cache* made = new (storage) Cache;
        at_fork([] { cache().lock(); }, [] { cache().unlock(); }, [] { cache().unlock(); });
        return made;
    }();
    return *instance;
}

// ---- settings, read from the environment on first use ------------------------------------------

constexpr int64_t memory_share = 4;  // at most a quarter of the memory is kept by default

struct Settings {
    bool poison = environment_flag("PLAINFORMER_POISON");

    Settings() {
        const auto limit = environment_bytes("PLAINFORMER_CACHE_LIMIT");
        cache().set_limit(limit ? *limit : memory_bytes() / memory_share);
    }
};

const Settings& settings() {
    static const Settings read;  // throws ConfigError again at each call until it succeeds
    return read;
}

// The system's memory, after giving it back all of ours if it has none left.
Block* new_block_or_throw(const SizeClass& size, size_t asked) {
    Block* block = new_block(size);
    if (block == nullptr && trim_memory() > 0) block = new_block(size);
    if (block == nullptr) throw OutOfMemory(asked);
    cache().count_miss(size.bytes);
    return block;
}

}  // namespace

void* allocate(size_t bytes) {
    const bool poison = settings().poison;
    if (bytes > largest_block) throw OutOfMemory(bytes);
    const SizeClass size = class_of(bytes);
    Block* block = cache().take(size);
    if (block == nullptr) block = new_block_or_throw(size, bytes);
    ASAN_UNPOISON_MEMORY_REGION(block->data(), bytes);
    ASAN_POISON_MEMORY_REGION(static_cast<char*>(block->data()) + bytes, block->bytes - bytes);
    if (poison) std::memset(block->data(), 0xff, bytes);
    return block->data();
}

void release(void* data) {
    if (data == nullptr) return;
    Block* block = Block::of(data);
    ASAN_POISON_MEMORY_REGION(data, block->bytes);
    Links surplus;
    cache().keep(block, surplus);
    free_chain(surplus);
}

MemoryStats memory_stats() {
    settings();
    return cache().stats();
}

void reset_peak() { cache().reset_peak(); }

int64_t trim_memory() {
    Links surplus;
    const int64_t bytes = cache().empty_into(surplus);
    free_chain(surplus);
    return bytes;
}

}  // namespace plainformer
