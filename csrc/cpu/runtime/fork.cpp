#include "runtime/fork.h"

#if defined(_WIN32)

namespace plainformer {
void at_fork(void (*)(), void (*)(), void (*)()) {}
}  // namespace plainformer

#else

#include <pthread.h>

namespace plainformer {
void at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) {
    pthread_atfork(before, in_parent, in_child);
}
}  // namespace plainformer

#endif
