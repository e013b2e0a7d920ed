// pixelize and fill: a launch for the means of the cells, and one that writes.
#include "worklist.cuh"

namespace anonfilter {

// The edges of cell i of n over a box from low on, `size` long: the first and the last reach over the feather.
__device__ inline Span cell_span(int i, int n, int low, int size, int first, int end) {
  const auto edge = [&](int k) { return low + static_cast<int>(static_cast<long long>(k) * size / n); };
  return {i == 0 ? first : larger(first, edge(i)), i == n - 1 ? end : smaller(end, edge(i + 1))};
}

// The cell that has the sample at: the number of inner edges low + k * size / n (k = 1..n-1) that are not above it.
__device__ inline int cell_at(int at, int n, int low, int size) {
  if (at < low) return 0;
  const long long k = (static_cast<long long>(at - low + 1) * n - 1) / size;
  return k < n - 1 ? static_cast<int>(k) : n - 1;
}

// A warp for each cell.
template <class T>
__device__ inline void cell_means(const int* words, u16* to) {
  const List list(words);
  if (static_cast<int>(blockIdx.x) >= list.header().cell_tiles) return;
  const Tile tile = list.cell_tile(static_cast<int>(blockIdx.x));
  const Region r = list.region(tile.region);
  const int lane = threadIdx.x % LANES, cell = tile.first + static_cast<int>(threadIdx.x / LANES);
  if (cell >= r.cells_x * r.cells_y) return;
  const Surface<T> surface(list, r);
  const Span across = cell_span(cell % r.cells_x, r.cells_x, r.left, r.right - r.left, r.x, r.x + r.width);
  const Span down = cell_span(cell / r.cells_x, r.cells_y, r.top, r.bottom - r.top, r.y, r.y + r.height);
  u64 sum = 0;
  u32 count = 0;
  for (int y = down.first; y < down.end; ++y)
    for (int x = across.first + lane; x < across.end; x += LANES)
      if (on_mask(list, r, x - r.x, y - r.y)) sum += surface.load(x, y), ++count;
  for (int d = LANES / 2; d > 0; d /= 2) {
    const u32 low = __shfl_down_sync(0xffffffffu, static_cast<u32>(sum), d);
    const u32 high = __shfl_down_sync(0xffffffffu, static_cast<u32>(sum >> 32), d);
    sum += static_cast<u64>(high) << 32 | low;
    count += __shfl_down_sync(0xffffffffu, count, d);
  }
  if (lane == 0 && count) to[r.cells + cell] = static_cast<u16>((sum + count / 2) / count);
}

// Rows of a row tile. code(region, x, y) gives the new sample at x, y of the component.
template <class T, class Code>
__device__ inline void paint(const int* words, Code code) {
  const List list(words);
  if (static_cast<int>(blockIdx.x) >= list.header().row_tiles) return;
  const Tile tile = list.row_tile(static_cast<int>(blockIdx.x));
  const Region r = list.region(tile.region);
  const int threads = warps_per_row(r.width) * LANES;
  const int row = tile.first + static_cast<int>(threadIdx.x) / threads, y = r.y + row;
  if (row >= r.height) return;
  const Surface<T> surface(list, r);
  for (int x = r.x + static_cast<int>(threadIdx.x) % threads; x < r.x + r.width; x += threads) {
    const int alpha = alpha_at(list, r, x, y);
    if (alpha) put(list, r, surface, x, y, alpha, code(r, x, y));
  }
}

struct CellCode {
  const u16* means;
  __device__ u32 operator()(const Region& r, int x, int y) const {
    const int column = cell_at(x, r.cells_x, r.left, r.right - r.left);
    const int row = cell_at(y, r.cells_y, r.top, r.bottom - r.top);
    return means[r.cells + row * r.cells_x + column];
  }
};

struct Colour {
  __device__ u32 operator()(const Region& r, int, int) const { return static_cast<u32>(r.colour); }
};

}  // namespace anonfilter

using namespace anonfilter;

KERNEL cell_means_u8(const int* words, const u16*, u16* to) { cell_means<u8>(words, to); }
KERNEL cell_means_u16(const int* words, const u16*, u16* to) { cell_means<u16>(words, to); }
KERNEL pixelize_u8(const int* words, const u16* from, u16*) { paint<u8>(words, CellCode{from}); }
KERNEL pixelize_u16(const int* words, const u16* from, u16*) { paint<u16>(words, CellCode{from}); }
KERNEL fill_u8(const int* words, const u16*, u16*) { paint<u8>(words, Colour{}); }
KERNEL fill_u16(const int* words, const u16*, u16*) { paint<u16>(words, Colour{}); }
