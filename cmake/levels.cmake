# The ISA levels of this architecture and the compiler flags of each.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(flags_generic -march=x86-64-v2)
  set(flags_avx2 -march=x86-64-v2 -mavx2 -mfma -mbmi -mbmi2)
  # GCC 12 takes the undefined operands inside its own AVX-512 intrinsics for mistakes (PR 105593).
  set(flags_avx512 ${flags_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl
                   -mprefer-vector-width=512 -Wno-uninitialized -Wno-maybe-uninitialized)
  set(flags_avx512bf16 ${flags_avx512} -mavx512bf16 -mavx512vnni)
  set(all_levels generic avx2 avx512 avx512bf16)
else()
  set(all_levels generic)
endif()
if(NOT PLAINFORMER_LEVELS)
  set(PLAINFORMER_LEVELS ${all_levels})
endif()
