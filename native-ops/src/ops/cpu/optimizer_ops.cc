#include <algorithm>
#include <cmath>

#include "backend.h"

namespace zigma::ops {
namespace {

constexpr int64_t kElementsPerTask = 16384;

int64_t SizeOf(const Dims& dims) {
  int64_t size = 1;
  for (const int64_t n : dims) size *= n;
  return size;
}

// Square root of the sum of all squares. Every task sums one stretch of one tensor in double; the stretches are added in order.
template <typename T>
struct GlobalNormOp {
  using Backend = CpuBackend;
  static constexpr const char* kName = "GlobalNorm";
  static Slots Inputs() { return {Variadic()}; }
  static Slots Outputs() { return {Required()}; }
  explicit GlobalNormOp(Ort::ConstKernelInfo) {}

  void Run(const Call& call) const {
    struct Stretch {
      const T* data;
      int64_t size;
      double sum;
    };
    std::vector<Stretch> stretches;
    for (size_t i = 0; i < call.InputCount(); ++i) {
      const T* data = call.In<T>(i);
      const int64_t size = SizeOf(call.DimsOf(i));
      for (int64_t at = 0; at < size; at += kElementsPerTask) stretches.push_back({data + at, std::min(kElementsPerTask, size - at), 0});
    }
    call.Threads().run(int64_t(stretches.size()), [&](int64_t task) {
      Stretch& stretch = stretches[task];
      double sums[8] = {};
      for (int64_t i = 0; i < stretch.size; ++i) sums[i % 8] += double(stretch.data[i]) * double(stretch.data[i]);
      for (const double sum : sums) stretch.sum += sum;
    });
    double total = 0;
    for (const Stretch& stretch : stretches) total += stretch.sum;
    *call.Out<T>(0, {1}) = T(std::sqrt(total));
  }
};

template <typename T>
struct AdamWOp {
  using Backend = CpuBackend;
  static constexpr const char* kName = "AdamW";
  static Slots Inputs() { return {Required(), Required(), Required(), Variadic()}; }
  static Slots Outputs() { return {Variadic(Element::kAny)}; }

  int64_t count;
  std::vector<int64_t> decay, shadowed;
  explicit AdamWOp(Ort::ConstKernelInfo info)
      : count(info.GetAttribute<int64_t>("count")), decay(info.GetAttributes<int64_t>("decay")), shadowed(info.GetAttributes<int64_t>("shadowed")) {
    for (const auto& [name, list] : {std::pair{"decay", &decay}, std::pair{"shadowed", &shadowed}})
      if (int64_t(list->size()) != count)
        Refuse(std::string("AdamW: ") + name + " has " + std::to_string(list->size()) + " entries for " + std::to_string(count) + " tensors.");
  }

  void Run(const Call& call) const {
    const T* h = call.In<T>(0, "hyper", {8});
    const double norm = *call.In<T>(1, "norm", {1}), gradient_scale = *call.In<T>(2, "gradScale", {1});
    const AdamWHyper hyper = {double(h[0]), double(h[1]), double(h[2]), double(h[3]), double(h[4]), double(h[5]), double(h[6]), double(h[7])};
    const double scaled = norm * gradient_scale;
    const bool clips = hyper.clip_norm > 0 && scaled > hyper.clip_norm;
    const Workers threads = call.Threads();
    for (int64_t i = 0; i < count; ++i) {
      const auto input = [&](int64_t group) { return call.In<T>(size_t(3 + group * count + i)); };
      const Dims dims = call.DimsOf(size_t(3 + i));
      const auto output = [&](int64_t group) { return call.Out<T>(size_t(group * count + i), dims); };
      AdamWParams<T> p = {SizeOf(dims),
                          hyper,
                          gradient_scale * (clips ? hyper.clip_norm / (scaled + 1e-6) : 1.0),
                          !std::isfinite(norm),
                          decay[i] != 0,
                          input(0),
                          input(1),
                          input(2),
                          input(3),
                          input(4),
                          output(0),
                          output(1),
                          output(2),
                          output(3)};
      if constexpr (sizeof(T) == 4) cpu::BestKernels().adam_w(p, threads);
      else reference::AdamW(p);
    }
    size_t next = size_t(4 * count);
    for (int64_t i = 0; i < count; ++i)
      if (shadowed[i]) SetShadow(call, i, next++);
  }

 private:
  // The new weight once more, in the type that the graph declares.
  static void SetShadow(const Call& call, int64_t i, size_t output) {
    const Dims dims = call.DimsOf(size_t(3 + i));
    const T* param = call.Out<T>(size_t(i), dims);
    const auto [data, type] = call.OutOfAnyType(output, dims);
    if (!data) return;
    const int64_t size = SizeOf(dims);
    if (type == Onnx<T>::type) std::copy_n(param, size, static_cast<T*>(data));
    else if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16) Round<Ort::BFloat16_t>(param, size, data);
    else if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16) Round<Ort::Float16_t>(param, size, data);
    else Refuse("AdamW: a shadow must have the type of its weight, bfloat16 or float16.");
  }

  template <typename Half>
  static void Round(const T* from, int64_t size, void* to) {
    for (int64_t i = 0; i < size; ++i) static_cast<Half*>(to)[i] = Half(float(from[i]));
  }
};

}  // namespace

template <typename T>
void AddOptimizer(OrtCustomOpDomain* domain) {
  Add<GlobalNormOp<T>, T>(domain);
  Add<AdamWOp<T>, T>(domain);
}
template void AddOptimizer<float>(OrtCustomOpDomain* domain);
template void AddOptimizer<double>(OrtCustomOpDomain* domain);

}  // namespace zigma::ops
