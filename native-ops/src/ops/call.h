// One call of a custom operation: its tensors, its attributes, ORT's threads, and errors that read as one sentence.
#pragma once

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "../kernels/workers.h"

namespace zigma::ops {

using Dims = std::vector<int64_t>;

inline std::string Show(const Dims& dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

[[noreturn]] inline void Refuse(const std::string& sentence) { throw Ort::Exception(sentence, ORT_INVALID_ARGUMENT); }

class Call {
 public:
  Call(const char* op, OrtKernelContext* context) : op_(op), context_(context), kernel_(context) {}

  size_t InputCount() const { return kernel_.GetInputCount(); }

  // The input's elements, or null where an optional input was left out.
  template <typename T>
  const T* In(size_t index) const {
    if (index >= InputCount()) return nullptr;
    const OrtValue* value = nullptr;
    Ort::ThrowOnError(Ort::GetApi().KernelContext_GetInput(context_, index, &value));
    return value ? static_cast<const T*>(Ort::ConstValue{value}.GetTensorRawData()) : nullptr;
  }

  ONNXTensorElementDataType TypeOf(size_t index) const { return kernel_.GetInput(index).GetTensorTypeAndShapeInfo().GetElementType(); }
  Dims DimsOf(size_t index) const { return kernel_.GetInput(index).GetTensorTypeAndShapeInfo().GetShape(); }

  // The input's elements, after checking its shape.
  template <typename T>
  const T* In(size_t index, const char* name, const Dims& expected) const {
    const T* data = In<T>(index);
    if (data && DimsOf(index) != expected)
      Refuse(std::string(op_) + ": " + name + " must be " + Show(expected) + ", got " + Show(DimsOf(index)) + ".");
    return data;
  }

  // The sizes of a tensor that must have this many axes.
  Dims Sizes(size_t index, const char* name, size_t rank) const {
    Dims dims = DimsOf(index);
    if (dims.size() != rank)
      Refuse(std::string(op_) + ": " + name + " must have " + std::to_string(rank) + " axes, got " + Show(dims) + ".");
    return dims;
  }

  // Room for an output, or null where nobody reads it.
  template <typename T>
  T* Out(size_t index, const Dims& dims) const {
    if (index >= kernel_.GetOutputCount()) return nullptr;
    OrtValue* value = nullptr;
    Ort::ThrowOnError(Ort::GetApi().KernelContext_GetOutput(context_, index, dims.data(), dims.size(), &value));
    return value ? Ort::UnownedValue{value}.GetTensorMutableData<T>() : nullptr;
  }

  // As Out, for an output whose type the graph declares: its elements and their type, null where nobody reads it.
  std::pair<void*, ONNXTensorElementDataType> OutOfAnyType(size_t index, const Dims& dims) const {
    OrtValue* value = nullptr;
    Ort::ThrowOnError(Ort::GetApi().KernelContext_GetOutput(context_, index, dims.data(), dims.size(), &value));
    if (!value) return {nullptr, ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED};
    Ort::UnownedValue tensor{value};
    return {tensor.GetTensorMutableRawData(), tensor.GetTensorTypeAndShapeInfo().GetElementType()};
  }

  Workers Threads() const {
    return {[context = context_](int64_t count, const Task& task) {
      const auto one = [](void* data, size_t index) { (*static_cast<const Task*>(data))(int64_t(index)); };
      Ort::ThrowOnError(Ort::GetApi().KernelContext_ParallelFor(context, one, size_t(count), 0, const_cast<Task*>(&task)));
    }};
  }

  const char* op() const { return op_; }
  OrtKernelContext* context() const { return context_; }

 private:
  const char* op_;
  OrtKernelContext* context_;
  Ort::KernelContext kernel_;
};

}  // namespace zigma::ops
