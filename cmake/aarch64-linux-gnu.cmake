# Debian's cross compiler for AArch64 (g++-aarch64-linux-gnu): what .ci/arm64 builds with.
# PLAINFORMER_ARM64_ROOT is a folder with an arm64 Python and its headers.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
