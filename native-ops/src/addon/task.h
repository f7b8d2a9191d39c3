// Work off the JavaScript thread, seen from JavaScript as a promise.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <optional>

#include "errors.h"
#include "handle.h"
#include "worker.h"

namespace zigma::addon {

class Task {
 public:
  using Work = std::function<void()>;
  using Settle = std::function<Napi::Value(Napi::Env)>;

  /// `work` must not touch JavaScript; `settle` then makes the value on the JavaScript thread. `finally` runs there too, before the promise settles,
  /// whether the work failed or not; and there all three end, with what they hold. The work is done on `worker`'s thread, and without one on a thread of
  /// Node's pool.
  static Napi::Promise Start(Napi::Env env, Worker* worker, Work work, Settle settle, Work finally = [] {}) {
    auto task = std::unique_ptr<Task>(new Task(env, std::move(work), std::move(settle), std::move(finally)));
    const Napi::Promise promise = task->deferred_.Promise();
    if (!worker) {
      (new Pooled(env, std::move(task)))->Queue();
      return promise;
    }
    const Napi::ThreadSafeFunction back = Realm::Of(env).Expect(env);
    worker->Begin([back, task = task.release()] {
      task->Execute();
      back.NonBlockingCall(task, [](Napi::Env env, Napi::Function, Task* done) {
        const std::unique_ptr<Task> owner(done);
        Realm::Of(env).Arrived(env);
        owner->Settled(env);
      });
    });
    return promise;
  }

 private:
  struct Pooled : Napi::AsyncWorker {
    Pooled(Napi::Env env, std::unique_ptr<Task> of) : Napi::AsyncWorker(env), task(std::move(of)) {}
    void Execute() override { task->Execute(); }
    void OnOK() override { task->Settled(Env()); }
    const std::unique_ptr<Task> task;
  };

  Task(Napi::Env env, Work work, Settle settle, Work finally)
      : deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)), settle_(std::move(settle)), finally_(std::move(finally)) {}

  void Execute() {
    try {
      work_();
    } catch (...) {
      error_ = CurrentError();
    }
  }

  void Settled(Napi::Env env) {
    finally_();
    try {
      try {
        if (error_) throw ToJs(env, *error_);
        deferred_.Resolve(settle_(env));
      } catch (const Napi::Error& error) {
        deferred_.Reject(error.Value());
      }
    } catch (const Napi::Error&) {
      // A JavaScript thread that is being ended makes no values any more, and has nobody left to tell.
    }
  }

  Napi::Promise::Deferred deferred_;
  const Work work_;
  const Settle settle_;
  const Work finally_;
  std::optional<AddonError> error_;
};

}  // namespace zigma::addon
