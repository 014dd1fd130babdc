// Launches gemm on sm_90a. Kernels: gemm_sm90.cuh; which tile and how many: gemm_sm90_plan.h
#include "gemm_sm90.h"

#include "gemm_parts.h"
#include "gemm_sm90.cuh"
#include "gemm_sm90_plan.h"

namespace plainformer::cuda {

namespace {

// ---- operands -----------------------------------------------------------------------------------

// An operand as rows along m or n, wherever its k lies.
template <typename T>
struct Operand {
    const T* base;
    int64_t rows, row_stride, k_stride;
    OperandAccess access;

    bool k_major() const { return access.axis == Contiguous::k; }
    int64_t line() const { return k_major() ? row_stride : k_stride; }
};

template <typename T>
Operand<T> operand_a(const GemmTask<T>& task) {
    const GemmArgs<T>& s = task.s;
    return {s.A, s.M, s.A_row, s.A_column, task.A};
}
template <typename T>
Operand<T> operand_b(const GemmTask<T>& task) {
    const GemmArgs<T>& s = task.s;
    return {s.B, s.N, s.B_column, s.B_row, task.B};
}

// TMA knows no strides below 0, nor a line of stride 0.
template <typename T>
bool has_map(const Operand<T>& x, const int64_t* batch, int batch_ndim) {
    bool has = x.access.aligned && x.line() > 0;
    for (int i = 0; i < batch_ndim; ++i) has &= batch[i] >= 0;
    return has;
}

// ---- the batch ----------------------------------------------------------------------------------

struct BatchAxis {
    int64_t count, A, B;
};

struct BatchOffset {
    int64_t A, B;
};

// The axes of the batch from inner to outer: none of one matrix, and one for neighbours that both
// operands walk evenly. The inner two become axes of the tensor maps.
struct Batch {
    BatchAxis axis[GemmArgs<float>::max_batch_ndim];
    int count = 0;

    void add(BatchAxis next) {
        if (next.count == 1) return;
        if (count) {
            BatchAxis& last = axis[count - 1];
            if (next.A == last.A * last.count && next.B == last.B * last.count) {
                last.count *= next.count;
                return;
            }
        }
        axis[count++] = next;
    }
    BatchAxis get(int i) const { return i < count ? axis[i] : BatchAxis{1, 0, 0}; }
    int64_t inside() const { return get(0).count * get(1).count; }
    int64_t outside() const {
        int64_t n = 1;
        for (int i = 2; i < count; ++i) n *= axis[i].count;
        return n;
    }
    // Of the inner two axes' first matrix, at index i of the others.
    BatchOffset offset(int64_t i) const {
        BatchOffset at{0, 0};
        for (int n = 2; n < count; ++n) {
            at.A += i % axis[n].count * axis[n].A, at.B += i % axis[n].count * axis[n].B;
            i /= axis[n].count;
        }
        return at;
    }
};

template <typename T>
Batch batch_of(const GemmArgs<T>& s) {
    Batch batch;
    for (int i = s.batch_ndim - 1; i >= 0; --i) batch.add({s.batch[i], s.A_batch[i], s.B_batch[i]});
    return batch;
}

// ---- tensor maps --------------------------------------------------------------------------------

// (k, rows) or (rows, k), fastest first, then the inner axes of the batch. A broadcast axis has one
// matrix, at which every index is asked for.
template <typename T>
TensorMap map_operand(const Operand<T>& x, int64_t K, int64_t inner, int64_t inner_stride,
                      int64_t outer, int64_t outer_stride, int box_rows) {
    const bool k_major = x.k_major();
    const int64_t dim[4] = {k_major ? K : x.rows, k_major ? x.rows : K, inner_stride ? inner : 1,
                            outer_stride ? outer : 1};
    const int64_t bytes = sizeof(T), line = x.line() * bytes;
    const int64_t stride[3] = {line, inner_stride ? inner_stride * bytes : line,
                               outer_stride ? outer_stride * bytes : line};
    const int box[4] = {tile_row, k_major ? box_rows : tile_row, 1, 1};
    return make_tensor_map<T>(x.base, 4, dim, stride, box, Swizzle::b128);
}

// C or the preactivation: (N, M, matrices), in chunks.
template <typename T>
TensorMap map_output(const T* base, const GemmArgs<T>& s, int64_t matrices) {
    const int64_t dim[3] = {s.N, s.M, matrices};
    const int64_t row = s.C_row * static_cast<int64_t>(sizeof(T));
    const int64_t stride[2] = {row, s.M * row};
    const int box[3] = {chunk, chunk, 1};
    return make_tensor_map<T>(base, 3, dim, stride, box, Swizzle::b128);
}

// ---- a launch -----------------------------------------------------------------------------------

template <typename T, class Shape>
struct Sm90Kernels {
    using Kernel = void (*)(TensorMap, TensorMap, TensorMap, TensorMap, GemmSm90Task<T>);

    static Kernel get(bool A_is_m_major, bool B_is_n_major) {
        if (A_is_m_major)
            return B_is_n_major ? gemm_sm90_kernel<T, Shape, true, true>
                                : gemm_sm90_kernel<T, Shape, true, false>;
        return B_is_n_major ? gemm_sm90_kernel<T, Shape, false, true>
                            : gemm_sm90_kernel<T, Shape, false, false>;
    }
};

// One grid: the matrices of the inner two axes of the batch, from first_matrix on.
template <typename T>
struct Sm90Launch {
    GemmTask<T> product;  // A and B: those of first_matrix
    Batch batch;
    GemmSm90Plan plan;
    bool by_tma;
};

// Clusters in a band: what runs at the same time is then about as many rows as columns.
template <class Shape>
int band_of(int multiprocessors, int cluster) {
    const int rows = Shape::M * cluster;
    int band = 1;
    while ((band + 1) * rows * (band + 1) * rows <= multiprocessors * Shape::M * Shape::N) ++band;
    return band;
}

template <class Shape, typename T>
GemmSchedule schedule_of(const Sm90Launch<T>& l, int multiprocessors) {
    const GemmArgs<T>& s = l.product.s;
    const auto narrow = [](int64_t size) { return static_cast<int>(size); };
    GemmSchedule schedule;
    schedule.cluster = l.plan.cluster;
    schedule.down = narrow(ceil_div(ceil_div(s.M, Shape::M), l.plan.cluster));
    schedule.across = narrow(ceil_div(s.N, Shape::N));
    schedule.band = band_of<Shape>(multiprocessors, l.plan.cluster);
    schedule.splits = l.plan.splits;
    schedule.steps = narrow(ceil_div(s.K, gemm_step));
    schedule.split_steps = l.plan.split_steps;
    schedule.batches = narrow(l.batch.inside());
    return schedule;
}

template <class Shape, typename T>
void launch_sm90(const Sm90Launch<T>& l, Context& context) {
    const BatchAxis inner = l.batch.get(0), outer = l.batch.get(1);
    const GemmArgs<T>& s = l.product.s;
    const Operand<T> A = operand_a(l.product), B = operand_b(l.product);
    const TensorMap map_a =
        map_operand(A, s.K, inner.count, inner.A, outer.count, outer.A, Shape::M);
    const TensorMap map_b =
        map_operand(B, s.K, inner.count, inner.B, outer.count, outer.B, Shape::N / l.plan.cluster);
    const int64_t offset = l.product.first_matrix * s.M * s.C_row;
    const int64_t matrices = l.batch.inside();
    TensorMap map_c = map_a, map_z = map_a;  // not used unless by_tma
    if (l.by_tma) map_c = map_output(s.C + offset, s, matrices);
    if (l.by_tma && s.preactivation) map_z = map_output(s.preactivation + offset, s, matrices);

    GemmSm90Task<T> task{l.product,
                         schedule_of<Shape>(l, context.multiprocessors()),
                         static_cast<int>(inner.count),
                         {inner.A != 0, outer.A != 0},
                         {inner.B != 0, outer.B != 0},
                         l.by_tma};
    const int workers = context.multiprocessors() / l.plan.cluster;
    const int clusters = task.schedule.count() < workers ? task.schedule.count() : workers;
    LaunchConfig config;
    config.grid = dim3(static_cast<unsigned>(clusters * l.plan.cluster));
    config.block = dim3(gemm_sm90_threads);
    config.shared_bytes = sizeof(GemmSm90Shared<Shape>);
    config.cluster = static_cast<unsigned>(l.plan.cluster);
    config.stream = context.stream();
    launch(config, Sm90Kernels<T, Shape>::get(!A.k_major(), !B.k_major()), map_a, map_b, map_c,
           map_z, task);
}

template <typename T>
GemmSm90Plan plan_of(const GemmArgs<T>& s, bool whole_sums, const Context& context) {
    const bool activates = s.activation != Activation::none || s.preactivation;
    return plan_gemm_sm90({s.M, s.N, s.K, batch_of(s).inside(), context.multiprocessors(),
                           activates, s.C_acc != nullptr, whole_sums});
}

template <typename T>
bool stores_by_tma(const GemmArgs<T>& s) {
    return !s.C_acc && is_vector_aligned(s.C, s.C_row) && is_vector_aligned(s.preactivation);
}

}  // namespace

template <typename T>
bool gemm_sm90_takes(const GemmArgs<T>& s, const Context& context) {
    constexpr int64_t least = 16, most = 1 << 30;  // most: what is counted in 32 bits
    if (context.capability() != 90 || s.M <= least || s.N < least || s.K < least) return false;
    if (s.M >= most || s.N >= most || s.K >= most) return false;
    const int64_t tiles = ceil_div(s.M, PingPong::M) * ceil_div(s.N, PingPong::N);
    const GemmTask<T> task = task_of(s);
    return tiles * gemm_most_parts < most / batch_of(s).inside() &&
           has_map(operand_a(task), s.A_batch, s.batch_ndim) &&
           has_map(operand_b(task), s.B_batch, s.batch_ndim);
}

template <typename T>
void gemm_sm90(const GemmArgs<T>& s, float4* statistics, Context& context) {
    Sm90Launch<T> l{task_of(s), batch_of(s), plan_of(s, statistics != nullptr, context),
                    stores_by_tma(s) && !statistics};
    l.product.statistics = statistics;
    const int64_t inside = l.batch.inside();
    if (l.plan.splits > 1) {
        l.by_tma = false;
        l.product.parts_row = ceil_div(s.N, 8) * 8;
        l.product.parts =
            context.workspace<float>(inside * l.plan.splits * s.M * l.product.parts_row);
    }
    for (int64_t i = 0; i < l.batch.outside(); ++i) {
        l.product.first_matrix = i * inside;
        const BatchOffset at = l.batch.offset(i);
        l.product.s.A = s.A + at.A, l.product.s.B = s.B + at.B;
        l.plan.ping_pong ? launch_sm90<PingPong>(l, context) : launch_sm90<Cooperative>(l, context);
        if (l.plan.splits > 1) sum_parts(l.product, inside, l.plan.splits, context);
    }
}

#define PF_INSTANTIATE_SM90(T)                                         \
    template bool gemm_sm90_takes(const GemmArgs<T>&, const Context&); \
    template void gemm_sm90(const GemmArgs<T>&, float4*, Context&);
PF_INSTANTIATE_SM90(bfloat16)
PF_INSTANTIATE_SM90(float16)

}  // namespace plainformer::cuda
