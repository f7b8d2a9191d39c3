#include <napi.h>

#include "arena.h"
#include "binding.h"
#include "handle.h"
#include "runtime.h"
#include "session.h"
#include "tensor.h"

namespace zigma::addon {

Napi::Object Exports(Napi::Env env, Napi::Object exports) {
  auto* classes = new Classes{
      Napi::Persistent(Runtime::Define(env)), Napi::Persistent(Arena::Define(env)),   Napi::Persistent(DeviceTensor::Define(env)),
      Napi::Persistent(Session::Define(env)), Napi::Persistent(Binding::Define(env)),
  };
  env.SetInstanceData(classes);
  exports.Set("openRuntime", Napi::Function::New<&Runtime::Open>(env, "openRuntime"));
  return exports;
}

NODE_API_MODULE(zigma_addon, Exports)

}  // namespace zigma::addon
