#include <napi.h>

#include "arena.h"
#include "binding.h"
#include "handle.h"
#include "runtime.h"
#include "session.h"
#include "tensor.h"

namespace zigma::addon {

Napi::Object Exports(Napi::Env env, Napi::Object exports) {
  auto* realm = new Realm{
      Napi::Persistent(Runtime::Define(env)),      Napi::Persistent(Arena::Define(env)),
      Napi::Persistent(DeviceTensor::Define(env)), Napi::Persistent(Session::Define(env)),
      Napi::Persistent(Binding::Define(env)),
      Napi::ThreadSafeFunction::New(env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}), "zigma runs", 0, 1),
      {},
  };
  realm->back.Unref(env);
  env.SetInstanceData(realm);
  env.AddCleanupHook([realm] { realm->StopRuns(); });  // the end of a worker thread, before `back` goes; process.exit() calls no such hook
  exports.Set("openRuntime", Napi::Function::New<&Runtime::Open>(env, "openRuntime"));
  exports.Set("stopRuns", Napi::Function::New(
                              env, [realm](const Napi::CallbackInfo&) { realm->StopRuns(); }, "stopRuns"));
  return exports;
}

NODE_API_MODULE(zigma_addon, Exports)

}  // namespace zigma::addon
