# `_cuda` (PLAINFORMER_CUDA) and its host emulation (PLAINFORMER_CUDA_EMULATED, for the tests). Both
# are made of the same lists: what has a twin in the emulation is in neither.
set(cuda_sources            # kernels and launchers, for every architecture
    csrc/cuda/activation.cu
    csrc/cuda/add.cu
    csrc/cuda/attention.cu
    csrc/cuda/attention_backward.cu
    csrc/cuda/attention_cached.cu
    csrc/cuda/check_values.cu
    csrc/cuda/cross_entropy.cu
    csrc/cuda/dropout.cu
    csrc/cuda/embedding.cu
    csrc/cuda/gemm.cu
    csrc/cuda/group_by_id.cu
    csrc/cuda/linear_cross_entropy.cu
    csrc/cuda/linear_grad.cu
    csrc/cuda/norm.cu
    csrc/cuda/norm_backward.cu
    csrc/cuda/optimizer.cu
    csrc/cuda/rotary.cu
    csrc/cuda/softmax.cu
    csrc/cuda/softmax_columns.cu
    csrc/cuda/topk.cu
)
set(cuda_sm90_sources       # for sm_90a alone
    csrc/cuda/attention_backward_sm90.cu
    csrc/cuda/attention_sm90.cu
    csrc/cuda/gemm_sm90.cu
    csrc/cuda/norm_sm90.cu
    csrc/cuda/softmax_sm90.cu
)
set(cuda_binding_sources
    ${family_sources}
    csrc/bindings/cuda/adapter.cpp
    csrc/bindings/cuda/library.cpp
    csrc/bindings/cuda/module.cpp
    csrc/bindings/cuda/overlap.cpp
    csrc/bindings/cuda/values.cpp
)
set(cuda_includes csrc csrc/include csrc/cuda csrc/bindings csrc/bindings/cuda)

execute_process(COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir
                OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE nanobind_ROOT)
find_package(nanobind CONFIG REQUIRED)

function(plainformer_cuda_module name)
  nanobind_add_module(${name} NOMINSIZE NOSTRIP ${check_sources} ${cuda_binding_sources} ${ARGN})
  target_compile_definitions(${name} PRIVATE PF_MODULE=${name})
  target_include_directories(${name} PRIVATE ${cuda_includes})
endfunction()

if(PLAINFORMER_CUDA_EMULATED)
  file(GLOB emulation_runtime CONFIGURE_DEPENDS csrc/cuda/emulation/*.cpp)
  set(kernels ${cuda_sources} ${cuda_sm90_sources})
  set_source_files_properties(${kernels} PROPERTIES LANGUAGE CXX)  # -x c++
  # The runtime is not watched by sanitizers, which would take its fibers for mistakes.
  add_library(cuda_emulation OBJECT ${emulation_runtime})
  target_compile_features(cuda_emulation PRIVATE cxx_std_20)
  target_compile_options(cuda_emulation PRIVATE -O3 -Wall -Wextra)
  target_include_directories(cuda_emulation PRIVATE ${cuda_includes} csrc/cuda/emulation)
  plainformer_cuda_module(_cuda_emulated ${kernels} $<TARGET_OBJECTS:cuda_emulation>
                          csrc/bindings/cuda/emulation.cpp)
  target_compile_features(_cuda_emulated PRIVATE cxx_std_20)
  # Kernels read and write elements as words of another type, as nvcc lets them.
  target_compile_options(_cuda_emulated PRIVATE -O2 -g1 -fno-strict-aliasing -Wall -Wextra
                                                -Wno-unknown-pragmas -Wno-psabi)
  target_compile_definitions(_cuda_emulated PRIVATE PF_EMULATION)
  if(PLAINFORMER_SANITIZE)
    target_compile_options(_cuda_emulated PRIVATE -fsanitize=${PLAINFORMER_SANITIZE} -g)
  endif()
  if(PLAINFORMER_SANITIZE MATCHES thread)
    target_compile_definitions(cuda_emulation PRIVATE PLAINFORMER_EMULATION_TSAN)
  elseif(PLAINFORMER_SANITIZE MATCHES address)
    target_compile_definitions(cuda_emulation PRIVATE PLAINFORMER_EMULATION_ASAN)
  endif()
  target_link_libraries(_cuda_emulated PRIVATE Threads::Threads)
  if(PLAINFORMER_WERROR)
    target_compile_options(_cuda_emulated PRIVATE -Werror)
  endif()
  return()  # from this file
endif()

include(cmake/nvcc.cmake)
enable_language(CUDA)
# FindCUDAToolkit wants the shared runtime as well, which PyPI's packages have under another name.
cmake_path(GET CMAKE_CUDA_COMPILER PARENT_PATH nvcc_folder)
find_library(cudart_static NAMES cudart_static REQUIRED
             PATHS ${CMAKE_CUDA_HOST_IMPLICIT_LINK_DIRECTORIES} ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES}
                   ${nvcc_folder}/../lib ${nvcc_folder}/../lib64)

# One object library a set of architectures: SASS for sm_80 and sm_90a, and PTX of sm_80, which
# newer chips compile when it is loaded.
function(plainformer_cuda_objects name architectures)
  if(NOT ARGN)
    return()
  endif()
  add_library(${name} OBJECT ${ARGN})
  set_target_properties(${name} PROPERTIES CUDA_ARCHITECTURES "${architectures}")
  target_compile_features(${name} PRIVATE cuda_std_17)
  target_compile_options(${name} PRIVATE -O3 --compress-mode=size -Xptxas=-v -Xcompiler=-Wall,-Wextra)
  target_include_directories(${name} PRIVATE ${cuda_includes})
  target_sources(_cuda PRIVATE $<TARGET_OBJECTS:${name}>)
endfunction()

plainformer_cuda_module(_cuda)
plainformer_cuda_objects(cuda_kernels "80;90a-real" ${cuda_sources} csrc/cuda/context.cu)
plainformer_cuda_objects(cuda_kernels_sm90 "90a-real" ${cuda_sm90_sources})
target_link_libraries(_cuda PRIVATE ${cudart_static} Threads::Threads ${CMAKE_DL_LIBS} rt)
if(PLAINFORMER_IN_PLACE)
  set_target_properties(_cuda PROPERTIES LIBRARY_OUTPUT_DIRECTORY
                                         ${PROJECT_SOURCE_DIR}/python/plainformer)
endif()
install(TARGETS _cuda LIBRARY DESTINATION plainformer)
