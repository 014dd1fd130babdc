#include "checks/overlap.h"

#include <algorithm>
#include <cstdlib>

namespace plainformer {

namespace {

// step z with 0 <= z <= most
struct Term {
    int64_t step, most;
};

// Whether a sum of terms hits a number: a knapsack, searched from the longest step down. Where each
// step is longer than all shorter ones together, as in arrays, one or two z of a term are tried.
class Sum {
  public:
    void add(int64_t step, int64_t most) {
        if (step == 0 || most == 0) return;
        int i = 0;
        while (i < count_ && terms_[i].step > step) ++i;
        if (i < count_ && terms_[i].step == step) return void(terms_[i].most += most);
        std::copy_backward(terms_ + i, terms_ + count_, terms_ + count_ + 1);
        terms_[i] = {step, most};
        ++count_;
    }

    bool hits(int64_t target) {
        reach_[count_] = 0;
        for (int i = count_ - 1; i >= 0; --i)
            reach_[i] = reach_[i + 1] + terms_[i].step * terms_[i].most;
        return search(0, target);
    }

  private:
    bool search(int i, int64_t rest) {
        if (rest < 0 || rest > reach_[i]) return false;
        if (rest == 0 || --patience_ < 0) return true;
        const Term& term = terms_[i];  // rest > 0 is within reach, so there is one
        const int64_t beyond = rest - reach_[i + 1];
        const int64_t least = beyond <= 0 ? 0 : (beyond - 1) / term.step + 1;
        for (int64_t z = std::min(term.most, rest / term.step); z >= least; --z)
            if (search(i + 1, rest - z * term.step)) return true;
        return false;
    }

    // The longest step first.
    Term terms_[2 * Footprint::max_ndim + 1];
    int64_t reach_[2 * Footprint::max_ndim + 2];
    int count_ = 0;
    int patience_ = 10'000;
};

}  // namespace

Footprint footprint(const ArrayView& x) {
    Footprint bytes;
    bytes.data = x.data<char>(), bytes.item_size = x.item_size(), bytes.ndim = x.ndim();
    for (int i = 0; i < x.ndim(); ++i)
        bytes.shape[i] = x.dim(i), bytes.strides[i] = x.stride(i) * x.item_size();
    return bytes;
}

bool Footprint::empty() const { return std::count(shape, shape + ndim, 0) > 0; }

const char* Footprint::first() const {
    const char* low = data;
    for (int i = 0; i < ndim; ++i) low += std::min<int64_t>(0, (shape[i] - 1) * strides[i]);
    return low;
}

const char* Footprint::last() const {
    const char* high = data + item_size - 1;
    for (int i = 0; i < ndim; ++i) high += std::max<int64_t>(0, (shape[i] - 1) * strides[i]);
    return high;
}

bool Footprint::is_nested() const {
    int axes[max_ndim], count = 0;
    for (int i = 0; i < ndim; ++i) {  // sorted by the length of their steps
        if (shape[i] <= 1) continue;
        int at = count++;
        for (; at > 0 && std::abs(strides[axes[at - 1]]) > std::abs(strides[i]); --at)
            axes[at] = axes[at - 1];
        axes[at] = i;
    }
    int64_t span = item_size;
    for (int i = 0; i < count; ++i) {
        const int64_t step = std::abs(strides[axes[i]]);
        if (step < span) return empty();
        span += step * (shape[axes[i]] - 1);
    }
    return true;
}

bool overlap(const Footprint& a, const Footprint& b) {
    if (a.empty() || b.empty()) return false;
    if (a.last() < b.first() || b.last() < a.first()) return false;
    // A byte of a is first + what its axes and the place in the element add; one of b is last minus
    // what its axes and the place take away. All are terms of one sum.
    Sum sum;
    for (const Footprint* x : {&a, &b}) {
        for (int i = 0; i < x->ndim; ++i) sum.add(std::abs(x->strides[i]), x->shape[i] - 1);
        sum.add(1, x->item_size - 1);
    }
    return sum.hits(b.last() - a.first());
}

namespace {

// From the first byte to behind the last: what can be told apart without a search.
struct Extent {
    const char *begin, *end;
};

Extent extent(const ArrayView& x) {
    Extent bytes{x.data<char>(), x.data<char>() + x.item_size()};
    for (int i = 0; i < x.ndim(); ++i) {
        const int64_t reach = (x.dim(i) - 1) * x.stride(i) * x.item_size();
        (reach < 0 ? bytes.begin : bytes.end) += reach;
    }
    return bytes;
}

bool disjoint(const ArrayView& a, const ArrayView& b) {
    const Extent mine = extent(a), other = extent(b);
    if (mine.end <= other.begin || other.end <= mine.begin) return true;
    return !overlap(footprint(a), footprint(b));
}

}  // namespace

bool are_apart(std::initializer_list<const ArrayView*> outputs,
               std::initializer_list<const ArrayView*> inputs) {
    for (auto out = outputs.begin(); out != outputs.end(); ++out) {
        if ((*out)->is_none()) continue;
        for (const ArrayView* input : inputs)
            if (!input->is_none() && !disjoint(**out, *input)) return false;
        for (auto other = out + 1; other != outputs.end(); ++other)
            if (!(*other)->is_none() && !disjoint(**out, **other)) return false;
    }
    return true;
}

void ManyArrays::add(const void* data, int64_t bytes, bool is_written) {
    const char* const begin = static_cast<const char*>(data);
    if (bytes > 0) extents_.push_back({begin, begin + bytes, is_written});
}

bool ManyArrays::are_apart() {
    std::sort(extents_.begin(), extents_.end(),
              [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    const char *written = nullptr, *read = nullptr;  // where those before this one end
    for (const Extent& x : extents_) {
        if (x.begin < written || (x.is_written && x.begin < read)) return false;
        const char*& end = x.is_written ? written : read;
        end = std::max(end, x.end);
    }
    return true;
}

}  // namespace plainformer
