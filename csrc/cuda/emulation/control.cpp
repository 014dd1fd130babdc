#include "control.h"

#include <cstdlib>
#include <mutex>
#include <utility>

#include "settings.h"

namespace plainformer::emulation {

// ---- settings ----------------------------------------------------------------------------------

static long number(const std::string& text, const char* what, long least, long most) {
    char* end;
    const long value = std::strtol(text.c_str(), &end, 0);
    if (text.empty() || *end || value < least || value > most)
        throw Error(std::string(what) + ": got '" + text + "', expected a number from " +
                    std::to_string(least) + " to " + std::to_string(most));
    return value;
}

static void parse_order(Settings& s, const std::string& order) {
    s.seed = 0;
    if (order == "fifo") {
        s.order = Order::fifo;
    } else if (order == "lifo") {
        s.order = Order::lifo;
    } else {
        s.seed = static_cast<uint64_t>(number(order, "order (fifo, lifo or a seed)", 0, 1L << 40));
        s.order = Order::seeded;
    }
}

static Settings from_environment() {
    Settings s;
    const auto given = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    if (const auto v = given("EMU_ORDER"); !v.empty()) parse_order(s, v);
    if (const auto v = given("EMU_POISON"); !v.empty())
        s.poison = static_cast<uint8_t>(number(v, "EMU_POISON", 0, 255));
    if (const auto v = given("EMU_THREADS"); !v.empty())
        s.threads = static_cast<int>(number(v, "EMU_THREADS", 1, 256));
    if (const auto v = given("EMU_CAPABILITY"); !v.empty())
        s.capability = static_cast<int>(number(v, "EMU_CAPABILITY", 80, 121));
    return s;
}

static Settings& changeable() {
    static Settings s = from_environment();
    return s;
}
const Settings& settings() { return changeable(); }

void set_order(const std::string& order) { parse_order(changeable(), order); }
std::string order() {
    const Settings& s = settings();
    if (s.order == Order::seeded) return std::to_string(s.seed);
    return s.order == Order::fifo ? "fifo" : "lifo";
}

void set_poison(int byte) {
    changeable().poison = static_cast<uint8_t>(number(std::to_string(byte), "poison", 0, 255));
}
int poison() { return settings().poison; }

void set_threads(int count) {
    changeable().threads = static_cast<int>(number(std::to_string(count), "threads", 1, 256));
}
int threads() { return settings().threads; }

void set_capability(int capability) {
    changeable().capability =
        static_cast<int>(number(std::to_string(capability), "capability", 80, 121));
}
int capability() { return settings().capability; }

// ---- statistics --------------------------------------------------------------------------------

static std::mutex stats_mutex;
static Stats total;

void count(Runner& r) {
    const std::lock_guard lock(stats_mutex);
    total.blocks += std::exchange(r.blocks_run, 0);
    total.switches += std::exchange(r.switches, 0);
    total.matrix_phases += std::exchange(r.matrix_phases, 0);
    total.matrix_replays += std::exchange(r.matrix_replays, 0);
}

void count_launch() {
    const std::lock_guard lock(stats_mutex);
    ++total.launches;
}

Stats stats() {
    const std::lock_guard lock(stats_mutex);
    return total;
}

void reset_stats() {
    const std::lock_guard lock(stats_mutex);
    total = {};
}

}  // namespace plainformer::emulation
