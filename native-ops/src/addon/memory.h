// One block of memory, of the host or of a GPU, that tensors are views of. The last view to go frees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace zigma::addon {

enum class DeviceKind { kCpu, kCuda };

inline constexpr size_t kAlignment = 64;  // a cache line, and the widest vector register

class Memory {
 public:
  /// Zeroed and aligned to 64 bytes. Throws OutOfMemory with the size asked for, DeviceError where there is no GPU.
  static std::shared_ptr<Memory> Allocate(size_t size_bytes, DeviceKind device);

  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  DeviceKind device() const { return device_; }
  /// An address on the device: the host may not touch a GPU's.
  uint8_t* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }

  /// Throws ArgumentError unless [offset, offset + size) lies inside.
  void CheckRange(size_t offset, size_t size) const;
  /// Copies of a range inside.
  void Write(size_t offset, const void* bytes, size_t size);
  void Read(size_t offset, void* bytes, size_t size) const;

 private:
  Memory(DeviceKind device, void* block, uint8_t* data, size_t size_bytes)
      : device_(device), block_(block), data_(data), size_bytes_(size_bytes) {}

  DeviceKind device_;
  void* block_;
  uint8_t* data_;
  size_t size_bytes_;
};

}  // namespace zigma::addon
