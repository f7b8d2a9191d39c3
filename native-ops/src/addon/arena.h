// A block of device memory and the views made of it.
#pragma once

#include "handle.h"
#include "memory.h"

namespace zigma::addon {

class Arena : public Handle<Arena, Memory> {
 public:
  static constexpr const char* kName = "Arena";
  static constexpr napi_type_tag kTag = {0x2d7c90f1b8e34a56, 0xc5f0317e8d9b4a62};

  explicit Arena(const Napi::CallbackInfo& info);
  static Napi::Function Define(Napi::Env env);
  void Finalize(Napi::BasicEnv env) override;

 private:
  Napi::Value SizeBytes(const Napi::CallbackInfo& info);
  Napi::Value Tensor(const Napi::CallbackInfo& info);
  void Write(const Napi::CallbackInfo& info);
  Napi::Value Read(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);
};

}  // namespace zigma::addon
