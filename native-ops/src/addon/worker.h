// A thread of its own for work that belongs on one thread.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace zigma::addon {

/// Does one piece of work after the other. ONNX Runtime keeps what it recorded for the thread that ran it: on Node's pool every thread would record the
/// same run once more, and make it twice on that occasion.
class Worker {
 public:
  Worker() : thread_([this] { Loop(); }) {}
  ~Worker() {
    {
      const std::lock_guard guard(mutex_);
      ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Waits for its turn and until `work` is done; throws what `work` throws.
  void Do(const std::function<void()>& work) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !work_; });
    std::exception_ptr failure;
    bool done = false;
    work_ = [&] {
      try {
        work();
      } catch (...) {
        failure = std::current_exception();
      }
      done = true;
    };
    changed_.notify_all();
    changed_.wait(lock, [&] { return done; });
    if (failure) std::rethrow_exception(failure);
  }

 private:
  void Loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ends_ || work_; });
      if (!work_) return;
      lock.unlock();
      work_();
      lock.lock();
      work_ = nullptr;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;  // null: none
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace zigma::addon
