// What the kernels work on: strided samples, and objects in luma coordinates. Checked by kernels/ops.py.
#pragma once

#include <cstddef>
#include <cstdint>

namespace anonfilter {

// Layout of a format: significant bits, position of the lowest one, chroma subsampling, and whether the chroma
// sample i belongs to luma column (row) 2i-1 too.
struct Format {
  int depth = 8;
  int shift = 0;
  int itemsize = 1;
  int log2_w = 0;
  int log2_h = 0;
  bool left = false;
  bool top = false;
};

// One component: stride in bytes, step in samples (2 where U and V are interleaved).
struct Channel {
  void* data = nullptr;
  std::ptrdiff_t stride = 0;
  int step = 1;
};

// The components that share one geometry: luma alone, or both chroma components.
struct Plane {
  int width = 0;
  int height = 0;
  bool chroma = false;
  int channels = 0;
  Channel channel[2];
};

enum class Shape : int { rect = 0, ellipse = 1, mask = 2 };

// kernels/targets.py, Target. mask: (y1-y0) rows of x1-x0 bytes.
struct Target {
  int x0, y0, x1, y1;
  Shape shape;
  int h;
  const std::uint8_t* mask;
};

// The samples of a component as codes of `depth` bits, whatever their storage.
struct Source {
  const void* data = nullptr;
  std::ptrdiff_t stride = 0;
  int step = 1;
  int itemsize = 1;
  int shift = 0;
  unsigned code_mask = 255;
  int x0 = 0, y0 = 0;  // the plane's sample that `data` begins with

  static Source of(const Channel& channel, const Format& format) {
    return {channel.data, channel.stride, channel.step, format.itemsize, format.shift, (1u << format.depth) - 1u};
  }
  // Codes of n samples of row y from column x on, shifted up by `up` bits.
  void load(int x, int y, int n, std::uint16_t* out, int up) const;
};

}  // namespace anonfilter
