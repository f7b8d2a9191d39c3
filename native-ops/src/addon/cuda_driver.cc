#include "cuda_driver.h"

#include <dlfcn.h>

#include "errors.h"

namespace zigma::addon {
namespace {

constexpr int kOutOfMemory = 2;
constexpr int kCapabilityMajor = 75, kCapabilityMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_…

template <typename F>
void Find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (!function) throw AddonError("DeviceError", std::string("The NVIDIA driver is too old: it has no ") + name + ". Install a newer driver.");
}

}  // namespace

const CudaDriver& CudaDriver::Get() {
  static const CudaDriver driver;
  return driver;
}

CudaDriver::CudaDriver() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw AddonError("DeviceError", "No NVIDIA driver was found (libcuda.so.1). Install it, or use the device 'cpu'.");
  int (*init)(unsigned);
  int (*device_count)(int*);
  int (*device_get)(int*, int);
  int (*retain)(void**, int);
  Find(library, "cuInit", init);
  Find(library, "cuDeviceGetCount", device_count);
  Find(library, "cuDeviceGet", device_get);
  Find(library, "cuDevicePrimaryCtxRetain", retain);
  Find(library, "cuGetErrorName", error_name_);
  Find(library, "cuCtxSetCurrent", set_current_);
  Find(library, "cuCtxSynchronize", synchronize_);
  Find(library, "cuDeviceGetName", device_name_);
  Find(library, "cuDriverGetVersion", driver_version_);
  Find(library, "cuDeviceGetAttribute", device_attribute_);
  Find(library, "cuMemGetInfo_v2", memory_info_);
  Find(library, "cuMemAlloc_v2", allocate_);
  Find(library, "cuMemFree_v2", free_);
  Find(library, "cuMemsetD8_v2", fill_);
  Find(library, "cuMemcpyHtoD_v2", copy_in_);
  Find(library, "cuMemcpyDtoH_v2", copy_out_);
  Check(init(0), "start");
  int count = 0;
  Check(device_count(&count), "count GPUs");
  if (count == 0) throw AddonError("DeviceError", "The NVIDIA driver sees no GPU. Use the device 'cpu'.");
  Check(device_get(&device_, 0), "open the GPU");
  Check(retain(&context_, device_), "open the GPU");
}

void CudaDriver::Check(int status, const char* what) const {
  if (status == 0) return;
  const char* name = "unknown";
  error_name_(status, &name);
  throw AddonError("DeviceError", std::string("The NVIDIA driver could not ") + what + " (" + name + ").");
}

// Node runs this code on any of its threads; a context belongs to the thread that made it current.
void CudaDriver::Enter() const { Check(set_current_(context_), "use the GPU"); }

GpuDescription CudaDriver::Describe() const {
  Enter();
  GpuDescription description;
  char name[256] = {};
  int version = 0, major = 0, minor = 0;
  Check(device_name_(name, sizeof(name), device_), "name the GPU");
  Check(driver_version_(&version), "tell its version");
  Check(memory_info_(&description.free_bytes, &description.total_bytes), "tell its memory");
  Check(device_attribute_(&major, kCapabilityMajor, device_), "tell its compute capability");
  Check(device_attribute_(&minor, kCapabilityMinor, device_), "tell its compute capability");
  description.compute_capability = major * 10 + minor;
  description.name = name;
  description.driver = std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  return description;
}

uint64_t CudaDriver::Allocate(size_t size_bytes) const {
  Enter();
  uint64_t address = 0;
  const int status = allocate_(&address, size_bytes);
  if (status == kOutOfMemory) {
    throw AddonError("OutOfMemory", "The GPU cannot give " + std::to_string(size_bytes >> 20) +
                                        " MiB of memory. Choose a smaller model or batch, or close other programs.");
  }
  Check(status, "give memory");
  Check(fill_(address, 0, size_bytes), "clear memory");
  Check(synchronize_(), "clear memory");
  return address;
}

void CudaDriver::Free(uint64_t address) const noexcept {
  set_current_(context_);
  free_(address);
}

// A copy from ordinary memory may return before the bytes are on the device, and ONNX Runtime's stream does not wait for it.
void CudaDriver::CopyIn(uint64_t to, const void* from, size_t size_bytes) const {
  Enter();
  Check(copy_in_(to, from, size_bytes), "copy to the GPU");
  Check(synchronize_(), "copy to the GPU");
}

void CudaDriver::CopyOut(void* to, uint64_t from, size_t size_bytes) const {
  Enter();
  Check(copy_out_(to, from, size_bytes), "copy from the GPU");
}

}  // namespace zigma::addon
