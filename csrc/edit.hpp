// Blur, pixelize and fill, in place on the planes of one frame.
#pragma once

#include <cstdint>
#include <vector>

#include "box.hpp"
#include "planes.hpp"
#include "region.hpp"

namespace anonfilter {

enum class Kind { blur, pixelize, fill };

struct Effect {
  Kind kind = Kind::fill;
  int passes = 1;
  int cells = 1;
  int color[3] = {16, 128, 128};  // 8-bit codes of Y, U, V
};

// New samples of a region's bounding box: a row each, of samples with `fraction` bits below the code.
struct Painted {
  std::vector<const std::uint16_t*> rows;
  int fraction = 0;
};

// Memory that is kept from region to region and from call to call of a thread.
struct Scratch {
  std::vector<std::uint16_t> first, second, zeros, counts, running;
  std::vector<std::uint32_t> sums, along;
  std::vector<std::uint64_t> cells;
  std::vector<std::uint8_t> mask;
  std::vector<int> index;
  Counts across, down;
};

void paint_blur(const Source& source, const Region& region, const Cover& cover, int passes, int depth, Scratch& scratch,
                Painted& out);
void paint_pixels(const Source& source, const Region& region, const Cover& cover, int cells, Scratch& scratch, Painted& out);
void paint_color(const Region& region, std::uint16_t code, Scratch& scratch, Painted& out);

void edit(const Plane* planes, int plane_count, const Format& format, const std::vector<Target>& targets, int feather,
          const Effect& effect);

}  // namespace anonfilter
