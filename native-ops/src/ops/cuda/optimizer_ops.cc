// GlobalNorm and AdamW over all tensors in a few launches. Weights, moments and the moving average are float; gradients float or of 16 bits.
#include "backend.h"

namespace zigma::ops {
namespace {

int64_t SizeOf(const Dims& dims) {
  int64_t size = 1;
  for (const int64_t n : dims) size *= n;
  return size;
}

int BitsOf(ONNXTensorElementDataType type, const Call& call, const char* what) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: return 32;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16: return 16;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16: return -16;
    default: Refuse(std::string(call.op()) + ": " + what + " must be float, bfloat16 or float16.");
  }
}

void SetGradient(cuda::TrainedTensor& tensor, const Call& call, size_t index) {
  tensor.gradient = call.In<void>(index);
  tensor.gradient_bits = BitsOf(call.TypeOf(index), call, "a gradient");
}

struct GlobalNormOp {
  using Backend = CudaBackend;
  static constexpr const char* kName = "GlobalNorm";
  static Slots Inputs() { return {Variadic(Element::kAny)}; }
  static Slots Outputs() { return {Required(Element::kFloat32)}; }
  explicit GlobalNormOp(Ort::ConstKernelInfo) {}

  void Run(const Call& call) const {
    std::vector<cuda::TrainedTensor> tensors(call.InputCount());
    for (size_t i = 0; i < tensors.size(); ++i) {
      tensors[i].size = SizeOf(call.DimsOf(i));
      SetGradient(tensors[i], call, i);
    }
    const DeviceCall at(call);
    at.Check(cuda::GlobalNorm(tensors.data(), int64_t(tensors.size()), call.Out<float>(0, {1}), at.device()));
  }
};

struct AdamWOp {
  using Backend = CudaBackend;
  static constexpr const char* kName = "AdamW";
  static Slots Inputs() { return {Required(Element::kFloat32), Required(Element::kFloat32), Required(Element::kFloat32), Variadic(Element::kAny)}; }
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
    std::vector<cuda::TrainedTensor> tensors(count);
    for (int64_t i = 0; i < count; ++i) {
      const auto index = [&](int64_t group) { return size_t(3 + group * count + i); };
      const Dims dims = call.DimsOf(index(0));
      const auto output = [&](int64_t group) { return call.Out<float>(size_t(group * count + i), dims); };
      cuda::TrainedTensor& tensor = tensors[i];
      tensor.size = SizeOf(dims), tensor.decays = decay[i] != 0;
      tensor.param = call.In<float>(index(0)), tensor.m = call.In<float>(index(2)), tensor.v = call.In<float>(index(3));
      tensor.ema = call.In<float>(index(4));
      SetGradient(tensor, call, index(1));
      tensor.new_param = output(0), tensor.new_m = output(1), tensor.new_v = output(2), tensor.new_ema = output(3);
    }
    size_t next = size_t(4 * count);
    for (int64_t i = 0; i < count; ++i) {
      if (!shadowed[i]) continue;
      const auto [data, type] = call.OutOfAnyType(next++, call.DimsOf(size_t(3 + i)));
      tensors[i].shadow = data, tensors[i].shadow_bits = data ? BitsOf(type, call, "a shadow") : 0;
    }
    const DeviceCall at(call);
    at.Check(cuda::AdamW(tensors.data(), count, call.In<float>(0, "hyper", {8}), call.In<float>(1, "norm", {1}), call.In<float>(2, "gradScale", {1}),
                         at.device()));
  }
};

struct PhiloxOp {
  using Backend = CudaBackend;
  static constexpr const char* kName = "Philox";
  static Slots Inputs() { return {Required(Element::kInt64), Required(Element::kInt64), Required(Element::kInt64)}; }
  static Slots Outputs() { return {Required(Element::kFloat32)}; }

  Dims shape;
  bool normal;
  uint32_t stream;
  explicit PhiloxOp(Ort::ConstKernelInfo info)
      : shape(info.GetAttributes<int64_t>("shape")),
        normal(info.GetAttribute<std::string>("distribution") == "normal"),
        stream(uint32_t(info.GetAttribute<int64_t>("stream"))) {}

  void Run(const Call& call) const {
    const int64_t batch = call.Sizes(2, "sample", 1)[0];
    Dims dims = {batch};
    dims.insert(dims.end(), shape.begin(), shape.end());
    const PhiloxParams p = {batch, SizeOf(shape), normal, stream, 0, 0, call.In<int64_t>(2)};
    const DeviceCall at(call);
    at.Check(cuda::Philox(p, call.In<int64_t>(0, "seed", {1}), call.In<int64_t>(1, "step", {1}), call.Out<float>(0, dims), at.device()));
  }
};

}  // namespace

void AddOptimizer(OrtCustomOpDomain* domain) {
  Add<GlobalNormOp, float>(domain);
  Add<AdamWOp, float>(domain);
}

void AddRandom(OrtCustomOpDomain* domain) { Add<PhiloxOp, float>(domain); }

}  // namespace zigma::ops
