// The work list as the kernels read it: kernels/worklist.py makes it and says what the fields mean.
//
// No header is included on a device: NVRTC compiles this on machines that have none.
#pragma once

#ifdef ANONFILTER_HOST
#include "host/shim.hpp"
#else
#define SHARED(type, name, n) __shared__ type name[n]
#define BARRIER(site) __syncthreads()
#endif

// Blocks that a multiprocessor should hold: 4 of 256 threads leave 64 registers a thread, which all kernels fit.
#ifndef ANONFILTER_BLOCKS
#define ANONFILTER_BLOCKS 4
#endif
#define KERNEL extern "C" __global__ void __launch_bounds__(256, ANONFILTER_BLOCKS)

namespace anonfilter {

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

constexpr int LANES = 32, WARPS = 8, THREADS = LANES * WARPS;
constexpr int PER_LANE = 4;                             // samples of a row that a lane takes at a time
constexpr int COLUMNS = 16, SEGMENTS = THREADS / COLUMNS;  // a column tile, and how its height is shared
constexpr int ALIGN = 16;

enum Shape { RECT, ELLIPSE, MASK };

struct Header {
  int region_count, row_tiles, column_tiles, cell_tiles;
  int components_at, regions_at, row_tiles_at, column_tiles_at, cell_tiles_at;
  int spans_at, rivals_at, alphas_at;
  int depth, shift;
};

struct Component {
  long long address;
  int pitch, step, width, height;
};

struct Region {
  int component;
  int x, y, width, height;
  int hx, hy, fx, fy;
  int left, top, right, bottom;
  int shape;
  int rank;
  int scratch, stride;
  int rows, columns;
  int object, middle;
  int alpha;
  int rivals, rival_count;
  int cells_x, cells_y, cells;
  int colour;
};

struct Tile {
  int region, first;
};

struct Span {
  int first, end;
};

__device__ inline int smaller(int a, int b) { return a < b ? a : b; }
__device__ inline int larger(int a, int b) { return a > b ? a : b; }
__device__ inline int clipped(int value, int low, int high) { return larger(low, smaller(value, high)); }

class List {
 public:
  __device__ explicit List(const int* words) : words_(words) {}
  __device__ const Header& header() const { return *reinterpret_cast<const Header*>(words_); }
  __device__ const Component& component(int i) const { return at<Component>(header().components_at)[i]; }
  __device__ const Region& region(int i) const { return at<Region>(header().regions_at)[i]; }
  __device__ Tile row_tile(int i) const { return at<Tile>(header().row_tiles_at)[i]; }
  __device__ Tile column_tile(int i) const { return at<Tile>(header().column_tiles_at)[i]; }
  __device__ Tile cell_tile(int i) const { return at<Tile>(header().cell_tiles_at)[i]; }
  __device__ Span span(int i) const { return at<Span>(header().spans_at)[i]; }
  __device__ int rival(int i) const { return at<int>(header().rivals_at)[i]; }
  __device__ const u16* alphas(int i) const { return at<u16>(header().alphas_at) + i; }

 private:
  template <class T>
  __device__ const T* at(int word) const {
    return reinterpret_cast<const T*>(words_ + word);
  }
  const int* words_;
};

// A component's samples as codes. T: u8 or u16, the stored words.
template <class T>
class Surface {
 public:
  __device__ Surface(const List& list, const Region& r)
      : part_(list.component(r.component)), shift_(list.header().shift), top_((1u << list.header().depth) - 1u) {}
  __device__ u32 load(int x, int y) const { return (*word(x, y) >> shift_) & top_; }
  __device__ void store(int x, int y, u32 code) const { *word(x, y) = static_cast<T>(code << shift_); }

 private:
  __device__ T* word(int x, int y) const {
    T* row = reinterpret_cast<T*>(part_.address + static_cast<long long>(y) * part_.pitch);
    return row + static_cast<long long>(x) * part_.step;
  }
  Component part_;
  int shift_;
  u32 top_;
};

// alpha at a distance of d samples.
__device__ inline int ramp(int f, int d) { return d <= f ? 256 * (f + 1 - d) / (f + 1) : 0; }

__device__ inline int distance(int x, int first, int end) { return larger(0, larger(first - x, x - end + 1)); }

// The mask's span of a region's row or column, counted from its box; a bitmap has none and is looked up besides.
__device__ inline Span row_span(const List& list, const Region& r, int row) {
  return r.shape == ELLIPSE ? list.span(r.rows + row) : Span{0, r.width};
}
__device__ inline Span column_span(const List& list, const Region& r, int column) {
  return r.shape == ELLIPSE ? list.span(r.columns + column) : Span{0, r.height};
}

// Whether the mask has the sample x, y of the region's box.
__device__ inline bool on_mask(const List& list, const Region& r, int x, int y) {
  if (r.shape == MASK) return list.alphas(r.alpha)[y * r.width + x] != 0;
  const Span span = row_span(list, r, y);
  return span.first <= x && x < span.end;
}

// alpha (0..256) of a region at the sample x, y of the component.
__device__ inline int alpha_at(const List& list, const Region& r, int x, int y) {
  const int column = x - r.x, row = y - r.y;
  if (column < 0 || column >= r.width || row < 0 || row >= r.height) return 0;
  if (r.shape == MASK) return list.alphas(r.alpha)[row * r.width + column];
  if (r.shape == RECT)
    return smaller(ramp(r.fx, distance(x, r.left, r.right)), ramp(r.fy, distance(y, r.top, r.bottom)));
  const Span mask = list.span(r.rows + row);
  if (column < mask.first || column >= mask.end) return 0;
  if (r.fx == 0 && r.fy == 0) return 256;
  int best = 0;
  for (int d = 0; d <= r.fy; ++d) {
    const int limit = ramp(r.fy, d);
    if (limit <= best) break;
    // Of the object's rows at most d away, the longest.
    const Span object = list.span(r.object + clipped(r.middle, y - d, y + d) - (r.y - r.fy));
    if (object.first >= object.end) continue;
    best = larger(best, smaller(limit, ramp(r.fx, distance(column, object.first, object.end))));
  }
  return best;
}

// Whether the region is the one that writes the sample x, y, where its alpha is `alpha`.
__device__ inline bool owns(const List& list, const Region& r, int x, int y, int alpha) {
  for (int k = 0; k < r.rival_count; ++k) {
    const Region& rival = list.region(list.rival(r.rivals + k));
    const int other = alpha_at(list, rival, x, y);
    if (other > alpha || (other == alpha && rival.rank < r.rank)) return false;
  }
  return true;
}

// Writes a new code at x, y of the component if the region owns that sample, blended with what is there.
template <class T>
__device__ inline void put(const List& list, const Region& r, const Surface<T>& surface, int x, int y, int alpha,
                           u32 code) {
  if (alpha == 0 || !owns(list, r, x, y, alpha)) return;
  const u32 share = static_cast<u32>(alpha);
  if (alpha < 256) code = (share * code + (256u - share) * surface.load(x, y) + 128u) >> 8;
  surface.store(x, y, code);
}

// How many warps share a row of a row tile; worklist.warps_per_row says the same.
__device__ inline int warps_per_row(int width) {
  constexpr int chunk = LANES * PER_LANE;
  return width <= chunk ? 1 : width <= 2 * chunk ? 2 : width <= 4 * chunk ? 4 : 8;
}

}  // namespace anonfilter
