# The ISA levels of this architecture and the compiler flags of each. Their names, in the same order,
# stand in csrc/cpu/runtime/cpu_info.h too.
set(architecture ${CMAKE_SYSTEM_PROCESSOR})
if(APPLE AND CMAKE_OSX_ARCHITECTURES)
  set(architecture ${CMAKE_OSX_ARCHITECTURES})  # one: what a processor of both would need differs
endif()
if(architecture MATCHES "^(x86_64|AMD64|amd64)$")
  set(flags_generic -march=x86-64-v2)
  set(flags_avx2 -march=x86-64-v2 -mavx2 -mfma -mbmi -mbmi2)
  # GCC 12 takes the undefined operands inside its own AVX-512 intrinsics for mistakes (PR 105593).
  set(flags_avx512 ${flags_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl
                   -mprefer-vector-width=512 -Wno-uninitialized -Wno-maybe-uninitialized)
  set(flags_avx512bf16 ${flags_avx512} -mavx512bf16 -mavx512vnni)
  set(flags_amx ${flags_avx512bf16} -mamx-tile -mamx-bf16 -mamx-int8)
  set(all_levels generic avx2 avx512 avx512bf16 amx)
elseif(architecture MATCHES "^(aarch64|arm64|ARM64)$")
  set(flags_generic -march=armv8-a)
  set(flags_neon -march=armv8-a)
  set(flags_neon_bf16 -march=armv8.2-a+bf16)
  set(all_levels generic neon neon_bf16)
else()
  set(all_levels generic)
endif()
# The levels of AMX have bfloat16 products of their own; all else is that of a level below them.
list(APPEND all_levels amx_emulated)
set(flags_amx_emulated ${flags_generic})
set(below_amx avx512bf16)
set(below_amx_emulated generic)
if(MSVC)  # clang-cl takes these options behind a word of its own
  foreach(level IN LISTS all_levels)
    list(TRANSFORM flags_${level} PREPEND /clang:)
  endforeach()
endif()
if(NOT PLAINFORMER_LEVELS)
  set(PLAINFORMER_LEVELS ${all_levels})
endif()
