// The detector's tensor in one launch: resized, turned, padded, RGB, normalised, planar, float32 or float16.
//
// kernels/taps.py makes the tables. Samples are integers up to the last step, as on the CPU: the weighted rows have 16
// bits, their weighted sum 30. A thread makes one sample of the three channels.
#include "worklist.cuh"

namespace anonfilter {

struct Tensor {
  int tensor_width, tensor_height, across, down, pad_x, pad_y, swap;
  int half, channels, shift, depth;
  int components_at, affine_at, axes_at;
};

struct Axis {
  int start_at, weights_at, width;
};

// RGB = y * Y + u * U + v * V + one, within low..high; pad: the value beside the picture.
struct Affine {
  float y, u, v, one, low, high, pad;
};

// The nearest float16, ties to even.
__device__ inline u16 half_bits(float value) {
#ifdef ANONFILTER_HOST
  return shim::half_bits(value);
#else
  u16 bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
#endif
}

template <class T>
__device__ inline u32 resized(const int* words, const Tensor& t, int channel, int i, int j) {
  const Component part = reinterpret_cast<const Component*>(words + t.components_at)[channel];
  const Axis* axes = reinterpret_cast<const Axis*>(words + t.axes_at) + (channel ? 2 : 0);
  const Axis across = axes[0], down = axes[1];
  const int x = words[across.start_at + i], y = words[down.start_at + j];
  const u32 top = (1u << t.depth) - 1u;
  u32 sum = 0;
  for (int k = 0; k < across.width; ++k) {
    const u32 by = static_cast<u32>(words[across.weights_at + i * across.width + k]);
    if (by == 0) continue;
    u32 column = 0;
    for (int l = 0; l < down.width; ++l) {
      const u32 weight = static_cast<u32>(words[down.weights_at + j * down.width + l]);
      if (weight == 0) continue;
      const T* row = reinterpret_cast<const T*>(part.address + static_cast<long long>(y + l) * part.pitch);
      column += weight * ((row[static_cast<long long>(x + k) * part.step] >> t.shift) & top);
    }
    sum += by * column;
  }
  return sum;
}

template <class T>
__device__ inline void letterbox(const int* words, void* out) {
  const Tensor& t = *reinterpret_cast<const Tensor*>(words);
  const int area = t.tensor_width * t.tensor_height;
  const int at = static_cast<int>(blockIdx.x) * THREADS + static_cast<int>(threadIdx.x);
  if (at >= area) return;
  const int x = at % t.tensor_width - t.pad_x, y = at / t.tensor_width - t.pad_y;
  const int i = t.swap ? y : x, j = t.swap ? x : y;
  const bool inside = 0 <= i && i < t.across && 0 <= j && j < t.down;
  float code[3] = {0.0f, 0.0f, 0.0f};  // without chroma, U and V stay 0
  if (inside)
    for (int c = 0; c < 3; ++c)
      if (c < t.channels) code[c] = static_cast<float>(resized<T>(words, t, c, i, j));
  const Affine* affine = reinterpret_cast<const Affine*>(words + t.affine_at);
  for (int c = 0; c < 3; ++c) {
    const Affine a = affine[c];
    float value = a.pad;
    if (inside) {
      value = a.y * code[0] + a.one + a.u * code[1] + a.v * code[2];
      value = value < a.low ? a.low : value;
      value = value > a.high ? a.high : value;
    }
    if (t.half)
      static_cast<u16*>(out)[static_cast<long long>(c) * area + at] = half_bits(value);
    else
      static_cast<float*>(out)[static_cast<long long>(c) * area + at] = value;
  }
}

}  // namespace anonfilter

using namespace anonfilter;

KERNEL letterbox_u8(const int* words, const u16*, u16* out) { letterbox<u8>(words, out); }
KERNEL letterbox_u16(const int* words, const u16*, u16* out) { letterbox<u16>(words, out); }
