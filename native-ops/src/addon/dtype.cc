#include "dtype.h"

#include "errors.h"

namespace zigma::addon {
namespace {

constexpr DType kTypes[] = {
    {"f32", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, 4},   {"f64", ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, 8},
    {"f16", ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, 2}, {"bf16", ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, 2},
    {"i32", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, 4},   {"i64", ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, 8},
    {"u8", ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, 1},    {"bool", ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, 1},
};

}  // namespace

const DType& DTypeNamed(const std::string& name) {
  std::string known;
  for (const DType& type : kTypes) {
    if (name == type.name) return type;
    known += std::string(known.empty() ? "" : ", ") + type.name;
  }
  throw AddonError("ArgumentError", "'" + name + "' is not an element type. Use one of " + known + ".");
}

const DType* DTypeOf(ONNXTensorElementDataType onnx) {
  for (const DType& type : kTypes) {
    if (onnx == type.onnx) return &type;
  }
  return nullptr;
}

}  // namespace zigma::addon
