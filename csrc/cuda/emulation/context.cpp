// context.h in the emulation: the device is this process, and a stream is done at once.
#include "context.h"

#include <cstring>

#include "control.h"

namespace plainformer::cuda {

namespace {
ErrorRecord record;
}

Context::Context(int device, Stream stream, Memory& memory)
    : device_(device), stream_(stream), memory_(memory), previous_device_(device) {}

Context::~Context() {}

int Context::capability() const { return emulation::capability(); }
int Context::multiprocessors() const { return 4; }  // few: persistent kernels take several tiles
ErrorRecord* Context::errors() const { return &record; }

void Context::fill_zero(void* device, size_t bytes) { std::memset(device, 0, bytes); }
void Context::synchronize() {}
void Context::copy_to_device(void* to, const void* from, size_t bytes) {
    std::memcpy(to, from, bytes);
}
void Context::copy_to_host(void* to, const void* from, size_t bytes) {
    std::memcpy(to, from, bytes);
}

int device_count() { return 1; }

void describe_device(int, char (&name)[256], size_t* memory) {
    std::strcpy(name, "emulation");
    *memory = 0;
}

bool take_error(int, ErrorRecord* error) {
    *error = record;
    record = {};
    return error->taken != 0;
}

}  // namespace plainformer::cuda
