// The blur of DESIGN 5: 2 x passes launches for all regions of both planes, one block for a tile of the work list.
//
// A window's sum moves by what enters and what leaves: S(x) = S(x-1) + v(x+h) - v(x-h-1). Blocks scan these
// differences, so the cost does not depend on h, no row is too long for shared memory, and small regions still keep
// all threads busy. Sums are modulo 2^32 on the way and below it in the end.
//
// blur_rows_*: surface to scratch; blur_rows, blur_columns: scratch to scratch; blur_columns_*: scratch to surface.
#include "worklist.cuh"

namespace anonfilter {

// Sum and number of the samples of the mask in a window.
struct Pair {
  u32 sum, count;
};
__device__ inline Pair operator+(Pair a, Pair b) { return {a.sum + b.sum, a.count + b.count}; }
__device__ inline Pair operator-(Pair a, Pair b) { return {a.sum - b.sum, a.count - b.count}; }
__device__ inline u32 mean(Pair p) { return (p.sum + p.count / 2) / p.count; }

// 16-bit state in scratch, along a row or a column.
struct Scratch {
  const u16* first;
  int step;
  __device__ u32 operator()(int i) const { return first[i * step]; }
};

// A row of the surface from x on as 16-bit state.
template <class T>
struct SurfaceRow {
  Surface<T> surface;
  int x, y, fraction;
  __device__ u32 operator()(int i) const { return surface.load(x + i, y) << fraction; }
};

// A row or a column of a region; any index may be asked for.
template <class Source>
struct Line {
  Source source;
  Span span;
  const u16* map;  // alpha of a bitmap, else null
  int map_step;
  __device__ bool has(int i) const { return span.first <= i && i < span.end && (!map || map[i * map_step] != 0); }
  __device__ Pair operator()(int i) const { return has(i) ? Pair{source(i), 1u} : Pair{0u, 0u}; }
};

// Sums over the `warps` neighbouring warps that share a row.
class Group {
 public:
  __device__ Group(Pair* totals, int warps) : totals_(totals), warps_(warps) {}

  // The sum of the values of all earlier threads of the group, and of all its threads. To be called by the whole block.
  __device__ Pair scan(Pair value, Pair* all) {
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, leader = warp - warp % warps_;
    Pair upto = value;
    for (int d = 1; d < LANES; d *= 2) {
      const Pair lower = {__shfl_up_sync(0xffffffffu, upto.sum, d), __shfl_up_sync(0xffffffffu, upto.count, d)};
      if (lane >= d) upto = upto + lower;
    }
    // Two halves in turn: when a half is written again every thread has passed the barrier after it was read.
    Pair* totals = totals_ + half_ * WARPS;
    half_ ^= 1;
    if (lane == LANES - 1) totals[warp] = upto;
    BARRIER(1);
    Pair before = {0, 0}, sum = {0, 0};
    for (int w = leader; w < leader + warps_; ++w) {
      if (w == warp) before = sum;
      sum = sum + totals[w];
    }
    *all = sum;
    return before + upto - value;
  }

 private:
  Pair* totals_;
  int warps_, half_ = 0;
};

template <class Source>
__device__ inline void rows(const Region& r, const Line<Source>& line, bool live, u16* out) {
  SHARED(Pair, totals, 2 * WARPS);
  const int warps = warps_per_row(r.width), threads = warps * LANES;
  const int thread = static_cast<int>(threadIdx.x) % threads;
  Group group(totals, warps);
  Pair window = {0, 0};  // that of sample -1
  for (int x = thread; live && x < smaller(r.hx, r.width); x += threads) window = window + line(x);
  group.scan(window, &window);
  for (int base = 0; base < r.width; base += threads * PER_LANE) {
    const int first = base + thread * PER_LANE;
    Pair moved[PER_LANE], sum = {0, 0};
    for (int k = 0; k < PER_LANE; ++k) {
      if (live) sum = sum + line(first + k + r.hx) - line(first + k - r.hx - 1);
      moved[k] = sum;
    }
    Pair all;
    const Pair start = window + group.scan(sum, &all);
    window = window + all;
    if (!live) continue;
    for (int k = 0; k < PER_LANE && first + k < r.width; ++k)
      out[first + k] = line.has(first + k) ? static_cast<u16>(mean(start + moved[k])) : u16{0};
  }
}

// One tile of rows. source(region, row) makes the row's Source.
template <class Make>
__device__ inline void row_tile(const int* words, u16* to, Make source) {
  const List list(words);
  if (static_cast<int>(blockIdx.x) >= list.header().row_tiles) return;
  const Tile tile = list.row_tile(static_cast<int>(blockIdx.x));
  const Region r = list.region(tile.region);
  const int row = tile.first + static_cast<int>(threadIdx.x) / (warps_per_row(r.width) * LANES);
  const bool live = row < r.height;
  const Span span = live ? row_span(list, r, row) : Span{0, 0};
  const u16* map = r.shape == MASK ? list.alphas(r.alpha) + row * r.width : nullptr;
  const auto from = source(list, r, row);
  const Line<decltype(from)> line = {from, span, map, 1};
  rows(r, line, live, to + static_cast<long long>(r.scratch) * ALIGN + static_cast<long long>(row) * r.stride);
}

// One tile of columns: 16 threads share a column. write(list, region, x, y, inside, mean) takes each sample of the box.
template <class Write>
__device__ inline void column_tile(const int* words, const u16* from, Write write) {
  SHARED(Pair, before, THREADS);
  SHARED(Pair, moved, THREADS);
  const List list(words);
  if (static_cast<int>(blockIdx.x) >= list.header().column_tiles) return;
  const Tile tile = list.column_tile(static_cast<int>(blockIdx.x));
  const Region r = list.region(tile.region);
  const int column = static_cast<int>(threadIdx.x) % COLUMNS, segment = static_cast<int>(threadIdx.x) / COLUMNS;
  const int x = tile.first + column;
  const bool live = x < r.width;
  const u16* map = r.shape == MASK ? list.alphas(r.alpha) + x : nullptr;
  const u16* top = from + static_cast<long long>(r.scratch) * ALIGN + x;
  const Line<Scratch> line = {{top, r.stride}, live ? column_span(list, r, x) : Span{0, 0}, map, r.width};
  const int share = (r.height + SEGMENTS - 1) / SEGMENTS;
  const int first = segment * share, end = smaller(first + share, r.height);
  Pair sum = {0, 0};
  for (int y = segment; y < smaller(r.hy, r.height); y += SEGMENTS) sum = sum + line(y);
  before[threadIdx.x] = sum;
  sum = {0, 0};
  for (int y = first; y < end; ++y) sum = sum + line(y + r.hy) - line(y - r.hy - 1);
  moved[threadIdx.x] = sum;
  BARRIER(2);
  Pair window = {0, 0};  // that of the sample above the segment
  for (int s = 0; s < SEGMENTS; ++s) {
    window = window + before[s * COLUMNS + column];
    if (s < segment) window = window + moved[s * COLUMNS + column];
  }
  for (int y = first; live && y < end; ++y) {
    window = window + line(y + r.hy) - line(y - r.hy - 1);
    const bool inside = line.has(y);
    write(list, r, x, y, inside ? mean(window) : 0u, inside);
  }
}

template <class T>
struct ReadSurface {
  __device__ SurfaceRow<T> operator()(const List& list, const Region& r, int row) const {
    return {Surface<T>(list, r), r.x, r.y + row, 16 - list.header().depth};
  }
};

struct ReadScratch {
  const u16* from;
  __device__ Scratch operator()(const List&, const Region& r, int row) const {
    return {from + static_cast<long long>(r.scratch) * ALIGN + static_cast<long long>(row) * r.stride, 1};
  }
};

template <class T>
struct WriteSurface {
  __device__ void operator()(const List& list, const Region& r, int x, int y, u32 value, bool inside) const {
    if (!inside) return;
    const int fraction = 16 - list.header().depth;
    const u32 code = (value + (1u << fraction >> 1)) >> fraction;
    put(list, r, Surface<T>(list, r), r.x + x, r.y + y, alpha_at(list, r, r.x + x, r.y + y), code);
  }
};

struct WriteScratch {
  u16* to;
  __device__ void operator()(const List&, const Region& r, int x, int y, u32 value, bool) const {
    to[static_cast<long long>(r.scratch) * ALIGN + static_cast<long long>(y) * r.stride + x] = static_cast<u16>(value);
  }
};

}  // namespace anonfilter

using namespace anonfilter;

KERNEL blur_rows_u8(const int* words, const u16*, u16* to) { row_tile(words, to, ReadSurface<u8>{}); }
KERNEL blur_rows_u16(const int* words, const u16*, u16* to) { row_tile(words, to, ReadSurface<u16>{}); }
KERNEL blur_rows(const int* words, const u16* from, u16* to) { row_tile(words, to, ReadScratch{from}); }
KERNEL blur_columns(const int* words, const u16* from, u16* to) { column_tile(words, from, WriteScratch{to}); }
KERNEL blur_columns_u8(const int* words, const u16* from, u16*) { column_tile(words, from, WriteSurface<u8>{}); }
KERNEL blur_columns_u16(const int* words, const u16* from, u16*) { column_tile(words, from, WriteSurface<u16>{}); }
