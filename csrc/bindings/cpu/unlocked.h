// Python's interpreter lock, let go while a kernel runs.
#pragma once
#include <pybind11/pybind11.h>

namespace plainformer {

// Without the lock for its lifetime. Where the interpreter has begun to end meanwhile, a thread
// other than the one that ends it never gets the lock back: it stops here until the process is
// gone. Python 3.14 stops such a thread itself; older ones end it by unwinding its stack, which
// aborts the process at a destructor such as this one, or would run the destructors of Python
// objects above without the lock. NumPy's loops are plain C and have nothing to unwind.
class Unlocked {
  public:
    Unlocked() : thread_(PyEval_SaveThread()) {}
    ~Unlocked();
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;

  private:
    PyThreadState* const thread_;
};

}  // namespace plainformer
