#include "backend.h"

#include <map>
#include <mutex>

namespace zigma::ops {
namespace {

int DeviceNow() {
  int id = 0;
  cudaGetDevice(&id);
  return id;
}

int Attribute(cudaDeviceAttr attribute) {
  int value = 0;
  return cudaDeviceGetAttribute(&value, attribute, DeviceNow()) == cudaSuccess ? value : 0;
}

int Processors() {
  static const int count = std::max(Attribute(cudaDevAttrMultiProcessorCount), 1);
  return count;
}

int Capability() {
  static const int number = Attribute(cudaDevAttrComputeCapabilityMajor) * 10 + Attribute(cudaDevAttrComputeCapabilityMinor);
  return number;
}

int SharedBytes() {
  static const int bytes = Attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  return bytes;
}

// Zeros for the launches of a stream, which leave zeros and never meet. They stay for good, for they are few.
unsigned* FlagsOf(cudaStream_t stream) {
  static std::mutex mutex;
  static std::map<cudaStream_t, unsigned*> all;
  const std::lock_guard guard(mutex);
  unsigned*& flags = all[stream];
  if (flags) return flags;
  const size_t size_bytes = 16 * Processors() * sizeof(unsigned);
  cudaError_t status = cudaMalloc(reinterpret_cast<void**>(&flags), size_bytes);
  if (status == cudaSuccess) status = cudaMemset(flags, 0, size_bytes);
  if (status != cudaSuccess) throw Ort::Exception(std::string("the GPU gave no memory for flags: ") + cudaGetErrorString(status), ORT_RUNTIME_EXCEPTION);
  return flags;
}

}  // namespace

DeviceCall::DeviceCall(const Call& call) : op_(call.op()) {
  void* stream = nullptr;
  Ort::ThrowOnError(Ort::GetApi().KernelContext_GetGPUComputeStream(call.context(), &stream));
  device_.stream = static_cast<cudaStream_t>(stream);
  device_.processors = Processors();
  device_.capability = Capability();
  device_.shared_bytes = SharedBytes();
  device_.flags = FlagsOf(device_.stream);
  device_.scratch = [this, context = call.context()](size_t size_bytes) {
    if (!arena_) {
      const Ort::MemoryInfo where("Cuda", OrtDeviceAllocator, DeviceNow(), OrtMemTypeDefault);
      Ort::ThrowOnError(Ort::GetApi().KernelContext_GetAllocator(context, where, &arena_));
    }
    void* memory = arena_->Alloc(arena_, std::max<size_t>(size_bytes, 1));
    if (!memory) throw Ort::Exception(std::string(op_) + ": the GPU has no " + std::to_string(size_bytes >> 20) + " MiB left.", ORT_RUNTIME_EXCEPTION);
    taken_.push_back(memory);
    return memory;
  };
}

DeviceCall::~DeviceCall() {
  for (void* memory : taken_) arena_->Free(arena_, memory);
  if (arena_) Ort::GetApi().ReleaseAllocator(arena_);
}

void DeviceCall::Check(cudaError_t status) const {
  if (status == cudaSuccess) return;
  throw Ort::Exception(std::string(op_) + ": the GPU refused the work (CUDA failure " + std::to_string(status) + ": " + cudaGetErrorString(status) + ").", ORT_RUNTIME_EXCEPTION);
}

}  // namespace zigma::ops
