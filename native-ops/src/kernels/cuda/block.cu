// The stream between the mixers: residual sum, norm and modulation in one pass over a token's channels; and the gate.
//
// A thread has V neighboring channels of each token that it meets, so that what belongs to a channel stays in its registers: weight, scale and gate, and
// the gradients' sums over tokens. threadIdx.x says which channels, in whole warps a token; threadIdx.y which of the tokens that a block has in hand.
#include <algorithm>
#include <type_traits>
#include <utility>

#include "columns.cuh"
#include "kernels.h"

namespace zigma::cuda {
namespace {

// Four: 16 bytes of float and 8 of 16 bits, so that the accesses of a warp lie side by side in both. One where channels are not a multiple of four.
constexpr int kChannels = 4;
// Where tokens are so few that all are at work at once if a thread has more channels, that is faster than one token after the other.
constexpr int kChannelsOfFew = 8;
constexpr int kThreads = 384;                                // of a block, where a token needs no more
template <int V> constexpr int kMost = V == 1 ? 1024 : 768;  // threads of a token: so many share a multiprocessor at 80 registers each

// Threads that a multiprocessor has at once, at the registers of their kernel.
template <int V> constexpr int kResidentNorm = V == kChannelsOfFew || !kHasTensorCores ? 768 : 1152;  // Turing has room for 1024
constexpr int kResidentNormGrad = 768, kResidentGateGrad = 1536;

// V elements as they lie in memory, zero where there are none. They are not converted before they are used, so that many loads are under way together.
template <typename T, int V>
struct Piece {
  static constexpr int kBytes = V * int(sizeof(T));
  struct alignas(16) Wide { uint4 parts[kBytes > 16 ? kBytes / 16 : 1]; };
  using Raw = std::conditional_t<kBytes >= 16, Wide, std::conditional_t<kBytes == 8, uint2, T>>;
  Raw raw = {};
  __device__ Piece() {}
  __device__ Piece(const T* base, int64_t at, bool wanted) {
    if (base && wanted) raw = *reinterpret_cast<const Raw*>(base + at);
  }
  __device__ float operator[](int i) const { return ToFloat(reinterpret_cast<const T*>(&raw)[i]); }
};

// Each value's sum over the threads of a token. One barrier is enough, for calls have the two rooms by turns.
template <int N>
__device__ inline void SumOverToken(float (&values)[N], float (&rooms)[2][kWarp][N], int& turn) {
  auto& room = rooms[turn ^= 1];
  const int warps = blockDim.x / kWarp, first = threadIdx.y * warps;
#pragma unroll
  for (int n = 0; n < N; ++n) {
    values[n] = WarpSum(values[n]);
    if (threadIdx.x % kWarp == 0) room[first + threadIdx.x / kWarp][n] = values[n];
  }
  __syncthreads();
#pragma unroll
  for (int n = 0; n < N; ++n) values[n] = 0;
  for (int warp = first; warp < first + warps; ++warp)
#pragma unroll
    for (int n = 0; n < N; ++n) values[n] += room[warp][n];
}

// The threads of a block whose channels are the same add up what they have of each wanted sum and leave it at its share. `room` has RoomOf(Count, V, threads) bytes.
template <int Count, int V, typename Share>
__device__ inline void SumOverTokens(const float (&values)[Count][V], const bool (&wanted)[Count], float* room, const Share& share_of, bool inside) {
  const int threads = blockDim.x * blockDim.y, thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (int which = 0; which < Count; ++which)
#pragma unroll
    for (int i = 0; i < V; ++i) room[(which * V + i) * threads + thread] = values[which][i];
  __syncthreads();
  if (threadIdx.y > 0 || !inside) return;
#pragma unroll
  for (int which = 0; which < Count; ++which) {
    if (!wanted[which]) continue;  // the same for all threads
    float sums[V];
#pragma unroll
    for (int i = 0; i < V; ++i) {
      sums[i] = values[which][i];
      for (int y = 1; y < int(blockDim.y); ++y) sums[i] += room[(which * V + i) * threads + y * blockDim.x + threadIdx.x];
    }
    Store<V>(share_of(which), sums);
  }
}

constexpr int RoomOf(int count, int v, int threads) { return count * v * threads * int(sizeof(float)); }

// How tokens are shared out: blocks of `threads`, for each sample `parts` of them with `rows` tokens each.
struct Shape {
  dim3 threads;
  int parts, rows;
  dim3 Grid(int64_t batch) const { return dim3(unsigned(batch), unsigned(parts)); }
};

// As many parts as let the blocks end together: a round of blocks, those that are on the chip at once with `resident` threads a multiprocessor, takes as
// long as a thread's tokens, and about as long as `kTokensOfStart` more to begin and end.
template <int V>
Shape ShapeOf(int64_t batch, int64_t length, int64_t dim, int resident, const Device& device) {
  constexpr int kTokensOfStart = 2;
  const int x = DivideUp(dim, V * kWarp) * kWarp, y = std::max(1, kThreads / x);
  const int64_t at_once = int64_t(device.processors) * std::max(1, resident / (x * y));
  const int most = DivideUp(length, y);
  Shape best = {};
  int64_t least = 0;
  for (int parts = 1; parts <= most && (parts - 1) * batch <= 4 * at_once; ++parts) {
    const int steps = DivideUp(most, parts);
    const int64_t cost = DivideUp(batch * parts, at_once) * (steps + kTokensOfStart);
    if (best.parts == 0 || cost < least) best = {dim3(x, y), DivideUp(most, steps), steps * y}, least = cost;
  }
  return best;
}

// The bias of what is gated, in a branch of its own: loaded together with the rest it would take the registers of a third block on the multiprocessor.
template <int V, typename Gate, typename Bias>
__device__ inline void AddGatedBias(float (&gated)[V], const Gate& gate, const Bias& y_bias) {
#pragma unroll
  for (int i = 0; i < V; ++i) gated[i] += gate[i] * y_bias[i];
}

// `Threads`: of a block at most.
template <typename T, int V, int Threads>
__global__ void __launch_bounds__(Threads, kResidentNorm<V> / Threads) Norm(AddNormModulateParams<T> p, int rows) {
  __shared__ float rooms[2][kWarp][1];
  int turn = 0;
  const int dim = int(p.dim), b = blockIdx.x, channel = threadIdx.x * V;
  const int first = blockIdx.y * rows, last = min(int(p.length), first + rows);
  const bool inside = channel < dim;
  const auto of_sample = [&](const T* base, int64_t stride) { return Piece<T, V>(base, b * stride + channel, inside); };
  const Piece<float, V> weight(p.weight, channel, inside), bias(p.bias, channel, inside);
  const Piece<T, V> gate = of_sample(p.gate, p.gate_stride), scale = of_sample(p.scale, p.scale_stride), shift = of_sample(p.shift, p.shift_stride);
  const float keep = p.keep ? p.keep[b] : 1.0f;
  struct Token {
    Piece<T, V> h, y;
    Piece<float, V> residual;
  };
  const auto fetch = [&](int l) {
    const bool wanted = inside && l < last;
    const int64_t at = (int64_t(b) * p.length + l) * dim + channel;
    return Token{{p.h, at, wanted}, {p.y, at, wanted}, {p.residual, at, wanted}};
  };
  // The next token's numbers are under way while this one's are added up; where tokens are few, threads have no next one.
  constexpr bool kAhead = V != kChannelsOfFew;
  Token next;
  if (kAhead) next = fetch(first + threadIdx.y);
  for (int start = first; start < last; start += blockDim.y) {
    const int l = start + threadIdx.y;
    const bool mine = inside && l < last;
    const int64_t row = int64_t(b) * p.length + l, at = row * dim + channel;
    const auto [h, y, residual] = kAhead ? next : fetch(l);
    if (kAhead) next = fetch(l + blockDim.y);
    float r[V], gated[V], sum[1] = {}, power[1] = {};
#pragma unroll
    for (int i = 0; i < V; ++i) gated[i] = h[i] + gate[i] * y[i];
    if (p.y_bias) AddGatedBias(gated, gate, Piece<float, V>(p.y_bias, channel, inside));
#pragma unroll
    for (int i = 0; i < V; ++i) {
      r[i] = gated[i] * keep + residual[i];
      sum[0] += r[i];
    }
    if (p.gated && mine) Store<V>(p.gated + at, gated);
    if (p.new_residual && mine) Store<V>(p.new_residual + at, r);
    if (p.layer_norm) SumOverToken(sum, rooms, turn);
    const float mean = p.layer_norm ? sum[0] / float(dim) : 0.0f;
    if (mine)
#pragma unroll
      for (int i = 0; i < V; ++i) power[0] += (r[i] - mean) * (r[i] - mean);
    SumOverToken(power, rooms, turn);
    const float rstd = rsqrtf(power[0] / float(dim) + float(p.epsilon));
    if (!mine) continue;
    if (threadIdx.x == 0) {
      if (p.mean) p.mean[row] = mean;
      if (p.rstd) p.rstd[row] = rstd;
    }
    float n[V], m[V];
#pragma unroll
    for (int i = 0; i < V; ++i) {
      n[i] = (r[i] - mean) * rstd * (p.weight ? weight[i] : 1.0f) + bias[i];
      m[i] = n[i] * (1.0f + scale[i]) + shift[i];
    }
    if (p.normalized) Store<V>(p.normalized + at, n);
    Store<V>(p.modulated + at, m);
  }
}

// What the gradient of a norm adds up over tokens: their order among the shares.
enum Sum { kWeight, kBias, kShift, kScale, kGate, kYBias, kSums };

// The gradients of a gate and of the bias of what is gated, after all tokens: of their sums of g y and of g, the gradient of a gated sum, come those of
// g (y + y_bias) and of g gate, for gate and bias are the same for all tokens of a sample.
template <int V, typename T>
__device__ inline void FinishGateSums(const Piece<float, V>& y_bias, const Piece<T, V>& gate, float (&d_gate)[V], float (&d_y_bias)[V]) {
#pragma unroll
  for (int i = 0; i < V; ++i) d_gate[i] += d_y_bias[i] * y_bias[i], d_y_bias[i] *= gate[i];
}

template <typename T, int V>
__global__ void __launch_bounds__(kMost<V>) NormGrad(AddNormModulateGradParams<T> p, int rows, float* shares) {
  __shared__ float rooms[2][kWarp][2];
  extern __shared__ __align__(16) char memory[];
  int turn = 0;
  const int dim = int(p.dim), b = blockIdx.x, channel = threadIdx.x * V;
  const int first = blockIdx.y * rows, last = min(int(p.length), first + rows);
  const bool inside = channel < dim;
  const int64_t sample = int64_t(b) * dim + channel;
  const Piece<float, V> weight(p.weight, channel, inside);
  const Piece<T, V> scale(p.scale, sample, inside), gate(p.gate, sample, inside);
  const float keep = p.keep ? p.keep[b] : 1.0f;
  float sums[kSums][V] = {};
  for (int start = first; start < last; start += blockDim.y) {
    const int l = start + threadIdx.y;
    const bool mine = inside && l < last;
    const int64_t row = int64_t(b) * p.length + l, at = row * dim + channel;
    const Piece<float, V> r(p.r, at, mine), d_residual(p.d_residual, at, mine);
    const Piece<T, V> d_modulated(p.d_modulated, at, mine), more(p.d_modulated_more, at, mine), d_normalized(p.d_normalized, at, mine);
    const Piece<T, V> y(p.y, at, mine), d_gated(p.d_gated, at, mine);
    const float mean = p.layer_norm && mine ? p.mean[row] : 0.0f, rstd = mine ? p.rstd[row] : 0.0f;
    float normal[V], g[V], dots[2] = {};  // of g with ones and with what is normal
#pragma unroll
    for (int i = 0; i < V; ++i) {
      normal[i] = (r[i] - mean) * rstd;
      const float dm = d_modulated[i] + more[i], dn = dm * (1.0f + scale[i]) + d_normalized[i];
      sums[kWeight][i] += dn * normal[i], sums[kBias][i] += dn;
      sums[kShift][i] += dm, sums[kScale][i] += dm * normal[i];
      g[i] = dn * (p.weight ? weight[i] : 1.0f);
      dots[0] += g[i], dots[1] += g[i] * normal[i];
    }
    SumOverToken(dots, rooms, turn);
    if (!mine) continue;
    const float mean_g = p.layer_norm ? dots[0] / float(dim) : 0.0f, mean_gn = dots[1] / float(dim);
#pragma unroll
    for (int i = 0; i < V; ++i) g[i] = rstd * (g[i] - mean_g - normal[i] * mean_gn) + d_residual[i];
    if (p.d_residual_in) Store<V>(p.d_residual_in + at, g);
#pragma unroll
    for (int i = 0; i < V; ++i) g[i] = g[i] * keep + d_gated[i];
    Store<V>(p.dh + at, g);
    if (!p.gate) continue;
#pragma unroll
    for (int i = 0; i < V; ++i) sums[kGate][i] += g[i] * y[i], sums[kYBias][i] += g[i], g[i] *= gate[i];
    Store<V>(p.dy + at, g);
  }
  // The scale multiplies what weight and bias, the same for all tokens, made of the normal numbers.
  const Piece<float, V> bias(p.bias, channel, inside);
#pragma unroll
  for (int i = 0; i < V; ++i) sums[kScale][i] = sums[kScale][i] * (p.weight ? weight[i] : 1.0f) + sums[kShift][i] * bias[i];
  FinishGateSums(Piece<float, V>(p.y_bias, channel, inside), gate, sums[kGate], sums[kYBias]);
  const bool wanted[kSums] = {p.d_weight != nullptr, p.d_bias != nullptr, p.d_shift != nullptr,
                              p.d_scale != nullptr,  p.d_gate != nullptr, p.d_y_bias != nullptr};
  const auto share_of = [&](int which) { return shares + ((int64_t(which) * gridDim.x + b) * gridDim.y + blockIdx.y) * dim + channel; };
  SumOverTokens(sums, wanted, reinterpret_cast<float*>(memory), share_of, inside);
}

template <typename T, int V>
__global__ void Gate(GateAddParams<T> p) {
  const int64_t piece = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, pieces = p.dim / V;
  if (piece >= p.batch * p.length * pieces) return;
  const int64_t row = piece / pieces, channel = piece % pieces * V, at = row * p.dim + channel;
  float n[V], gate[V], y[V];
  Load<V>(p.n + at, n);
  Load<V>(p.y + at, y);
  Load<V>(p.gate + row / p.length * p.gate_stride + channel, gate);
#pragma unroll
  for (int i = 0; i < V; ++i) n[i] += gate[i] * y[i];
  if (p.y_bias) {
    float y_bias[V];
    Load<V>(p.y_bias + channel, y_bias);
    AddGatedBias(n, gate, y_bias);
  }
  Store<V>(p.out + at, n);
}

template <typename T, int V>
__global__ void __launch_bounds__(kMost<V>) GateGrad(GateAddGradParams<T> p, int rows, float* shares) {
  extern __shared__ __align__(16) char memory[];
  const int dim = int(p.dim), b = blockIdx.x, channel = threadIdx.x * V;
  const int first = blockIdx.y * rows, last = min(int(p.length), first + rows);
  const bool inside = channel < dim;
  const Piece<T, V> gate(p.gate, int64_t(b) * dim + channel, inside);
  float sums[2][V] = {};
  auto& [d_gate, d_y_bias] = sums;
#pragma unroll 4
  for (int l = first + threadIdx.y; l < last; l += blockDim.y) {
    if (!inside) continue;
    const int64_t at = (int64_t(b) * p.length + l) * dim + channel;
    float d_out[V], y[V];
    Load<V>(p.d_out + at, d_out);
    Load<V>(p.y + at, y);
#pragma unroll
    for (int i = 0; i < V; ++i) d_gate[i] += d_out[i] * y[i], d_y_bias[i] += d_out[i], d_out[i] *= gate[i];
    Store<V>(p.dy + at, d_out);
  }
  FinishGateSums(Piece<float, V>(p.y_bias, channel, inside), gate, d_gate, d_y_bias);
  const auto share_of = [&](int which) { return shares + ((int64_t(which) * gridDim.x + b) * gridDim.y + blockIdx.y) * dim + channel; };
  const bool wanted[] = {true, p.d_y_bias != nullptr};
  SumOverTokens(sums, wanted, reinterpret_cast<float*>(memory), share_of, inside);
}

template <typename T, int V>
cudaError_t Run(const AddNormModulateParams<T>& p, const Device& device) {
  const Shape shape = ShapeOf<V>(p.batch, p.length, p.dim, kResidentNorm<V>, device);
  const auto norm = int(shape.threads.x * shape.threads.y) <= kThreads ? Norm<T, V, kThreads> : Norm<T, V, kMost<V>>;
  norm<<<shape.Grid(p.batch), shape.threads, 0, device.stream>>>(p, shape.rows);
  return cudaGetLastError();
}

template <typename T, int V>
cudaError_t Run(const AddNormModulateGradParams<T>& p, const Device& device) {
  const Shape shape = ShapeOf<V>(p.batch, p.length, p.dim, kResidentNormGrad, device);
  const int batch = int(p.batch), parts = shape.parts;
  const int64_t each = p.batch * parts * p.dim;
  float* shares = device.Scratch<float>(kSums * each);
  const int most = std::min(RoomOf(kSums, V, kMost<V>), device.shared_bytes);  // fewer threads need less
  static const cudaError_t allowed = cudaFuncSetAttribute(NormGrad<T, V>, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
  if (allowed != cudaSuccess) return allowed;
  NormGrad<T, V><<<shape.Grid(p.batch), shape.threads, RoomOf(kSums, V, shape.threads.x * shape.threads.y), device.stream>>>(p, shape.rows, shares);
  ShareSums<T> sums = {p.dim};
  const std::pair<Sum, float*> of_all[] = {{kWeight, p.d_weight}, {kBias, p.d_bias}, {kYBias, p.d_y_bias}};
  for (const auto& [which, out] : of_all)
    if (out) sums.Add({shares + which * each, 1, batch * parts, out, nullptr});
  const std::pair<Sum, T*> of_sample[] = {{kShift, p.d_shift}, {kScale, p.d_scale}, {kGate, p.d_gate}};
  for (const auto& [which, out] : of_sample)
    if (out) sums.Add({shares + which * each, batch, parts, nullptr, out});
  RunAddShares(sums, device.stream);
  return cudaGetLastError();
}

template <typename T, int V>
cudaError_t Run(const GateAddParams<T>& p, const Device& device) {
  Gate<T, V><<<DivideUp(p.batch * p.length * (p.dim / V), 256), 256, 0, device.stream>>>(p);
  return cudaGetLastError();
}

template <typename T, int V>
cudaError_t Run(const GateAddGradParams<T>& p, const Device& device) {
  const Shape shape = ShapeOf<V>(p.batch, p.length, p.dim, kResidentGateGrad, device);
  const int64_t each = p.batch * shape.parts * p.dim;
  float* shares = device.Scratch<float>(2 * each);
  GateGrad<T, V><<<shape.Grid(p.batch), shape.threads, RoomOf(2, V, shape.threads.x * shape.threads.y), device.stream>>>(p, shape.rows, shares);
  ShareSums<T> sums = {p.dim};
  sums.Add({shares, int(p.batch), shape.parts, nullptr, p.d_gate});
  if (p.d_y_bias) sums.Add({shares + each, 1, int(p.batch) * shape.parts, p.d_y_bias, nullptr});
  RunAddShares(sums, device.stream);
  return cudaGetLastError();
}

// Whether what belongs to a sample can be read V channels at a time: in a norm it may be columns of wider rows.
template <int V, typename P>
bool ReadsWhole(const P&) { return true; }
template <int V, typename T>
bool ReadsWhole(const AddNormModulateParams<T>& p) {
  constexpr int kBytes = std::min(16, Piece<T, V>::kBytes);
  return IsWhole<kBytes>(p.shift, p.shift_stride) && IsWhole<kBytes>(p.scale, p.scale_stride) && IsWhole<kBytes>(p.gate, p.gate_stride);
}

template <typename T, template <typename> typename P>
cudaError_t Dispatch(const P<T>& p, const Device& device) {
  if constexpr (sizeof(T) == 2 && std::is_same_v<P<T>, AddNormModulateParams<T>>) {
    const bool few = p.batch * p.length * (p.dim / kChannelsOfFew) <= int64_t(device.processors) * kResidentNorm<kChannelsOfFew>;
    if (few && p.dim % (kChannelsOfFew * kWarp) == 0 && ReadsWhole<kChannelsOfFew>(p)) return Run<T, kChannelsOfFew>(p, device);
  }
  const int V = p.dim % kChannels == 0 && ReadsWhole<kChannels>(p) ? kChannels : 1;
  if (V == kChannels && p.dim <= kMost<kChannels> * kChannels) return Run<T, kChannels>(p, device);
  if (p.dim <= kMost<1>) return Run<T, 1>(p, device);
  return cudaErrorInvalidValue;
}

}  // namespace

template <typename T>
cudaError_t AddNormModulate(const AddNormModulateParams<T>& p, const Device& device) { return Dispatch<T>(p, device); }
template <typename T>
cudaError_t AddNormModulateGrad(const AddNormModulateGradParams<T>& p, const Device& device) { return Dispatch<T>(p, device); }
template <typename T>
cudaError_t GateAdd(const GateAddParams<T>& p, const Device& device) {
  const bool whole = p.dim % kVector<T> == 0 && IsWhole(p.gate, p.gate_stride);
  return whole ? Run<T, kVector<T>>(p, device) : Run<T, 1>(p, device);
}
template <typename T>
cudaError_t GateAddGrad(const GateAddGradParams<T>& p, const Device& device) { return Dispatch<T>(p, device); }

#define ZIGMA_INSTANTIATE(T)                                                                       \
  template cudaError_t AddNormModulate<T>(const AddNormModulateParams<T>&, const Device&);         \
  template cudaError_t AddNormModulateGrad<T>(const AddNormModulateGradParams<T>&, const Device&); \
  template cudaError_t GateAdd<T>(const GateAddParams<T>&, const Device&);                         \
  template cudaError_t GateAddGrad<T>(const GateAddGradParams<T>&, const Device&);
ZIGMA_INSTANTIATE(float)
ZIGMA_INSTANTIATE(__half)
ZIGMA_INSTANTIATE(__nv_bfloat16)

}  // namespace zigma::cuda
