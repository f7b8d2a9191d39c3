// One block of host memory that tensors are views of. The last view to go frees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace zigma::addon {

inline constexpr size_t kAlignment = 64;  // a cache line, and the widest vector register

class Memory {
 public:
  /// Zeroed and aligned to 64 bytes. Throws OutOfMemory with the size asked for.
  static std::shared_ptr<Memory> Allocate(size_t size_bytes);

  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  uint8_t* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }

  /// Throws ArgumentError unless [offset, offset + size) lies inside.
  void CheckRange(size_t offset, size_t size) const;

 private:
  Memory(void* block, uint8_t* data, size_t size_bytes) : block_(block), data_(data), size_bytes_(size_bytes) {}

  void* block_;
  uint8_t* data_;
  size_t size_bytes_;
};

}  // namespace zigma::addon
