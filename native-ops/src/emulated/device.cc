#include "device.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "include/cuda_pipeline_primitives.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace zigma::emulated {

size_t most_shared_bytes = kSharedBytes;
alignas(128) char dynamic_shared[kSharedBytes];

namespace {

constexpr size_t kStackBytes = 256 * 1024;
constexpr int kMostThreads = 1024;
constexpr unsigned char kUnwritten = 0xff;  // a NaN in every type of floats

struct Copy {
  void* to;
  const void* from;
  size_t size_bytes, zeros;
};

// Threads that wait for each other. A round ends when as many have come as there are.
struct Barrier {
  int members = 0, waiting = 0;
  unsigned round = 0;

  void Come() { ++waiting, Look(); }
  void Leave() { --members, Look(); }
  void Look() {
    if (waiting > 0 && waiting == members) waiting = 0, ++round;
  }
};

struct Warp {
  Barrier barrier;
  Act act = nullptr;
  void* shares[kWarp] = {};
};

struct Fiber {
  ucontext_t start;   // where it begins
  jmp_buf here;       // and goes on: a jump asks nothing of the kernel
  bool begun = false;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  uint3 index;
  Warp* warp;
  const Barrier* awaits = nullptr;  // and the round that must end
  unsigned round = 0;
  bool ended = false;
  std::vector<Copy> copies;               // asked for and not committed
  std::deque<std::vector<Copy>> pending;  // committed and not waited for

  bool CanGoOn() const { return !ended && !(awaits && awaits->round == round); }
};

struct Block {
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Warp> warps;
  Barrier barrier;
  Fiber* running = nullptr;
  jmp_buf scheduler;
  const std::function<void()>* thread = nullptr;
  std::exception_ptr failure;
  std::mt19937 order{20261128};
};

Block block;
std::mutex one_launch;

// From the scheduler to a fiber, until that waits or ends.
[[gnu::noinline]] void GoOn(Fiber& fiber) {
  block.running = &fiber;
  threadIdx = fiber.index;
  if (_setjmp(block.scheduler) != 0) return;
  if (fiber.begun) _longjmp(fiber.here, 1);
  fiber.begun = true;
  setcontext(&fiber.start);
}

// And back.
[[gnu::noinline]] void GiveWay(Fiber& fiber) {
  if (_setjmp(fiber.here) == 0) _longjmp(block.scheduler, 1);
}

void Wait(Barrier& barrier) {
  Fiber& fiber = *block.running;
  const unsigned round = barrier.round;
  barrier.Come();
  if (barrier.round != round) return;
  fiber.awaits = &barrier, fiber.round = round;
  GiveWay(fiber);
  fiber.awaits = nullptr;
}

void Enter() {
  try {
    (*block.thread)();
    if (!block.running->copies.empty() || !block.running->pending.empty()) throw std::runtime_error("a thread ended before its copies had arrived");
  } catch (...) {
    block.failure = std::current_exception();
  }
  Fiber& fiber = *block.running;
  fiber.ended = true;
  fiber.warp->shares[fiber.index.x % kWarp] = nullptr;
  fiber.warp->barrier.Leave();
  block.barrier.Leave();
  GiveWay(fiber);
}

std::string Name(const uint3& index) { return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")"; }

void Prepare(int threads) {
  while (int(block.fibers.size()) < threads) block.fibers.push_back(std::make_unique<Fiber>());
  block.warps.assign((threads + kWarp - 1) / kWarp, Warp{});
  block.barrier = Barrier{};
  block.barrier.members = threads;
  for (int t = 0; t < threads; ++t) {
    Fiber& fiber = *block.fibers[t];
    fiber.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
    fiber.warp = &block.warps[t / kWarp];
    ++fiber.warp->barrier.members;
    fiber.awaits = nullptr, fiber.begun = fiber.ended = false;
    fiber.copies.clear(), fiber.pending.clear();
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack.get();
    fiber.start.uc_stack.ss_size = kStackBytes;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, Enter, 0);
  }
}

void RunBlock(int threads) {
  Prepare(threads);
  std::vector<Fiber*> order;
  for (int t = 0; t < threads; ++t) order.push_back(block.fibers[t].get());
  for (bool alive = true; alive;) {
    std::shuffle(order.begin(), order.end(), block.order);
    bool moved = false;
    alive = false;
    for (Fiber* fiber : order) {
      if (fiber->CanGoOn()) {
        moved = true;
        GoOn(*fiber);
        if (block.failure) return;
      }
      alive |= !fiber->ended;
    }
    if (alive && !moved) throw std::runtime_error("threads wait for each other for ever");
  }
}

}  // namespace

void Run(dim3 grid, dim3 size, size_t shared_bytes, const std::function<void()>& thread) {
  const std::lock_guard guard(one_launch);
  const int threads = int(size.x * size.y * size.z);
  if (threads < 1 || threads > kMostThreads || shared_bytes > most_shared_bytes)
    throw std::runtime_error("a block of " + std::to_string(threads) + " threads and " + std::to_string(shared_bytes) + " bytes of shared memory cannot be launched");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 || grid.z > 65535)
    throw std::runtime_error("a grid of " + Name({grid.x, grid.y, grid.z}) + " blocks cannot be launched");
  gridDim = grid, blockDim = size;
  block.thread = &thread;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        memset(dynamic_shared, kUnwritten, shared_bytes);
        block.failure = nullptr;
        try {
          RunBlock(threads);
          if (block.failure) std::rethrow_exception(block.failure);
        } catch (const std::exception& error) {
          throw std::runtime_error("block " + Name(blockIdx) + ", thread " + Name(threadIdx) + ": " + error.what());
        }
      }
}

void Together(void* share, Act act) {
  Fiber& fiber = *block.running;
  Warp& warp = *fiber.warp;
  if (warp.barrier.waiting > 0 && warp.act != act) throw std::runtime_error("lanes of a warp meet at different operations");
  warp.act = act;
  warp.shares[fiber.index.x % kWarp] = share;
  if (warp.barrier.waiting + 1 == warp.barrier.members) act(warp.shares);
  Wait(warp.barrier);
}

namespace {

template <typename T>
struct Shuffle {
  T mine, got;
  int from;
};

template <typename T>
T Exchange(T mine, int from) {
  Shuffle<T> share = {mine, mine, from};
  Together(&share, [](void* const(&shares)[kWarp]) {
    for (void* const one : shares) {
      if (!one) continue;
      auto& reader = *static_cast<Shuffle<T>*>(one);
      const auto* writer = static_cast<const Shuffle<T>*>(shares[reader.from % kWarp]);
      if (!writer) throw std::runtime_error("a lane reads from one that has ended");
      reader.got = writer->mine;
    }
  });
  return share.got;
}

void Make(const std::vector<Copy>& copies) {
  for (const auto& [to, from, size_bytes, zeros] : copies) {
    memcpy(to, from, size_bytes - zeros);
    memset(static_cast<char*>(to) + (size_bytes - zeros), 0, zeros);
  }
}

}  // namespace
}  // namespace zigma::emulated

using namespace zigma::emulated;

void __syncthreads() { Wait(block.barrier); }
void __syncwarp() {
  Together(nullptr, [](void* const(&)[kWarp]) {});
}
float __shfl_sync(unsigned, float x, int from) { return Exchange(x, from); }
unsigned __shfl_sync(unsigned, unsigned x, int from) { return Exchange(x, from); }
float __shfl_xor_sync(unsigned, float x, int mask) { return Exchange(x, int(threadIdx.x) % kWarp ^ mask); }
int __all_sync(unsigned, int yes) {
  int all = yes;
  Together(&all, [](void* const(&shares)[kWarp]) {
    int all = 1;
    for (void* const one : shares) all = all && (!one || *static_cast<const int*>(one));
    for (void* const one : shares)
      if (one) *static_cast<int*>(one) = all;
  });
  return all;
}

void __pipeline_memcpy_async(void* to, const void* from, size_t size_bytes, size_t zeros) {
  if (reinterpret_cast<uintptr_t>(to) % size_bytes || (zeros < size_bytes && reinterpret_cast<uintptr_t>(from) % size_bytes))
    throw std::runtime_error("an asynchronous copy is not aligned to its size");
  block.running->copies.push_back({to, from, size_bytes, zeros});
}
void __pipeline_commit() {
  block.running->pending.push_back(std::move(block.running->copies));
  block.running->copies.clear();
}
void __pipeline_wait_prior(size_t groups) {
  auto& pending = block.running->pending;
  for (; pending.size() > groups; pending.pop_front()) Make(pending.front());
}
