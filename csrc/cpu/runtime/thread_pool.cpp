#include "runtime/thread_pool.h"
