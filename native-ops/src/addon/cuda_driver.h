// NVIDIA's driver, found at run time: this addon is the same binary with and without a GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace zigma::addon {

struct GpuDescription {
  std::string name;
  std::string driver;  // the CUDA version that the driver speaks, "13.0"
  size_t free_bytes;
  size_t total_bytes;
  int compute_capability;  // ten times: 75, 80, 90
};

/// The first GPU. Its memory is taken and filled through the driver, in the context that ONNX Runtime uses too.
class CudaDriver {
 public:
  /// Throws DeviceError with a sentence when there is no driver or no GPU.
  static const CudaDriver& Get();

  GpuDescription Describe() const;
  /// Zeroed. Throws OutOfMemory.
  uint64_t Allocate(size_t size_bytes) const;
  void Free(uint64_t address) const noexcept;
  /// Both return when the bytes are there.
  void CopyIn(uint64_t to, const void* from, size_t size_bytes) const;
  void CopyOut(void* to, uint64_t from, size_t size_bytes) const;

 private:
  CudaDriver();
  void Check(int status, const char* what) const;
  void Enter() const;

  void* context_ = nullptr;
  int device_ = 0;

  int (*error_name_)(int, const char**);
  int (*set_current_)(void*);
  int (*synchronize_)();
  int (*device_name_)(char*, int, int);
  int (*driver_version_)(int*);
  int (*device_attribute_)(int*, int, int);
  int (*memory_info_)(size_t*, size_t*);
  int (*allocate_)(uint64_t*, size_t);
  int (*free_)(uint64_t);
  int (*fill_)(uint64_t, unsigned char, size_t);
  int (*copy_in_)(uint64_t, const void*, size_t);
  int (*copy_out_)(void*, uint64_t, size_t);
};

}  // namespace zigma::addon
