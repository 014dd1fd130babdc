// What becomes of locks and threads when the process forks.
#pragma once

namespace plainformer {

// Calls `before` in the parent before each fork of this process, `in_parent` and `in_child` after
// it. Any of them may be null. Nothing happens where processes do not fork (Windows).
void at_fork(void (*before)(), void (*in_parent)(), void (*in_child)());

}  // namespace plainformer
