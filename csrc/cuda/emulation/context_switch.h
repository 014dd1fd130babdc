// Switching between fibers: 5 ns on x86-64, by ucontext elsewhere.
#pragma once

namespace plainformer::emulation {

// A stack that, switched to, calls entry, which never returns.
void* make_context(char* stack_bottom, char* stack_top, void (*entry)());

// Saves the running context and goes on with another. A context is a value: it is used up.
extern "C" void plainformer_switch_context(void** save, void* load);

}  // namespace plainformer::emulation
