// Work off the JavaScript thread, seen from JavaScript as a promise.
#pragma once

#include <napi.h>

#include <functional>
#include <optional>

#include "errors.h"

namespace zigma::addon {

class Task : public Napi::AsyncWorker {
 public:
  /// `work` runs on a pool thread and must not touch JavaScript; `settle` then makes the value on the JavaScript
  /// thread. `finally` runs there too, before the promise settles, whether the work failed or not.
  static Napi::Promise Start(
      Napi::Env env, std::function<void()> work, std::function<Napi::Value(Napi::Env)> settle,
      std::function<void()> finally = [] {}) {
    auto* task = new Task(env, std::move(work), std::move(settle), std::move(finally));
    Napi::Promise promise = task->deferred_.Promise();
    task->Queue();
    return promise;
  }

 protected:
  void Execute() override {
    try {
      work_();
    } catch (...) {
      error_ = CurrentError();
    }
  }

  void OnOK() override {
    finally_();
    if (error_) return deferred_.Reject(ToJs(Env(), *error_).Value());
    try {
      deferred_.Resolve(settle_(Env()));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    }
  }

 private:
  Task(Napi::Env env, std::function<void()> work, std::function<Napi::Value(Napi::Env)> settle,
       std::function<void()> finally)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        settle_(std::move(settle)),
        finally_(std::move(finally)) {}

  Napi::Promise::Deferred deferred_;
  std::function<void()> work_;
  std::function<Napi::Value(Napi::Env)> settle_;
  std::function<void()> finally_;
  std::optional<AddonError> error_;
};

}  // namespace zigma::addon
