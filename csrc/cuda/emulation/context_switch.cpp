#include "context_switch.h"

#include <cstdint>

#if defined(__x86_64__) && !defined(PLAINFORMER_EMULATION_UCONTEXT)

// Only what the ABI lets a call keep: the rest is saved by the caller.
asm(R"(
.text
.hidden plainformer_switch_context
.globl plainformer_switch_context
.type plainformer_switch_context,@function
plainformer_switch_context:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size plainformer_switch_context,.-plainformer_switch_context
)");

namespace plainformer::emulation {

void* make_context(char*, char* stack_top, void (*entry)()) {
    constexpr int saved_registers = 6;
    auto** top = reinterpret_cast<void**>(reinterpret_cast<uintptr_t>(stack_top) & ~uintptr_t{15});
    *--top = nullptr;  // where a caller's address would be; keeps the stack aligned
    *--top = reinterpret_cast<void*>(entry);
    for (int i = 0; i < saved_registers; ++i) *--top = nullptr;
    return top;
}

}  // namespace plainformer::emulation

#else
#include <ucontext.h>

namespace plainformer::emulation {

void* make_context(char* stack_bottom, char* stack_top, void (*entry)()) {
    // The context lies on the stack's low end, so that nothing needs to be freed.
    auto* context = reinterpret_cast<ucontext_t*>(stack_bottom);
    getcontext(context);
    context->uc_stack.ss_sp = stack_bottom + sizeof *context;
    context->uc_stack.ss_size = static_cast<size_t>(stack_top - stack_bottom) - sizeof *context;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
    return context;
}

extern "C" void plainformer_switch_context(void** save, void* load) {
    ucontext_t here;
    *save = &here;  // lives as long as this call, which is as long as the context is saved
    swapcontext(&here, static_cast<ucontext_t*>(load));
}

}  // namespace plainformer::emulation
#endif
