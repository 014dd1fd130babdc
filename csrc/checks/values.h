// Checks that must read what an array holds: numbers that become places in memory. Reading is a
// backend's own (csrc/cpu/values.h on the CPU; on a GPU a kernel over a copy), the rules are these.
//
//   ids        embedding, rotary embedding and the cross entropies: (N), a row each, in [0, limit),
//              or equal to ignore_index where the operation has one
//   starts     packed attention: (B + 1), 0 first, the rows there are last, no decrease between,
//              no sequence longer than the longest that was announced
//   lengths    cached attention: (B), keys of each row before `added` are appended, from 0 up to
//              what the cache holds, less those
//
// When: after every check of types, shapes and overlaps, and before an output is made or written.
// First copied, then checked, and the kernel reads only the copy: while it runs, any thread may
// write to the array that was given. Refused as a whole: the binding returns None, nothing has been
// written, and the wrapper names the first number that is wrong, which it looks for in its own
// time. Nothing else is read: floating-point numbers may hold anything, and scalars (probabilities,
// distances, axes) are plain arguments, which the checks of shapes judge.
#pragma once
#include "plainformer/types.h"

namespace plainformer {

PF_INLINE bool is_id(int64_t id, int64_t limit) { return id >= 0 && id < limit; }

// `before` and `after` are neighbours among the starts.
PF_INLINE bool is_sequence(int32_t before, int32_t after, int64_t longest) {
    return before <= after && int64_t{after} - before <= longest;
}

PF_INLINE bool is_length(int32_t length, int64_t added, int64_t capacity) {
    return length >= 0 && length <= capacity - added && length + added <= INT32_MAX;
}

}  // namespace plainformer
