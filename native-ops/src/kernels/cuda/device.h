// Where a kernel runs: ONNX Runtime's stream, and memory that lives for one call.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>

namespace zigma::cuda {

struct Device {
  cudaStream_t stream;
  int processors;                                   // streaming multiprocessors
  int capability;                                   // 90 for compute capability 9.0
  int shared_bytes;                                 // of shared memory that a block can have: 64 KB on 7.5, 99 on 8.6 and 8.9, 163 on 8.0, 227 on 9.0
  unsigned* flags;                                  // zeros, 16 for each multiprocessor: blocks of one launch wait for each other with them, and leave zeros
  std::function<void*(size_t size_bytes)> scratch;  // from ORT's arena: no allocation of its own, so a captured graph may hold it

  template <typename T>
  T* Scratch(size_t count) const { return static_cast<T*>(scratch(count * sizeof(T))); }
};

}  // namespace zigma::cuda
