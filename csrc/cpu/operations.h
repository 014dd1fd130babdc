// Every CPU operation and its argument struct, once, in alphabetical order: the dispatch tables
// and the declarations in each ISA namespace come from this list.
#pragma once
#include "plainformer/add.h"

#define PF_OPERATIONS(X) X(add, AddArgs)
