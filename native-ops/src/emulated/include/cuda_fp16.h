// float16 on the emulated device: what the compiler knows of it.
#pragma once

struct __half { _Float16 x; };

inline float __half2float(__half x) { return float(x.x); }
inline __half __float2half_rn(float x) { return {_Float16(x)}; }
