// CUDA's atomics for the host compiler: relaxed, since blocks may run on several host threads.
#pragma once

namespace plainformer::emulation {

// Replaces *p by change(*p) in one step; returns what was there. For words of 4 or 8 bytes.
template <class T, class F>
T atomic_update(T* p, F change) {
    using Word = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    Word* const word = reinterpret_cast<Word*>(p);
    Word seen = __atomic_load_n(word, __ATOMIC_RELAXED), next;
    T old;
    do {
        std::memcpy(&old, &seen, sizeof old);
        const T updated = change(old);
        std::memcpy(&next, &updated, sizeof next);
    } while (
        !__atomic_compare_exchange_n(word, &seen, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}

}  // namespace plainformer::emulation

// The value's type follows the pointer's: CUDA's overloads convert it too.
template <class T>
T atomicAdd(T* p, std::type_identity_t<T> value) {
    return plainformer::emulation::atomic_update(p, [=](T old) { return old + value; });
}
template <class T>
T atomicSub(T* p, std::type_identity_t<T> value) {
    return plainformer::emulation::atomic_update(p, [=](T old) { return old - value; });
}
template <class T>
T atomicMax(T* p, std::type_identity_t<T> value) {
    return plainformer::emulation::atomic_update(p,
                                                 [=](T old) { return old < value ? value : old; });
}
template <class T>
T atomicMin(T* p, std::type_identity_t<T> value) {
    return plainformer::emulation::atomic_update(p,
                                                 [=](T old) { return value < old ? value : old; });
}
template <class T>
T atomicOr(T* p, std::type_identity_t<T> value) {
    return plainformer::emulation::atomic_update(p, [=](T old) { return old | value; });
}
template <class T>
T atomicAnd(T* p, std::type_identity_t<T> value) {
    return plainformer::emulation::atomic_update(p, [=](T old) { return old & value; });
}
template <class T>
T atomicExch(T* p, std::type_identity_t<T> value) {
    return plainformer::emulation::atomic_update(p, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* p, std::type_identity_t<T> compare, std::type_identity_t<T> value) {
    return plainformer::emulation::atomic_update(
        p, [=](T old) { return old == compare ? value : old; });
}
// 0, 1, .. limit, 0, ..: the ticket of CUDA's "last block done".
inline unsigned atomicInc(unsigned* p, unsigned limit) {
    return plainformer::emulation::atomic_update(
        p, [=](unsigned old) { return old >= limit ? 0 : old + 1; });
}
