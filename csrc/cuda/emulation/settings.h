// The settings of control.h as the runtime reads them.
#pragma once
#include "control.h"
#include "scheduler.h"

namespace plainformer::emulation {

struct Settings {
    Order order = Order::fifo;
    uint64_t seed = 0;
    uint8_t poison = 0xff;
    int threads = 1, capability = 90;
};
const Settings& settings();

// Adds the runner's counts to the statistics and clears them.
void count(Runner& r);
void count_launch();

}  // namespace plainformer::emulation
