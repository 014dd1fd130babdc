# What is built. Kernel files once an ISA level; the rest once.
set(kernel_sources
    csrc/cpu/add.cpp
)
set(runtime_sources
    csrc/cpu/dispatch.cpp
    csrc/cpu/runtime/allocator.cpp
    csrc/cpu/runtime/cpu_info.cpp
    csrc/cpu/runtime/thread_pool.cpp
)
set(binding_sources
    csrc/bindings/cpu_module.cpp
    csrc/bindings/cpu_add.cpp
    csrc/bindings/cpu_runtime.cpp
    csrc/bindings/operand.cpp
)
