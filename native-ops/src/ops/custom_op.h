// A custom operation from a description: its name, its inputs and outputs, and what it computes. One operation is registered under one name for
// each type of its elements: on the CPU float (the fast kernels) and double (the reference), on CUDA float and both types of 16 bits.
#pragma once

#include <cstdlib>
#include <memory>

#include "../kernels/params.h"
#include "call.h"

namespace zigma::ops {

// kFloats: the element type of this registration; kWide: the one of its sums and states; kAny: told at run time.
enum class Element { kFloats, kWide, kInt32, kInt64, kFloat32, kAny };

struct Slot {
  Element element = Element::kFloats;
  OrtCustomOpInputOutputCharacteristic presence = INPUT_OUTPUT_REQUIRED;
};

using Slots = std::vector<Slot>;

inline Slot Required(Element element = Element::kFloats) { return {element, INPUT_OUTPUT_REQUIRED}; }
inline Slot Optional(Element element = Element::kFloats) { return {element, INPUT_OUTPUT_OPTIONAL}; }
inline Slot Variadic(Element element = Element::kFloats) { return {element, INPUT_OUTPUT_VARIADIC}; }

// ONNX's name of an element type.
template <typename T> struct Onnx;
template <> struct Onnx<float> { static constexpr auto type = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
template <> struct Onnx<double> { static constexpr auto type = ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE; };

template <typename T>
ONNXTensorElementDataType ElementType(Element element) {
  switch (element) {
    case Element::kWide: return Onnx<Wide<T>>::type;
    case Element::kInt32: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
    case Element::kInt64: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    case Element::kFloat32: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    case Element::kAny: return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    default: return Onnx<T>::type;
  }
}

// The prepared operation of one node: `Op` reads its attributes when it is made and computes in `Run`.
template <typename Op>
struct Kernel {
  Op op;
  explicit Kernel(const OrtKernelInfo* info) : op(Ort::ConstKernelInfo{info}) {}

  OrtStatusPtr ComputeV2(OrtKernelContext* context) {
    try {
      op.Run(Call(Op::kName, context));
      return nullptr;
    } catch (const Ort::Exception& error) {
      return Ort::GetApi().CreateStatus(error.GetOrtErrorCode(), error.what());
    } catch (const std::exception& error) {
      return Ort::GetApi().CreateStatus(ORT_FAIL, error.what());
    }
  }
};

// An input and an output, by place, that share memory.
struct Shared {
  int input, output;
};

// `kAliases`: outputs that always are an input's memory.
template <typename Op>
concept HasAliases = requires { Op::kAliases; };

// `kMayOverwrite`: outputs that may be written over an input of the same shape and type which nothing reads later; ORT decides. Every kernel of such an
// operation reads an element of the input for the last time, whoever reads it, before it writes the output's element there.
template <typename Op>
concept MayOverwrite = requires { Op::kMayOverwrite; };

// The pairs as ORT asks for them: two arrays, which it gives back to `Release`.
template <size_t N>
size_t HandOut(const Shared (&pairs)[N], int** inputs, int** outputs) {
  *inputs = static_cast<int*>(std::calloc(N, sizeof(int)));
  *outputs = static_cast<int*>(std::calloc(N, sizeof(int)));
  if (!*inputs || !*outputs) return 0;
  for (size_t i = 0; i < N; ++i) (*inputs)[i] = pairs[i].input, (*outputs)[i] = pairs[i].output;
  return N;
}

inline void Release(int* inputs, int* outputs) {
  std::free(inputs);
  std::free(outputs);
}

template <typename Op, typename T>
struct CustomOp : Ort::CustomOpBase<CustomOp<Op, T>, Kernel<Op>, true> {
  CustomOp() {
    if constexpr (HasAliases<Op>) {
      OrtCustomOp::GetAliasMap = [](int** inputs, int** outputs) -> size_t { return HandOut(Op::kAliases, inputs, outputs); };
      OrtCustomOp::ReleaseAliasMap = [](int* inputs, int* outputs) { Release(inputs, outputs); };
    }
    if constexpr (MayOverwrite<Op>) {
      OrtCustomOp::GetMayInplace = [](int** inputs, int** outputs) -> size_t { return HandOut(Op::kMayOverwrite, inputs, outputs); };
      OrtCustomOp::ReleaseMayInplace = [](int* inputs, int* outputs) { Release(inputs, outputs); };
    }
  }
  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const {
    try {
      *kernel = new Kernel<Op>(info);
      return nullptr;
    } catch (const std::exception& error) {
      return api.CreateStatus(ORT_INVALID_ARGUMENT, error.what());
    }
  }
  const char* GetName() const { return Op::kName; }
  const char* GetExecutionProviderType() const { return Op::Backend::kProvider; }
  size_t GetInputTypeCount() const { return Op::Inputs().size(); }
  size_t GetOutputTypeCount() const { return Op::Outputs().size(); }
  ONNXTensorElementDataType GetInputType(size_t i) const { return ElementType<T>(Op::Inputs()[i].element); }
  ONNXTensorElementDataType GetOutputType(size_t i) const { return ElementType<T>(Op::Outputs()[i].element); }
  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t i) const { return Op::Inputs()[i].presence; }
  OrtCustomOpInputOutputCharacteristic GetOutputCharacteristic(size_t i) const { return Op::Outputs()[i].presence; }
  bool GetVariadicInputHomogeneity() const { return Op::Inputs().back().element != Element::kAny; }
  bool GetVariadicOutputHomogeneity() const { return Op::Outputs().back().element != Element::kAny; }
};

// Keeps operations alive for as long as the library is loaded, as ORT requires.
template <typename Op, typename T>
void Add(OrtCustomOpDomain* domain) {
  static const CustomOp<Op, T> op;
  Ort::ThrowOnError(Ort::GetApi().CustomOpDomain_Add(domain, &op));
}

}  // namespace zigma::ops
