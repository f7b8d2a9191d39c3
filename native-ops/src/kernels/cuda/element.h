// The element types of the CUDA kernels, for the compiler of the host too.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../params.h"

namespace zigma {

template <> struct WideOf<__half> { using type = float; };
template <> struct WideOf<__nv_bfloat16> { using type = float; };

}  // namespace zigma
