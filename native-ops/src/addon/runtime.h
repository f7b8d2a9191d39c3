// ONNX Runtime, loaded once into the process, and the library of native ops.
#pragma once

#include <memory>
#include <string>

#include "handle.h"
#include "memory.h"
#include "ort.h"

namespace zigma::addon {

struct RuntimeState {
  std::string ort_library;
  std::string ops_library;  // empty: standard ops only
  DeviceKind device;        // where arenas lie and sessions run
  int threads;
  std::string ort_version;
  Ort::Env* env;  // one for the process, never torn down
};

class Runtime : public Handle<Runtime, RuntimeState> {
 public:
  static constexpr const char* kName = "NativeRuntime";
  static constexpr napi_type_tag kTag = {0x71e5d04c9ab84f23, 0x8b36f2d15c7e40a9};

  using Handle::Handle;
  static Napi::Function Define(Napi::Env env);
  /// openRuntime({ortLibrary, opsLibrary, device, threads})
  static Napi::Value Open(const Napi::CallbackInfo& info);

 private:
  Napi::Value OrtVersion(const Napi::CallbackInfo& info);
  Napi::Value InstructionSet(const Napi::CallbackInfo& info);
  Napi::Value Threads(const Napi::CallbackInfo& info);
  Napi::Value Device(const Napi::CallbackInfo& info);
  Napi::Value DescribeGpu(const Napi::CallbackInfo& info);
  Napi::Value CreateArena(const Napi::CallbackInfo& info);
  Napi::Value CreateSession(const Napi::CallbackInfo& info);
};

}  // namespace zigma::addon
