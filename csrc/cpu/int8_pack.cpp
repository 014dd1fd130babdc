// Packs an int8 weight for `linear_int8`: panels of int8_columns columns, and in each, unit after
// unit of K, the units of all columns side by side; behind them scales and sums, panel after panel.
// Columns and elements beyond the weight are 0. Built once per ISA level into namespace PF_ISA.
#include "int8.h"
#include "int8_unit.h"
#include "runtime/allocator.h"    // allocate
#include "runtime/thread_pool.h"  // parallel_for

namespace plainformer::PF_ISA {

namespace {

// What the block is made of, in bytes from its start.
struct Places {
    int64_t scale = 0, sums = 0, end = 0;
};

int64_t groups_of(const Int8Panels& w) { return w.group ? ceil_div(w.K, w.group) : 0; }

// False where they are too many to count.
bool find_places(const Int8Panels& w, Places* at) {
    const int64_t panels = ceil_div(w.N, int8_columns);
    int64_t values = 0, numbers = 0;
    return !__builtin_mul_overflow(panels, int8_step, &values) &&
           !__builtin_mul_overflow(values, int8_units(w.K), &values) &&
           !__builtin_mul_overflow(panels * int8_columns * 4, groups_of(w), &numbers) &&
           !__builtin_add_overflow(values, numbers, &at->sums) &&
           !__builtin_add_overflow(at->sums, numbers, &at->end) && (at->scale = values, true);
}

template <typename T>
void pack_panel(const Int8PackArgs<T>& s, int64_t panel, int8_t* to, float* scale, int32_t* sums) {
    const Int8Panels& w = *s.panels;
    const int64_t n = panel * int8_columns, columns = least(int8_columns, w.N - n);
    const int64_t groups = groups_of(w), bytes = int8_units(w.K) * int8_step;
    __builtin_memset(to, 0, static_cast<size_t>(bytes));
    __builtin_memset(scale, 0, static_cast<size_t>(groups * int8_columns) * sizeof(float));
    __builtin_memset(sums, 0, static_cast<size_t>(groups * int8_columns) * sizeof(int32_t));
    for (int64_t j = 0; j < columns; ++j) {
        const int8_t* from = s.values + (n + j) * s.values_row;
        int8_t* const column = to + j * int8_elements;
        for (int64_t g = 0, k = 0; g < groups; ++g) {
            int32_t sum = 0;
            for (const int64_t end = least(w.K, k + w.group); k < end; ++k) {
                const int8_t value = from[k * s.values_column];
                column[k / int8_elements * int8_step + k % int8_elements] = value;
                sum += value;
            }
            sums[g * int8_columns + j] = sum;
            scale[g * int8_columns + j] = s.scale[(n + j) * groups + g];
        }
    }
}

}  // namespace

template <typename T>
void int8_pack(const Int8PackArgs<T>& s) {
    Int8Panels& w = *s.panels;
    Places at;
    const bool is_countable = find_places(w, &at);
    char* const block =
        static_cast<char*>(allocate(is_countable ? static_cast<size_t>(at.end) : ~size_t{0}));
    *s.block = block, *s.bytes = at.end;
    int8_t* const values = reinterpret_cast<int8_t*>(block);
    float* const scale = reinterpret_cast<float*>(block + at.scale);
    int32_t* const sums = reinterpret_cast<int32_t*>(block + at.sums);
    const int64_t numbers = groups_of(w) * int8_columns, panel_bytes = int8_units(w.K) * int8_step;
    parallel_for(ceil_div(w.N, int8_columns), 1, [&](int64_t p) {
        pack_panel(s, p, values + p * panel_bytes, scale + p * numbers, sums + p * numbers);
    });
    w.values = values, w.scale = scale, w.sums = sums;
}
PF_INSTANTIATE(int8_pack, Int8PackArgs)

}  // namespace plainformer::PF_ISA
