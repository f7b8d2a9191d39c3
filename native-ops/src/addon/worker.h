// A thread of its own for work that belongs on one thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace zigma::addon {

/// Does one piece of work after the other.
class Worker {
 public:
  Worker() : thread_([this] { Loop(); }) {}
  /// Not on this thread, and not before the work is done.
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

  /// Begins `work`, which must not throw, as soon as all before it is done; returns at once.
  void Begin(std::function<void()> work) {
    {
      const std::lock_guard guard(mutex_);
      works_.push_back(std::move(work));
      ++left_;
    }
    changed_.notify_all();
  }

  /// Returns when nothing is left to do.
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return left_ == 0; });
  }

 private:
  // A step of a small network takes two milliseconds and the next one follows at once: waking a thread that sleeps takes a twentieth of that.
  static constexpr std::chrono::microseconds kAwake{200};

  void Loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ends_ || left_ > 0; });
      if (left_ == 0) return;
      {
        const std::function<void()> work = std::move(works_.front());
        works_.pop_front();
        lock.unlock();
        work();
      }
      lock.lock();
      --left_;
      changed_.notify_all();
      lock.unlock();
      const auto until = std::chrono::steady_clock::now() + kAwake;
      while (left_ == 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> works_;
  std::atomic<int> left_ = 0;  // works that are not done yet, the one at hand included
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace zigma::addon
