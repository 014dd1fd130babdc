#include "context.h"

#include <cuda_runtime_api.h>

#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace plainformer::cuda {

namespace {

void check(cudaError_t error, const char* what) {
    if (error != cudaSuccess)
        throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
}

struct DeviceFacts {
    int capability = 0, multiprocessors = 0;
    ErrorRecord* errors = nullptr;
};

int attribute(cudaDeviceAttr name, int device) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, name, device), "cudaDeviceGetAttribute");
    return value;
}

DeviceFacts look_at(int device) {
    DeviceFacts facts;
    facts.capability = 10 * attribute(cudaDevAttrComputeCapabilityMajor, device) +
                       attribute(cudaDevAttrComputeCapabilityMinor, device);
    facts.multiprocessors = attribute(cudaDevAttrMultiProcessorCount, device);
    check(cudaMalloc(reinterpret_cast<void**>(&facts.errors), sizeof(ErrorRecord)), "cudaMalloc");
    check(cudaMemset(facts.errors, 0, sizeof(ErrorRecord)), "cudaMemset");
    return facts;
}

// Of the device that is current.
const DeviceFacts& facts_of(int device) {
    static std::mutex mutex;
    static std::vector<DeviceFacts> all;
    const std::lock_guard<std::mutex> lock(mutex);
    if (all.empty()) {
        int count = 0;
        check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
        all.resize(static_cast<size_t>(count));
    }
    DeviceFacts& facts = all.at(static_cast<size_t>(device));
    if (!facts.errors) facts = look_at(device);
    return facts;
}

}  // namespace

Context::Context(int device, Stream stream, Memory& memory)
    : device_(device), stream_(stream), memory_(memory) {
    check(cudaGetDevice(&previous_device_), "cudaGetDevice");
    if (device != previous_device_) check(cudaSetDevice(device), "cudaSetDevice");
}

Context::~Context() {
    if (device_ != previous_device_) (void)cudaSetDevice(previous_device_);
}

int Context::capability() const { return facts_of(device_).capability; }
int Context::multiprocessors() const { return facts_of(device_).multiprocessors; }
ErrorRecord* Context::errors() const { return facts_of(device_).errors; }

void Context::fill_zero(void* device, size_t bytes) {
    check(cudaMemsetAsync(device, 0, bytes, stream_), "cudaMemsetAsync");
}

void Context::synchronize() { check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

// From pageable memory: the driver has copied it before this returns.
void Context::copy_to_device(void* to, const void* from, size_t bytes) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_), "cudaMemcpyAsync");
}

void Context::copy_to_host(void* to, const void* from, size_t bytes) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "cudaMemcpyAsync");
    synchronize();
}

int device_count() {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver) return 0;
    check(error, "cudaGetDeviceCount");
    return count;
}

void describe_device(int device, char (&name)[256], size_t* memory) {
    cudaDeviceProp facts;
    check(cudaGetDeviceProperties(&facts, device), "cudaGetDeviceProperties");
    static_assert(sizeof facts.name == sizeof name);
    std::memcpy(name, facts.name, sizeof name);
    *memory = facts.totalGlobalMem;
}

bool take_error(int device, ErrorRecord* error) {
    struct : Memory {
        void* take(size_t) override { return nullptr; }
    } none;
    Context context(device, nullptr, none);
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    context.download(error, context.errors(), 1);
    if (!error->taken) return false;
    context.fill_zero(context.errors(), sizeof(ErrorRecord));
    context.synchronize();
    return true;
}

}  // namespace plainformer::cuda
