// Element types that cross between TypeScript and ONNX Runtime.
#pragma once

#include <cstddef>
#include <string>

#include "ort.h"

namespace zigma::addon {

struct DType {
  const char* name;
  ONNXTensorElementDataType onnx;
  size_t size_bytes;
};

/// By its TypeScript name; throws ArgumentError naming those known.
const DType& DTypeNamed(const std::string& name);

/// By ONNX Runtime's number; nullptr when the studio has no use for the type.
const DType* DTypeOf(ONNXTensorElementDataType onnx);

}  // namespace zigma::addon
