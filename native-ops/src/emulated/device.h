// A GPU made of this processor, for tests where there is none: the CUDA kernels are compiled as they stand, and a block's threads run one at a time as
// fibers that meet at barriers. It is the order that makes it a test: whichever thread may go on is drawn at random, and an asynchronous copy is made
// only when it is waited for, so that a missing barrier reads numbers that are not there yet. Shared and scratch memory is NaN before it is written.
//
// What it does not show: speed, races between blocks, the rounding of the special function unit.
#pragma once

#include <cstddef>
#include <functional>

#include "include/cuda_runtime_api.h"

namespace zigma::emulated {

constexpr size_t kSharedBytes = 227 * 1024;  // of a block on compute capability 9.0
constexpr int kWarp = 32;

// What the kernels' `extern __shared__` arrays are.
extern char dynamic_shared[kSharedBytes];

// Runs every thread of every block. Throws std::runtime_error, naming the block, where threads of one block wait for each other for ever.
void Run(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& thread);

// The launch `kernel<<<grid, block, shared_bytes, stream>>>(...)`.
class Grid {
 public:
  Grid(dim3 grid, dim3 block, size_t shared_bytes = 0, cudaStream_t = nullptr) : grid_(grid), block_(block), shared_bytes_(shared_bytes) {}

  template <typename... P>
  auto Of(void (*kernel)(P...)) const {
    return [*this, kernel](P... arguments) { Run(grid_, block_, shared_bytes_, [&] { kernel(arguments...); }); };
  }

 private:
  dim3 grid_, block_;
  size_t shared_bytes_;
};

// What all 32 lanes of a warp do together: each brings its own `share`, and when the last has come `act` sees all of them, in the order of their lanes,
// and fills in what each is to have. Lanes that have ended are null. Throws where lanes of a warp meet at different operations.
using Act = void (*)(void* const (&shares)[kWarp]);
void Together(void* share, Act act);

}  // namespace zigma::emulated
