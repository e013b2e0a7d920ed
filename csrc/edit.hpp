// Blur, pixelize and fill, in place on the planes of one frame.
#pragma once

#include <cstdint>
#include <vector>

#include "division.hpp"
#include "planes.hpp"
#include "region.hpp"
#include "writer.hpp"

namespace anonfilter {

enum class Kind { blur, pixelize, fill };

struct Effect {
  Kind kind = Kind::fill;
  int passes = 1;
  int cells = 1;
  int color[3] = {16, 128, 128};  // 8-bit codes of Y, U, V
};

// What a component of a region is made from: the input, whatever was written meanwhile, and where results go.
struct Job {
  const Source& source;
  const Region& region;
  const Cover& cover;
  const Writer& writer;
};

// Memory of one region, kept by a thread from region to region and from call to call: a region's buffers are megabytes,
// and fresh ones would cost a page fault for every 4 KiB, each time.
struct Scratch {
  Room<std::uint16_t> state, rows, zeros, counts, running, line;
  Room<std::uint32_t> sums, along;
  Room<std::uint64_t> cells;
  Room<std::uint8_t> mask;
  Room<int> index;
  WindowTables window;
  ColumnDivisions divisions;
};
Scratch& scratch();

// threads: how many may work on the region.
void blur_full(const Job& job, int passes, int depth, int threads);
void blur_spans(const Job& job, int passes, int depth, int threads);
void blur_bitmap(const Job& job, int passes, int depth);
void pixelize(const Job& job, int cells);
void fill(const Job& job, std::uint16_t code);

void edit(const Plane* planes, int plane_count, const Format& format, const std::vector<Target>& targets, int feather,
          const Effect& effect);

}  // namespace anonfilter
