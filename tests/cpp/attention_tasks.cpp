// Prints the tasks of attention in the order in which threads claim them, a line each: wave and
// floating-point operations. Built by tests/kernels/test_attention_schedule.py.
//
//     attention_tasks H KV D causal backward threads length...
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "attention_plan.h"

using namespace plainformer;

int main(int argc, char** argv) {
    std::vector<int64_t> numbers;
    for (int i = 1; i < argc; ++i) numbers.push_back(std::atoll(argv[i]));
    std::vector<int32_t> starts{0};
    for (size_t i = 6; i < numbers.size(); ++i)
        starts.push_back(starts.back() + static_cast<int32_t>(numbers[i]));
    AttentionOptions o{};
    o.B = static_cast<int64_t>(starts.size()) - 1;
    o.H = numbers[0], o.KV = numbers[1], o.D = o.Dv = numbers[2];
    o.q_rows.starts = o.k_rows.starts = starts.data();
    o.window = {-1, numbers[3] ? 0 : -1, false};
    const HeadWork work = numbers[4] ? attention_backward_work(o) : attention_work(o);
    const AttentionPlan plan(o, work, numbers[5]);
    for (int64_t w = 0; w < plan.waves(); ++w)
        for (int64_t t = plan.wave(w).first_task; t < plan.wave(w).end_task; ++t) {
            const AttentionTask task = plan.task(t);
            int64_t pairs = 0;
            for (int64_t n = task.first; n < task.end; ++n) {
                const Sequence s = plan.sequence(n);
                for (int64_t p = 0; p < work.pieces(o, s); ++p)
                    if (task.piece < 0 || task.piece == p) pairs += work.pairs(o, s, p);
            }
            std::printf("%lld %lld\n", static_cast<long long>(w),
                        static_cast<long long>(pairs * work.flops));
        }
}
