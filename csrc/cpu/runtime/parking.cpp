#include "runtime/parking.h"

#if defined(__linux__) && !defined(PLAINFORMER_NO_FUTEX)

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace plainformer {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t), "a futex is a plain 32-bit word");

void park_while(std::atomic<uint32_t>& word, uint32_t value) {
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void unpark(std::atomic<uint32_t>& word, int count) {
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

void reset_parking_after_fork() {}

}  // namespace plainformer

#else

#include <condition_variable>
#include <mutex>
#include <new>

namespace plainformer {
namespace {

// One place for all words: whoever wakes up looks whether its own word changed.
struct ParkingPlace {
    std::mutex mutex;
    std::condition_variable changed;
};

// Never destroyed: workers sleep here while the process ends.
alignas(ParkingPlace) unsigned char storage[sizeof(ParkingPlace)];
ParkingPlace* place = new (storage) ParkingPlace;

}  // namespace

void park_while(std::atomic<uint32_t>& word, uint32_t value) {
    std::unique_lock<std::mutex> lock(place->mutex);
    if (word.load() == value) place->changed.wait(lock);
}

void unpark(std::atomic<uint32_t>&, int) {
    std::lock_guard<std::mutex> lock(place->mutex);
    place->changed.notify_all();
}

void reset_parking_after_fork() { place = new (storage) ParkingPlace; }

}  // namespace plainformer

#endif
