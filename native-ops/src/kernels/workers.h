// How a kernel spreads its work: `run` calls a task for every index of [0, count), on any threads, in any order, and returns when all are
// done. A result never depends on the order: partial sums belong to indices, not to threads, and are added up in index order.
#pragma once

#include <cstdint>
#include <functional>

namespace zigma {

using Task = std::function<void(int64_t index)>;

struct Workers {
  std::function<void(int64_t count, const Task& task)> run;
};

inline Workers OneWorker() {
  return {[](int64_t count, const Task& task) {
    for (int64_t i = 0; i < count; ++i) task(i);
  }};
}

}  // namespace zigma
