# The CUDA compiler: what CMake is told or finds on the PATH, else that of PyPI's packages
# (nvidia-cuda-nvcc and its kin) in the Python environment that builds.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(nvcc nvcc HINTS ENV CUDA_PATH PATH_SUFFIXES bin)
  if(NOT nvcc)
    execute_process(COMMAND ${Python_EXECUTABLE} ${PROJECT_SOURCE_DIR}/cmake/find_nvcc.py
                    OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE nvcc)
  endif()
  if(NOT nvcc)
    message(FATAL_ERROR
      "PLAINFORMER_CUDA: no nvcc on the PATH. Install a CUDA toolkit of 13.0 or newer, or "
      "pip install nvidia-cuda-nvcc nvidia-cuda-runtime nvidia-cuda-crt nvidia-nvvm nvidia-cuda-cccl")
  endif()
  set(CMAKE_CUDA_COMPILER ${nvcc})
endif()
