// The gradient of the selective scan, a chunk at a time from the end: the chunk is run forward from the state at its border, its states are
// kept in shared memory (with the elements' own precision), then it is walked back:
//
//   dh[l] += C[l] g[l]                     g = dy silu(z)
//   dC[l] = g h[l]   dB[l] = dh[l] delta u     summed over the channels, which lie in the lanes
//   du = D g + delta dot(dh, B)            ddelta = u dot(dh, B) + dot(dh, decay A h[l-1])
//   dA += dh decay delta h[l-1]            dh[l-1] = dh[l] decay
#include <algorithm>

#include "selective_scan.cuh"
#include "tensor_cores.cuh"

namespace zigma::cuda {
namespace {

constexpr int kTile = 4;  // positions loaded together on the way back

// States of a chunk, a thread's own; 16-bit elements are kept in pairs.
template <typename T, int N>
struct Kept {
  static constexpr int kWords = sizeof(T) == 2 ? N / 2 : N;
  static constexpr int kBytes = kChunk * kWords * kWarp * 4;
  uint32_t* words;  // [kChunk, kWords, 32]

  __device__ void Put(int slot, const float (&h)[N]) {
    uint32_t* to = words + slot * kWords * kWarp + threadIdx.x % kWarp;
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      if constexpr (sizeof(T) == 2) {
        uint32_t pair;
        T* parts = reinterpret_cast<T*>(&pair);
        parts[0] = FromFloat<T>(h[2 * i]), parts[1] = FromFloat<T>(h[2 * i + 1]);
        to[i * kWarp] = pair;
      } else {
        to[i * kWarp] = __float_as_uint(h[i]);
      }
    }
  }

  __device__ void Get(int slot, float (&h)[N]) const {
    const uint32_t* from = words + slot * kWords * kWarp + threadIdx.x % kWarp;
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      const uint32_t word = from[i * kWarp];
      if constexpr (sizeof(T) == 2) {
        const T* parts = reinterpret_cast<const T*>(&word);
        h[2 * i] = ToFloat(parts[0]), h[2 * i + 1] = ToFloat(parts[1]);
      } else {
        h[i] = __uint_as_float(word);
      }
    }
  }
};

// Adds each of 2 N values over the 32 lanes by halves: at every step a lane gives away one half of its values and takes the other's share of the
// half it keeps. Lane i ends with the sum of value i * 2 N / 32; there are 32 values at most.
template <int M>
__device__ inline void SumOverLanes(float (&v)[M]) {
  int many = M;
#pragma unroll
  for (int bit = kWarp / 2; bit > 0; bit /= 2) {
    const bool upper = threadIdx.x & bit;
    if (many > 1) {
      many /= 2;
#pragma unroll
      for (int i = 0; i < M / 2; ++i) {
        if (i >= many) break;
        const float give = upper ? v[i] : v[i + many], keep = upper ? v[i + many] : v[i];
        v[i] = keep + __shfl_xor_sync(kAllLanes, give, bit);
      }
    } else {
      v[0] += __shfl_xor_sync(kAllLanes, v[0], bit);
    }
  }
}

// The same for 32 products on the tensor cores, which add four lanes' values at once: rows of ones and zeros pick the value. Factors and products
// are rounded to bfloat16; the sums are float. A lane ends with the sum `Index()`.
struct TensorSum {
  uint32_t low[2], high[2];

  __device__ TensorSum() {
    const int lane = threadIdx.x % kWarp, row = lane / 4, slot = row % 4;
    const uint32_t first = 0x00003f80u, second = 0x3f800000u;  // bfloat16 1 in the lower, in the upper half
    const uint32_t one = slot == 0 ? first : slot == 1 ? second : 0u, other = slot == 2 ? first : slot == 3 ? second : 0u;
#pragma unroll
    for (int i = 0; i < 2; ++i) low[i] = row / 4 == i ? one : 0u, high[i] = row / 4 == i ? other : 0u;
  }

  __device__ static uint32_t Product(uint32_t a, uint32_t b) {
    uint32_t product;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(product) : "r"(a), "r"(b), "r"(0x80008000u));  // plus -0: a product alone needs 9.0
    return product;
  }

  // Sums over the lanes of x[n] times `with`: of states n = lane / 4 and n = lane / 4 + 8, these not yet over the lane's neighbors of four.
  __device__ void Sum(const float (&x)[16], float with, float& sum, float& sum8) const {
    const uint32_t factor = Pair<__nv_bfloat16>(with, with);
    float d[4] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t b0 = Product(Pair<__nv_bfloat16>(x[4 * i], x[4 * i + 1]), factor), b1 = Product(Pair<__nv_bfloat16>(x[4 * i + 2], x[4 * i + 3]), factor);
      if (i < 2) Multiply<__nv_bfloat16>(d, low[i], 0u, high[i], 0u, b0, b1);
      else Multiply<__nv_bfloat16>(d, 0u, low[i - 2], 0u, high[i - 2], b0, b1);
    }
    sum = d[0] + d[1], sum8 = d[2] + d[3];
  }

  // Value n < 16: the sum of x[n] with; value 16 + n: the sum of y[n] along.
  __device__ float operator()(const float (&x)[16], float with, const float (&y)[16], float along) const {
    float sums[4];
    Sum(x, with, sums[0], sums[1]);
    Sum(y, along, sums[2], sums[3]);
    const bool two = threadIdx.x & 2, one = threadIdx.x & 1;
    const float give0 = two ? sums[0] : sums[2], give1 = two ? sums[1] : sums[3];
    const float keep0 = (two ? sums[2] : sums[0]) + __shfl_xor_sync(kAllLanes, give0, 2);
    const float keep1 = (two ? sums[3] : sums[1]) + __shfl_xor_sync(kAllLanes, give1, 2);
    return (one ? keep1 : keep0) + __shfl_xor_sync(kAllLanes, one ? keep0 : keep1, 1);
  }

  __device__ static int Index() {
    const int lane = threadIdx.x % kWarp;
    return (lane & 2) * 8 + (lane & 1) * 8 + lane / 4;
  }
};

template <typename T>
__device__ inline float Gated(const T* z, int64_t at, float dy) {
  if (!z) return dy;
  const float x = ToFloat(z[at]);
  return dy * x * Sigmoid(x);
}

// What reaches the position before each span when nothing reaches its end.
template <typename T, int N>
__global__ void __launch_bounds__(kBlockWarps* kWarp) States(SelectiveScanGradParams<T> g, int span, float* ends, float* steps) {
  const SelectiveScanParams<T>& p = g.forward;
  const Place at = PlaceOf(p, span);
  const int dim = int(p.dim), length = int(p.length), segment = int(p.segment);
  __shared__ __align__(16) float projections[kBlockWarps][kTile * 2 * N];
  float(&projection)[kTile * 2 * N] = projections[threadIdx.x / kWarp];
  float a[N], dh[N] = {};
  LoadDecay(p, at, a);
  const float bias = p.delta_bias ? p.delta_bias[at.e] : 0.0f;
  float sum = 0;
  for (int first = (at.last - 1) / kTile * kTile; first + kTile > at.first; first -= kTile) {
    Projections<T, N, kTile> bc;
    bc.Fetch(p, at.b, first, at.last);
    float raw[kTile] = {}, grad[kTile] = {};
#pragma unroll
    for (int t = 0; t < kTile; ++t) {
      const int l = first + t;
      if (l < at.first || l >= at.last) continue;
      const int64_t token = at.sample + int64_t(Token(p.permutation, l, length)) * dim;
      raw[t] = ToFloat(p.delta[at.sample + int64_t(l) * dim]) + bias;
      grad[t] = Gated(p.z, token, ToFloat(g.dy[token]));
    }
    __syncwarp();
    bc.Put(projection);
    __syncwarp();
#pragma unroll
    for (int t = kTile - 1; t >= 0; --t) {
      const int l = first + t;
      if (l < at.first || l >= at.last) continue;
      const float delta = p.delta_softplus ? Softplus<T>(raw[t]) : raw[t];
      float C[N];
      LoadShared(projection + t * 2 * N + N, C);
      const bool starts = l % segment == 0;
#pragma unroll
      for (int n = 0; n < N; ++n) dh[n] = starts ? 0.0f : (dh[n] + C[n] * grad[t]) * Exp2(delta * a[n]);
      sum = starts || sum < 0.0f ? -1.0f : sum + delta;
    }
  }
  if (!at.inside) return;
  const int64_t part = int64_t(at.b) * gridDim.y + blockIdx.y;
#pragma unroll
  for (int n = 0; n < N; ++n) ends[(part * N + n) * dim + at.e] = dh[n];
  steps[part * dim + at.e] = sum;
}

template <typename T, int N>
__global__ void __launch_bounds__(kBlockWarps* kWarp, sizeof(T) == 2 && N <= 16 ? 3 : 1)
    Backward(SelectiveScanGradParams<T> g, int span, const float* incoming, float* shares, float* sums) {
  constexpr bool kTensorCores = kHasTensorCores && sizeof(T) == 2 && N == 16;
  const SelectiveScanParams<T>& p = g.forward;
  const Place at = PlaceOf(p, span);
  const int dim = int(p.dim), length = int(p.length), segment = int(p.segment), chunk = int(p.chunk), warp = threadIdx.x / kWarp;
  extern __shared__ __align__(16) char shared[];
  float* const all_projections = reinterpret_cast<float*>(shared);
  float* const projection = all_projections + warp * kChunk * 2 * N;  // B and C; then their gradients take their place
  Kept<T, N> kept = {reinterpret_cast<uint32_t*>(shared + kBlockWarps * kChunk * 2 * N * 4 + warp * Kept<T, N>::kBytes)};
  const T* const u_of = p.u + at.sample;
  const T* const delta_of = p.delta + at.sample;
  const T* const z_of = p.z ? p.z + at.sample : nullptr;
  const T* const dy_of = g.dy + at.sample;
  T* const du_of = g.du + at.sample;
  T* const d_delta_of = g.d_delta + at.sample;

  float a[N], dh[N], d_a[N] = {}, d_skip = 0, d_bias = 0;
  LoadDecay(p, at, a);
  const int64_t part = int64_t(at.b) * gridDim.y + blockIdx.y;
  const float counts = at.inside ? 1.0f : 0.0f;  // in what is summed over the channels
#pragma unroll
  for (int n = 0; n < N; ++n) dh[n] = incoming ? counts * incoming[(part * N + n) * dim + at.e] : 0.0f;
  const float skip = p.d ? p.d[at.e] : 0.0f, bias = p.delta_bias ? p.delta_bias[at.e] : 0.0f;
  const int64_t chunks = (p.length + p.chunk - 1) / p.chunk;
  const TensorSum tensor_sum;

  const unsigned stride = unsigned(dim);  // offsets inside a sequence have 32 bits
  for (int low = (at.last - 1) / kChunk * kChunk; low >= at.first; low -= kChunk) {
    const int high = min(low + kChunk, at.last);
    Projections<T, N, kChunk> bc;
    bc.Fetch(p, at.b, low, high);
    float h[N];
    const int border = low / chunk;
    {
      const T* const from = p.borders + (int64_t(at.b) * chunks + border) * p.state * dim + at.e;
#pragma unroll
      for (int n = 0; n < N; ++n) h[n] = n < p.state ? ToFloat(from[n * stride]) : 0.0f;
    }
    unsigned starts = 0;  // bit i: a segment starts at position low + i
    for (int l = (low + segment - 1) / segment * segment; l < high; l += segment) starts |= 1u << (l - low);
    __syncwarp();
    bc.Put(projection);
    __syncwarp();

    // Borders farther apart than the chunks: the way from the border to here once more.
    for (int l = border * chunk; l < low; ++l) {
      const float raw = ToFloat(delta_of[unsigned(l) * stride]) + bias, delta = p.delta_softplus ? Softplus<T>(raw) : raw;
      const float step = delta * ToFloat(u_of[unsigned(l) * stride]), cut = l % segment == 0 ? -INFINITY : 0.0f;
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const float B = n < p.state ? ToFloat(p.b[(int64_t(at.b) * length + l) * p.state + n]) : 0.0f;
        h[n] = Exp2(delta * a[n] + cut) * h[n] + B * step;
      }
    }
    // A position behind the last one has a step of zero: it changes no state and reaches nothing.
    for (int i = 0; i < kChunk; i += kTile) {
      float delta[kTile], step[kTile];
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        const unsigned row = unsigned(min(low + i + t, high - 1)) * stride;
        delta[t] = ToFloat(delta_of[row]) + bias, step[t] = ToFloat(u_of[row]);
      }
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        if (p.delta_softplus) delta[t] = Softplus<T>(delta[t]);
        if (low + i + t >= high) delta[t] = 0.0f;
        step[t] *= delta[t];
      }
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        const float cut = starts >> (i + t) & 1 ? -INFINITY : 0.0f;
        float B[N];
        LoadShared(projection + (i + t) * 2 * N, B);
        kept.Put(i + t, h);
#pragma unroll
        for (int n = 0; n < N; ++n) h[n] = Exp2(delta[t] * a[n] + cut) * h[n] + B[n] * step[t];
      }
    }

    for (int i = kChunk - kTile; i >= 0; i -= kTile) {
      float delta[kTile], u[kTile], dy[kTile], slope[kTile], gate[kTile], gate_slope[kTile];
      unsigned token[kTile];
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        const int l = min(low + i + t, high - 1);
        const unsigned row = unsigned(l) * stride;
        token[t] = unsigned(Token(p.permutation, l, length)) * stride;
        delta[t] = ToFloat(delta_of[row]) + bias, u[t] = ToFloat(u_of[row]);
        dy[t] = counts * ToFloat(dy_of[token[t]]);
        gate[t] = z_of ? ToFloat(z_of[token[t]]) : 0.0f;
      }
#pragma unroll
      for (int t = 0; t < kTile; ++t) {
        const float raw = delta[t], z = gate[t], s = Sigmoid(z);
        if (p.delta_softplus) delta[t] = Softplus<T>(raw);
        slope[t] = !p.delta_softplus || raw > 20.0f ? 1.0f : 1.0f - Exp2(-kLog2E * delta[t]);
        if (low + i + t >= high) delta[t] = 0.0f, dy[t] = 0.0f;
        gate[t] = z_of ? z * s : 1.0f;
        gate_slope[t] = s * (1.0f + z * (1.0f - s));
      }
#pragma unroll
      for (int t = kTile - 1; t >= 0; --t) {
        const bool writes = at.inside && low + i + t < high;
        float* const row = projection + (i + t) * 2 * N;
        float B[N], C[N], before[N];
        LoadShared(row + N, C);
        const float grad = dy[t] * gate[t], step = delta[t] * u[t];
        if (g.dz) {
          float y[4] = {skip * u[t], 0.0f, 0.0f, 0.0f};
#pragma unroll
          for (int n = 0; n < N; ++n) y[n % 4] += C[n] * h[n];
          if (writes) g.dz[at.sample + token[t]] = FromFloat<T>(dy[t] * ((y[0] + y[1]) + (y[2] + y[3])) * gate_slope[t]);
        }
        LoadShared(row, B);
        kept.Get(i + t, before);
        float along_b[2] = {}, along_a[2] = {}, sum;
        const float cut = starts >> (i + t) & 1 ? -INFINITY : 0.0f;  // nothing reaches back over the start of a segment
#pragma unroll
        for (int n = 0; n < N; ++n) dh[n] += C[n] * grad, along_b[n % 2] += dh[n] * B[n];
        if constexpr (kTensorCores) {
          sum = tensor_sum(dh, step, h, grad);
        } else {
          float values[2 * N];
#pragma unroll
          for (int n = 0; n < N; ++n) values[n] = dh[n] * step, values[N + n] = grad * h[n];
          SumOverLanes(values);
          sum = values[0];
        }
#pragma unroll
        for (int n = 0; n < N; ++n) {
          dh[n] *= Exp2(delta[t] * a[n] + cut);
          const float through = dh[n] * before[n];
          along_a[n % 2] += through * a[n];
          d_a[n] += through * delta[t];
          h[n] = before[n];
        }
        d_skip += grad * u[t];
        const float sum_b = along_b[0] + along_b[1], d_delta = (u[t] * sum_b + kLn2 * (along_a[0] + along_a[1])) * slope[t];
        if (writes) {
          const unsigned to = unsigned(low + i + t) * stride;
          d_bias += d_delta;
          du_of[to] = FromFloat<T>(skip * grad + delta[t] * sum_b);
          d_delta_of[to] = FromFloat<T>(d_delta);
        }
        __syncwarp();
        row[kTensorCores ? TensorSum::Index() : at.lane * 2 * N / kWarp] = sum;
      }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < (high - low) * 2 * N; i += blockDim.x) {
      float total = 0;
#pragma unroll
      for (int w = 0; w < kBlockWarps; ++w) total += all_projections[w * kChunk * 2 * N + i];
      shares[((int64_t(blockIdx.x) * gridDim.z + at.b) * length + low) * 2 * N + i] = total;
    }
    __syncthreads();
  }

  if (!at.inside) return;
#pragma unroll
  for (int n = 0; n < N; ++n) sums[(part * (N + 2) + n) * dim + at.e] = d_a[n];
  sums[(part * (N + 2) + N) * dim + at.e] = d_skip;
  sums[(part * (N + 2) + N + 1) * dim + at.e] = d_bias;
}

// shares [tiles, batch * length, 2 N] -> d_b, d_c [batch, length, state]
template <typename T, int N>
__global__ void AddShares(const float* shares, int tiles, int64_t rows, SelectiveScanGradParams<T> g) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, count = rows * 2 * N;
  const int n = int(i % (2 * N)), state = int(g.forward.state);
  if (i >= count || n % N >= state) return;
  float sum = 0;
  for (int tile = 0; tile < tiles; ++tile) sum += shares[tile * count + i];
  (n < N ? g.d_b : g.d_c)[i / (2 * N) * state + n % N] = FromFloat<T>(sum);
}

// sums [parts, N + 2, dim] -> d_a [dim, state], d_d [dim], d_delta_bias [dim]
template <typename T, int N>
__global__ void AddSums(const float* sums, int parts, SelectiveScanGradParams<T> g) {
  const int dim = int(g.forward.dim), state = int(g.forward.state), e = blockIdx.x * blockDim.x + threadIdx.x, k = blockIdx.y;
  if (e >= dim || (k < N && k >= state)) return;
  float sum = 0;
  for (int part = 0; part < parts; ++part) sum += sums[(int64_t(part) * (N + 2) + k) * dim + e];
  if (k < N) g.d_a[int64_t(e) * state + k] = sum;
  else if (k == N && g.d_d) g.d_d[e] = sum;
  else if (k == N + 1 && g.d_delta_bias) g.d_delta_bias[e] = sum;
}

template <typename T, int N>
cudaError_t Run(const SelectiveScanGradParams<T>& g, const Device& device) {
  const SelectiveScanParams<T>& p = g.forward;
  const Spans spans(p.batch, p.length, p.dim, device.processors);
  const dim3 grid = spans.Grid(p.batch), block(kBlockWarps * kWarp);
  const int parts = int(p.batch) * spans.count;
  float* incoming = nullptr;
  if (spans.count > 1) {
    incoming = device.Scratch<float>(size_t(parts) * N * p.dim);
    float* steps = device.Scratch<float>(size_t(parts) * p.dim);
    States<T, N><<<grid, block, 0, device.stream>>>(g, spans.span, incoming, steps);
    Carry<N><<<dim3(DivideUp(p.dim, 128), N, unsigned(p.batch)), 128, 0, device.stream>>>(incoming, steps, p.a, spans.count, int(p.state), int(p.dim), -1);
  }
  float* shares = device.Scratch<float>(size_t(spans.block_tiles) * p.batch * p.length * 2 * N);
  float* sums = device.Scratch<float>(size_t(parts) * (N + 2) * p.dim);
  constexpr int bytes = kBlockWarps * (kChunk * 2 * N * 4 + Kept<T, N>::kBytes);
  static const cudaError_t allowed = cudaFuncSetAttribute(Backward<T, N>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (allowed != cudaSuccess) return allowed;
  Backward<T, N><<<grid, block, bytes, device.stream>>>(g, spans.span, incoming, shares, sums);
  const int64_t rows = p.batch * p.length;
  AddShares<T, N><<<DivideUp(rows * 2 * N, 256), 256, 0, device.stream>>>(shares, spans.block_tiles, rows, g);
  AddSums<T, N><<<dim3(DivideUp(p.dim, 128), N + 2), 128, 0, device.stream>>>(sums, parts, g);
  return cudaGetLastError();
}

}  // namespace

template <typename T>
cudaError_t SelectiveScanGrad(const SelectiveScanGradParams<T>& g, const Device& device) {
  const SelectiveScanParams<T>& p = g.forward;
  if (p.chunk % kChunk != 0 && p.chunk < p.length) return cudaErrorInvalidValue;
  if (p.state <= 4) return Run<T, 4>(g, device);
  if (p.state <= 16) return Run<T, 16>(g, device);
  return cudaErrorInvalidValue;
}

template cudaError_t SelectiveScanGrad<float>(const SelectiveScanGradParams<float>&, const Device&);
template cudaError_t SelectiveScanGrad<__half>(const SelectiveScanGradParams<__half>&, const Device&);
template cudaError_t SelectiveScanGrad<__nv_bfloat16>(const SelectiveScanGradParams<__nv_bfloat16>&, const Device&);

}  // namespace zigma::cuda
