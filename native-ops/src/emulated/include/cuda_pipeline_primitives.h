// Asynchronous copies on the emulated device: made when they are waited for, which is as late as they may be.
#pragma once

#include <cstddef>

// The last `zeros` of `size_bytes` bytes become zero.
void __pipeline_memcpy_async(void* to, const void* from, size_t size_bytes, size_t zeros = 0);
void __pipeline_commit();
void __pipeline_wait_prior(size_t groups);
