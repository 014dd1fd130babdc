#include "runtime/environment.h"

#include <cstdlib>

#include "runtime/errors.h"

namespace plainformer {
namespace {

constexpr int64_t largest = int64_t{1} << 62;

// Digits from the start of `text`, which they are cut off; nothing without digits or if too large.
std::optional<int64_t> take_digits(std::string& text) {
    size_t used = 0;
    int64_t value = 0;
    for (; used < text.size() && text[used] >= '0' && text[used] <= '9'; ++used) {
        if (value > largest / 10 - 1) return std::nullopt;
        value = value * 10 + (text[used] - '0');
    }
    if (used == 0) return std::nullopt;
    text.erase(0, used);
    return value;
}

[[noreturn]] void reject(const char* name, const std::string& got, const char* expected) {
    throw ConfigError(std::string(name) + ": got \"" + got + "\", expected " + expected +
                      "; change or unset the environment variable");
}

// Power of 1024 that a suffix stands for; -1 if it is none.
int shift_of(const std::string& suffix) {
    if (suffix.empty()) return 0;
    const size_t place = std::string("KkMmGgTt").find(suffix);
    return suffix.size() == 1 && place != std::string::npos ? 10 * (1 + int(place) / 2) : -1;
}

}  // namespace

std::optional<std::string> environment_text(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    const std::string text(value);
    const size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string::npos) return std::nullopt;
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::optional<int64_t> environment_count(const char* name) {
    const std::optional<std::string> text = environment_text(name);
    if (!text) return std::nullopt;
    std::string rest = *text;
    const std::optional<int64_t> count = take_digits(rest);
    if (!count || *count < 1 || !rest.empty()) reject(name, *text, "a whole number >= 1");
    return count;
}

std::optional<int64_t> openmp_num_threads() {
    const std::optional<std::string> text = environment_text("OMP_NUM_THREADS");
    if (!text) return std::nullopt;
    std::string rest = *text;
    const std::optional<int64_t> count = take_digits(rest);
    const bool well_formed = rest.empty() || rest[0] == ',' || rest[0] == ' ';
    return count && *count >= 1 && well_formed ? count : std::nullopt;
}

std::optional<int64_t> environment_bytes(const char* name) {
    const std::optional<std::string> text = environment_text(name);
    if (!text) return std::nullopt;
    std::string suffix = *text;
    const std::optional<int64_t> number = take_digits(suffix);
    const int shift = number ? shift_of(suffix) : -1;
    if (shift < 0 || *number > largest >> shift) {
        reject(name, *text, "a number of bytes such as 0, 500M or 2G");
    }
    return *number << shift;
}

bool environment_flag(const char* name) {
    const std::string text = environment_text(name).value_or("0");
    if (text != "0" && text != "1") reject(name, text, "0 or 1");
    return text == "1";
}

}  // namespace plainformer
