// What a launcher needs beside the arguments of its operation: where to launch, what the device can
// do, and memory that lives as long as the call. Host code; context.cu is this for a device,
// emulation/context.cpp for the emulation.
#pragma once
#include <cstddef>
#include <cstdint>

#include "error_record.h"

struct CUstream_st;  // cudaStream_t points to one

namespace plainformer::cuda {

using Stream = CUstream_st*;

// Gives memory of the device, aligned to 256 bytes, that lives until the call has been enqueued,
// and goes to nobody before what the call enqueued is done.
class Memory {
  public:
    virtual void* take(size_t bytes) = 0;

  protected:
    ~Memory() = default;
};

class Context {
  public:
    // Makes `device` the current one for its lifetime.
    Context(int device, Stream stream, Memory& memory);
    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    Stream stream() const { return stream_; }
    int device() const { return device_; }
    // 10 major + minor: 80 for an A100, 90 for an H100. Code for sm_90a runs on 90 alone.
    int capability() const;
    int multiprocessors() const;
    // Where kernels report wrong numbers: memory of the device.
    ErrorRecord* errors() const;

    // `count` elements to work in, not initialized.
    template <typename T>
    T* workspace(int64_t count) {
        return static_cast<T*>(memory_.take(sizeof(T) * static_cast<size_t>(count)));
    }
    // A copy on the device of what may change as soon as this returns.
    template <typename T>
    T* upload(const T* host, int64_t count) {
        T* const copy = workspace<T>(count);
        copy_to_device(copy, host, sizeof(T) * static_cast<size_t>(count));
        return copy;
    }
    // Waits for the stream.
    template <typename T>
    void download(T* host, const T* device, int64_t count) {
        copy_to_host(host, device, sizeof(T) * static_cast<size_t>(count));
    }
    void fill_zero(void* device, size_t bytes);
    void synchronize();

  private:
    void copy_to_device(void* to, const void* from, size_t bytes);
    void copy_to_host(void* to, const void* from, size_t bytes);

    const int device_;
    const Stream stream_;
    Memory& memory_;
    int previous_device_;
};

int device_count();
// Name and total memory in bytes.
void describe_device(int device, char (&name)[256], size_t* memory);

// The first error that kernels reported on this device, which is forgotten then; false: none.
// Waits for the device.
bool take_error(int device, ErrorRecord* error);

}  // namespace plainformer::cuda
