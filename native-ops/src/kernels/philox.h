// Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), keyed by the seed,
// counted by (block, stream, step, sample). Uniform and normal numbers are made with correctly rounded float operations only, in a fixed
// order and without contraction, so that every device and engine/random/philox.ts give the same bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define ZIGMA_BOTH __host__ __device__
#else
#define ZIGMA_BOTH
#endif

namespace zigma {

struct PhiloxBlock {
  uint32_t x[4];
};

ZIGMA_BOTH inline PhiloxBlock Philox4x32(uint32_t block, uint32_t stream, uint32_t step, uint32_t sample, uint64_t seed) {
  uint32_t c0 = block, c1 = stream, c2 = step, c3 = sample;
  uint32_t k0 = uint32_t(seed), k1 = uint32_t(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * c0, p1 = uint64_t(0xCD9E8D57u) * c2;
    const uint32_t n0 = uint32_t(p1 >> 32) ^ c1 ^ k0, n2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c1 = uint32_t(p1), c3 = uint32_t(p0), c0 = n0, c2 = n2;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// [0, 1) with 24 bits.
ZIGMA_BOTH inline float UniformFloat(uint32_t x) { return float(x >> 8) * 0x1p-24f; }

// Natural logarithm of a normal positive float, relative error below 1e-6: x = m 2^e with m in [sqrt(1/2), sqrt(2)),
// log m = 2 atanh(s), s = (m - 1) / (m + 1).
ZIGMA_BOTH inline float PortableLog(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  int32_t e = int32_t(bits >> 23) - 127;
  bits = (bits & 0x007fffffu) | 0x3f800000u;
  float m;
  std::memcpy(&m, &bits, 4);
  if (m >= 1.41421354f) m = m * 0.5f, e += 1;
  const float s = (m - 1.0f) / (m + 1.0f);
  const float z = s * s;
  float p = 0.0909090936f;
  p = p * z + 0.111111112f;
  p = p * z + 0.142857149f;
  p = p * z + 0.200000003f;
  p = p * z + 0.333333343f;
  p = p * z + 1.0f;
  return float(e) * 0.693147182f + (2.0f * s) * p;
}

// cos(2 pi x) and sin(2 pi x) for x in [0, 1): the nearest quarter turn, and polynomials on [-pi/4, pi/4].
ZIGMA_BOTH inline void PortableCosSin(float x, float* cosine, float* sine) {
  const float quarters = x * 4.0f;
  const int32_t q = int32_t(quarters + 0.5f);
  const float r = (quarters - float(q)) * 1.57079637f;
  const float z = r * r;
  float s = 2.75573188e-6f;
  s = s * z + -1.98412701e-4f;
  s = s * z + 8.33333377e-3f;
  s = s * z + -0.166666672f;
  s = s * z + 1.0f;
  s = s * r;
  float c = 2.48015876e-5f;
  c = c * z + -1.38888892e-3f;
  c = c * z + 4.16666679e-2f;
  c = c * z + -0.5f;
  c = c * z + 1.0f;
  switch (q & 3) {
    case 0: *cosine = c, *sine = s; break;
    case 1: *cosine = -s, *sine = c; break;
    case 2: *cosine = -c, *sine = -s; break;
    default: *cosine = s, *sine = -c;
  }
}

// Two standard normal numbers of two words (Box and Muller). The radius uses (x + 1) 2^-24, which is never 0.
ZIGMA_BOTH inline void NormalPair(uint32_t a, uint32_t b, float* first, float* second) {
  const float u = float((a >> 8) + 1u) * 0x1p-24f;
  const float radius = std::sqrt(-2.0f * PortableLog(u));
  float cosine, sine;
  PortableCosSin(UniformFloat(b), &cosine, &sine);
  *first = radius * cosine;
  *second = radius * sine;
}

}  // namespace zigma
