// What a test program counts as wrong, and says where.
#pragma once
#include <cstdio>

namespace {

int failures = 0;

}  // namespace

#define EXPECT(condition)                                                \
    do {                                                                 \
        if (!(condition)) {                                              \
            std::printf("line %d: expected %s\n", __LINE__, #condition); \
            ++failures;                                                  \
        }                                                                \
    } while (false)
