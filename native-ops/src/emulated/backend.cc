// What an operation's call sees of the emulated device: scratch memory that is NaN before it is written, and as many multiprocessors and the compute
// capability that the environment names (ZIGMA_EMULATED_PROCESSORS, ZIGMA_EMULATED_CAPABILITY), for what is cut and chosen by them.
#include "../ops/cuda/backend.h"

#include <cstdio>
#include <cstdlib>

namespace zigma::ops {
namespace {

int Setting(const char* name, int otherwise) {
  const char* const text = std::getenv(name);
  return text ? std::atoi(text) : otherwise;
}

// "CUDA C++ Programming Guide", technical specifications for each compute capability.
size_t SharedBytesOf(int capability) {
  const size_t kilobytes = capability >= 90 ? 227 : capability == 86 || capability == 89 ? 99 : capability >= 80 ? 163 : 64;
  return kilobytes * 1024;
}

}  // namespace

DeviceCall::DeviceCall(const Call& call) : op_(call.op()) {
  device_.stream = nullptr;
  device_.processors = Setting("ZIGMA_EMULATED_PROCESSORS", 132);
  device_.capability = Setting("ZIGMA_EMULATED_CAPABILITY", 90);
  device_.shared_bytes = int(emulated::most_shared_bytes = SharedBytesOf(device_.capability));
  static std::vector<unsigned> flags;
  flags.resize(16 * device_.processors);
  device_.flags = flags.data();
  device_.scratch = [this](size_t size_bytes) {
    void* const memory = std::malloc(size_bytes);
    memset(memory, 0xff, size_bytes);
    taken_.push_back(memory);
    return memory;
  };
}

DeviceCall::~DeviceCall() {
  for (int i = 0; i < 16 * device_.processors; ++i) {
    if (!device_.flags[i]) continue;
    std::fprintf(stderr, "%s leaves a flag raised: the next launch would not wait for it\n", op_);
    std::abort();
  }
  for (void* const memory : taken_) std::free(memory);
}

void DeviceCall::Check(cudaError_t status) const {
  if (status != cudaSuccess) throw Ort::Exception(std::string(op_) + ": the emulated GPU refused the work.", ORT_RUNTIME_EXCEPTION);
}

}  // namespace zigma::ops
