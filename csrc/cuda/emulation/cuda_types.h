// CUDA's vector types and handles for the host compiler.
#pragma once

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define PF_VECTOR_2(T, name)             \
    struct alignas(2 * sizeof(T)) name { \
        T x, y;                          \
    };                                   \
    inline constexpr name make_##name(T x, T y) { return {x, y}; }
#define PF_VECTOR_4(T, name)                                  \
    struct alignas(sizeof(T) < 8 ? 4 * sizeof(T) : 16) name { \
        T x, y, z, w;                                         \
    };                                                        \
    inline constexpr name make_##name(T x, T y, T z, T w) { return {x, y, z, w}; }
PF_VECTOR_2(float, float2)
PF_VECTOR_2(double, double2)
PF_VECTOR_2(int, int2)
PF_VECTOR_2(unsigned, uint2)
PF_VECTOR_2(short, short2)
PF_VECTOR_2(unsigned short, ushort2)
PF_VECTOR_2(long long, longlong2)
PF_VECTOR_2(unsigned long long, ulonglong2)
PF_VECTOR_4(float, float4)
PF_VECTOR_4(int, int4)
PF_VECTOR_4(unsigned, uint4)
PF_VECTOR_4(unsigned char, uchar4)
PF_VECTOR_4(short, short4)
PF_VECTOR_4(unsigned short, ushort4)
#undef PF_VECTOR_2
#undef PF_VECTOR_4

struct float3 {
    float x, y, z;
};
inline constexpr float3 make_float3(float x, float y, float z) { return {x, y, z}; }

using cudaStream_t = struct CUstream_st*;  // launches are done when they return
