// What all objects handed to JavaScript share: made only from C++, told apart by a type tag, dead after dispose().
#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <string>

#include "errors.h"
#include "ort.h"
#include "worker.h"

namespace zigma::addon {

/// What the addon keeps for one JavaScript realm. Worker threads load the addon again and get their own.
struct Realm {
  Napi::FunctionReference runtime, arena, tensor, session, binding;  // the classes
  Napi::ThreadSafeFunction back;                                     // from any thread to JavaScript's
  std::map<std::shared_ptr<Ort::RunOptions>, Worker*> runs;          // in progress, and who makes them
  int expected = 0;                                                  // calls of `back`

  static Realm& Of(Napi::Env env) { return *env.GetInstanceData<Realm>(); }

  /// For one call, until which the process stays.
  Napi::ThreadSafeFunction Expect(Napi::Env env) {
    if (expected++ == 0) back.Ref(env);
    return back;
  }
  void Arrived(Napi::Env env) {
    if (--expected == 0) back.Unref(env);
  }

  /// A training step must not hold up the end of a process, and no thread of ours may outlive it: Node waits for those of its pool alone.
  void StopRuns() {
    for (const auto& [options, worker] : runs) options->SetTerminate();
    for (const auto& [options, worker] : runs) worker->Wait();
  }
};

/// `Self` names itself with `kName`, tags itself with `kTag` and keeps its state, shared with running work, in a
/// `State`.
template <typename Self, typename State>
class Handle : public Napi::ObjectWrap<Self> {
 public:
  explicit Handle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Self>(info) {
    if (info.Length() != 1 || !info[0].IsExternal()) {
      throw Napi::TypeError::New(info.Env(),
                                 std::string(Self::kName) + " cannot be made with `new`. Call openRuntime() first.");
    }
    state_ = *info[0].As<Napi::External<std::shared_ptr<State>>>().Data();
    info.This().As<Napi::Object>().TypeTag(&Self::kTag);
  }

  static Napi::Object Wrap(Napi::Env env, const Napi::FunctionReference& constructor, std::shared_ptr<State> state) {
    return constructor.New({Napi::External<std::shared_ptr<State>>::New(env, &state)});
  }

  /// The handle behind a JavaScript value; throws ArgumentError when it is anything else.
  static Self& From(const Napi::Value& value, const char* name) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&Self::kTag)) {
      throw AddonError("ArgumentError", std::string(name) + " must be a " + Self::kName + " of this runtime.");
    }
    return *Self::Unwrap(value.As<Napi::Object>());
  }

  const std::shared_ptr<State>& state() const {
    if (!state_) throw AddonError("Disposed", std::string("This ") + Self::kName + " was disposed. Make a new one.");
    return state_;
  }

 protected:
  void Dispose(const Napi::CallbackInfo&) { state_.reset(); }

  std::shared_ptr<State> state_;
};

}  // namespace zigma::addon
