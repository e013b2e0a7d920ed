// A detector's tensor from YUV planes in one pass: resize each component, then colour, then normalise.
#pragma once

#include "planes.hpp"

namespace anonfilter {

// kernels/letterbox.py, Letterbox. across, down: outputs along the coded x and y.
struct Placement {
  int tensor_width, tensor_height;
  int x0, y0, width, height;
  int numerator, denominator;
  int across, down;
  int pad_x, pad_y;
  bool reverse_x, reverse_y, swap;
};

// channel c = (clamp(matrix[c] . (Y, U, V, 1), 0, 255) - mean[c]) * scale[c]; pad likewise.
struct Colour {
  float matrix[3][4];
  float mean[3], scale[3], pad[3];
};

// out: 3 planes of tensor_height rows of tensor_width floats.
void letterbox(const Plane* planes, int plane_count, const Format& format, const Placement& placement, const Colour& colour,
               float* out);

}  // namespace anonfilter
