#include "unlocked.h"

#include <chrono>
#include <thread>

namespace plainformer {

Unlocked::~Unlocked() {
    try {
        PyEval_RestoreThread(thread_);
    } catch (...) {  // pthread_exit unwinds: there is no other exception that C throws
        for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
}

}  // namespace plainformer
