#include "memory.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "cuda_driver.h"
#include "errors.h"

namespace zigma::addon {

std::shared_ptr<Memory> Memory::Allocate(size_t size_bytes, DeviceKind device) {
  if (device == DeviceKind::kCuda) {
    // The driver aligns to 256 bytes at least.
    auto* data = reinterpret_cast<uint8_t*>(CudaDriver::Get().Allocate(size_bytes));
    return std::shared_ptr<Memory>(new Memory(device, data, data, size_bytes));
  }
  // calloc takes fresh pages from the system untouched, so a large arena costs nothing until it is used.
  void* block =
      size_bytes <= std::numeric_limits<size_t>::max() - kAlignment ? std::calloc(1, size_bytes + kAlignment) : nullptr;
  if (!block) {
    throw AddonError("OutOfMemory", "The machine cannot give " + std::to_string(size_bytes >> 20) +
                                        " MiB of memory. Choose a smaller model or batch, or close other programs.");
  }
  const auto address = reinterpret_cast<uintptr_t>(block);
  auto* data = reinterpret_cast<uint8_t*>((address + kAlignment - 1) / kAlignment * kAlignment);
  return std::shared_ptr<Memory>(new Memory(device, block, data, size_bytes));
}

Memory::~Memory() {
  if (device_ == DeviceKind::kCuda) {
    CudaDriver::Get().Free(reinterpret_cast<uint64_t>(block_));
  } else {
    std::free(block_);
  }
}

void Memory::CheckRange(size_t offset, size_t size) const {
  if (offset <= size_bytes_ && size <= size_bytes_ - offset) return;
  throw AddonError("ArgumentError", "Bytes " + std::to_string(offset) + " to " + std::to_string(offset + size) +
                                        " do not lie inside an arena of " + std::to_string(size_bytes_) + " bytes.");
}

void Memory::Write(size_t offset, const void* bytes, size_t size) {
  if (size == 0) return;
  if (device_ == DeviceKind::kCuda) {
    CudaDriver::Get().CopyIn(reinterpret_cast<uint64_t>(data_ + offset), bytes, size);
  } else {
    std::memcpy(data_ + offset, bytes, size);
  }
}

void Memory::Read(size_t offset, void* bytes, size_t size) const {
  if (size == 0) return;
  if (device_ == DeviceKind::kCuda) {
    CudaDriver::Get().CopyOut(bytes, reinterpret_cast<uint64_t>(data_ + offset), size);
  } else {
    std::memcpy(bytes, data_ + offset, size);
  }
}

}  // namespace zigma::addon
