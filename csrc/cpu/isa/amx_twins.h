// The eight functions of amx.h in plain C++: what the manual's pseudo code says, one step after the
// other. Slow; for tests. A tile that is used on a thread where none is configured ends the
// program, as it does on the processor.
#pragma once

namespace plainformer::PF_ISA {

union TileData {
    uint8_t bytes[tile_side][tile_row_bytes];
    uint16_t halves[tile_side][tile_row_bytes / 2];
    float floats[tile_side][tile_side];
    int32_t ints[tile_side][tile_side];
};

struct TileState {
    bool configured = false;
    TileData data[tiles];
};
static thread_local TileState tile_state;

PF_INLINE TileData& tile(int t) {
    if (!tile_state.configured) __builtin_trap();
    return tile_state.data[t];
}

PF_INLINE void tile_configure() {
    tile_state.configured = whole_tiles.palette == 1;
    __builtin_memset(tile_state.data, 0, sizeof tile_state.data);
}
PF_INLINE void tile_release() { tile_state.configured = false; }

template <int t>
PF_INLINE void tile_zero() {
    __builtin_memset(&tile(t), 0, sizeof(TileData));
}

template <int t>
PF_INLINE void tile_load(const void* rows, int64_t stride) {
    TileData& to = tile(t);
    for (int r = 0; r < tile_side; ++r)
        __builtin_memcpy(to.bytes[r], static_cast<const char*>(rows) + r * stride, tile_row_bytes);
}
template <int t>
PF_INLINE void tile_load_once(const void* rows, int64_t stride) {
    tile_load<t>(rows, stride);
}
template <int t>
PF_INLINE void tile_store(void* rows, int64_t stride) {
    const TileData& from = tile(t);
    for (int r = 0; r < tile_side; ++r)
        __builtin_memcpy(static_cast<char*>(rows) + r * stride, from.bytes[r], tile_row_bytes);
}

// Subnormal numbers count as zero, going in and coming out.
PF_INLINE float flushed(float x) {
    return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0.0f, x) : x;
}
PF_INLINE float widened(uint16_t half) {
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return flushed(x);
}

// Even and odd elements are summed apart from zero, then together, then to d.
template <int d, int a, int b>
PF_INLINE void tile_dot_bf16() {
    TileData& to = tile(d);
    const TileData &left = tile(a), &right = tile(b);
    for (int m = 0; m < tile_side; ++m)
        for (int n = 0; n < tile_side; ++n) {
            float even = 0, odd = 0;
            for (int k = 0; k < tile_side; ++k) {
                const auto product = [&](int i, float sum) {
                    return flushed(__builtin_fmaf(widened(left.halves[m][2 * k + i]),
                                                  widened(right.halves[k][2 * n + i]), sum));
                };
                even = product(0, even), odd = product(1, odd);
            }
            to.floats[m][n] = flushed(flushed(to.floats[m][n]) + flushed(even + odd));
        }
}

template <int d, int a, int b>
PF_INLINE void tile_dot_u8s8() {
    TileData& to = tile(d);
    const TileData &left = tile(a), &right = tile(b);
    for (int m = 0; m < tile_side; ++m)
        for (int n = 0; n < tile_side; ++n) {
            uint32_t sum = static_cast<uint32_t>(to.ints[m][n]);
            for (int k = 0; k < tile_row_bytes; ++k)
                sum += static_cast<uint32_t>(
                    left.bytes[m][k] * static_cast<int8_t>(right.bytes[k / 4][4 * n + k % 4]));
            to.ints[m][n] = static_cast<int32_t>(sum);
        }
}

}  // namespace plainformer::PF_ISA
