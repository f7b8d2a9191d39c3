// The order of work, as data: what must not begin before something else is done.
#pragma once

#include "custom_op.h"

namespace zigma::ops {

// x itself, once all the others are there: the same memory, nothing is computed. What reads the result runs after them, wherever ONNX Runtime
// would have put it; and it is another value than x, so that a second computation from it is not taken for the first.
template <typename B, typename T>
struct AfterOp {
  using Backend = B;
  static constexpr const char* kName = "After";
  static constexpr Shared kAliases[] = {{0, 0}};
  static Slots Inputs() { return {Required(), Variadic(Element::kAny)}; }
  static Slots Outputs() { return {Required()}; }
  explicit AfterOp(Ort::ConstKernelInfo) {}

  void Run(const Call& call) const {
    const Dims dims = call.DimsOf(0);
    size_t size_bytes = sizeof(T);
    for (const int64_t n : dims) size_bytes *= size_t(n);
    const T* x = call.In<T>(0);
    T* y = call.Out<T>(0, dims);
    if (x != y) B::Copy(y, x, size_bytes, call);
  }
};

template <typename B, typename T>
void AddOrder(OrtCustomOpDomain* domain) {
  Add<AfterOp<B, T>, T>(domain);
}

}  // namespace zigma::ops
