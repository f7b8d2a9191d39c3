// What both forms of attention share.
#pragma once

#include "device.h"
#include "types.cuh"

namespace zigma::cuda {

// Where one head's rows lie: row i begins at base + i * width.
struct Head {
  int64_t width, queries, keys;
  template <typename P>
  __device__ explicit Head(const P& p)
      : width(p.heads * p.head_dim),
        queries(int64_t(blockIdx.z) * p.queries * width + blockIdx.y * p.head_dim),
        keys(int64_t(blockIdx.z) * p.keys * width + blockIdx.y * p.head_dim) {}
};

// AttentionParams and AttentionGradParams of 16 bits with at most 128 channels a head, a multiple of 8, on a GPU of kTensorCapability or more.
template <typename T, template <typename> typename P>
cudaError_t OnTensorCores(const P<T>& p, const Device& device);

}  // namespace zigma::cuda
