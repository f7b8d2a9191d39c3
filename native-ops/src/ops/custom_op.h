// A custom operation from a description: its name, its inputs and outputs, and what it computes. An operation on floats is registered twice under
// one name, for float (the fast kernels) and double (the reference).
#pragma once

#include <memory>

#include "call.h"

namespace zigma::ops {

// kFloats: the element type of this registration.
enum class Element { kFloats, kInt32, kInt64, kFloat32 };

struct Slot {
  Element element = Element::kFloats;
  OrtCustomOpInputOutputCharacteristic presence = INPUT_OUTPUT_REQUIRED;
};

inline Slot Required(Element element = Element::kFloats) { return {element, INPUT_OUTPUT_REQUIRED}; }
inline Slot Optional(Element element = Element::kFloats) { return {element, INPUT_OUTPUT_OPTIONAL}; }
inline Slot Variadic() { return {Element::kFloats, INPUT_OUTPUT_VARIADIC}; }

template <typename T>
ONNXTensorElementDataType ElementType(Element element) {
  switch (element) {
    case Element::kInt32: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
    case Element::kInt64: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    case Element::kFloat32: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    default: return sizeof(T) == 8 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
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

template <typename Op, typename T>
struct CustomOp : Ort::CustomOpBase<CustomOp<Op, T>, Kernel<Op>, true> {
  OrtStatusPtr CreateKernelV2(const OrtApi& api, const OrtKernelInfo* info, void** kernel) const {
    try {
      *kernel = new Kernel<Op>(info);
      return nullptr;
    } catch (const std::exception& error) {
      return api.CreateStatus(ORT_INVALID_ARGUMENT, error.what());
    }
  }
  const char* GetName() const { return Op::kName; }
  size_t GetInputTypeCount() const { return Op::Inputs().size(); }
  size_t GetOutputTypeCount() const { return Op::Outputs().size(); }
  ONNXTensorElementDataType GetInputType(size_t i) const { return ElementType<T>(Op::Inputs()[i].element); }
  ONNXTensorElementDataType GetOutputType(size_t i) const { return ElementType<T>(Op::Outputs()[i].element); }
  OrtCustomOpInputOutputCharacteristic GetInputCharacteristic(size_t i) const { return Op::Inputs()[i].presence; }
  OrtCustomOpInputOutputCharacteristic GetOutputCharacteristic(size_t i) const { return Op::Outputs()[i].presence; }
};

// Keeps operations alive for as long as the library is loaded, as ORT requires.
template <typename Op, typename T>
void Add(OrtCustomOpDomain* domain) {
  static const CustomOp<Op, T> op;
  Ort::ThrowOnError(Ort::GetApi().CustomOpDomain_Add(domain, &op));
}

void RegisterScans(OrtCustomOpDomain* domain);
void RegisterBlock(OrtCustomOpDomain* domain);
void RegisterOptimizer(OrtCustomOpDomain* domain);
void RegisterRandom(OrtCustomOpDomain* domain);

}  // namespace zigma::ops
