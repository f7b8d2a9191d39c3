// A typed view of an arena, which ONNX Runtime reads and writes in place.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <vector>

#include "dtype.h"
#include "handle.h"
#include "memory.h"

namespace zigma::addon {

struct TensorState {
  std::shared_ptr<Memory> memory;
  const DType& dtype;
  std::vector<int64_t> shape;
  size_t offset;  // in the memory
  size_t size_bytes;
  Ort::Value value;
  std::atomic<int> runs{0};  // in progress; the host keeps its hands off while there are any

  /// Throws when the view does not fit into the arena or is not aligned to its element.
  static std::shared_ptr<TensorState> View(std::shared_ptr<Memory> memory, size_t offset, const DType& dtype,
                                           std::vector<int64_t> shape);
};

class DeviceTensor : public Handle<DeviceTensor, TensorState> {
 public:
  static constexpr const char* kName = "DeviceTensor";
  static constexpr napi_type_tag kTag = {0x9f3b6a1c5d2e4807, 0xa1c4e7902b6d5f38};

  using Handle::Handle;
  static Napi::Function Define(Napi::Env env);

 private:
  Napi::Value DTypeName(const Napi::CallbackInfo& info);
  Napi::Value Shape(const Napi::CallbackInfo& info);
  void Write(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  TensorState& AtRest();
};

}  // namespace zigma::addon
