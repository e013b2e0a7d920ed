// The blur over a bitmap mask: as blur.cpp, with a mask bit and a count for every sample, one sample at a time.
#include <algorithm>
#include <cstddef>

#include "bitmap.hpp"
#include "edit.hpp"

namespace anonfilter {
namespace {

// floor(a / n) = (a * inverse[n]) >> 47 for a < n * 2^16 and n < 2^15: inverse = ceil(2^47 / n) errs by less than n,
// and n * 2^16 * n < 2^47 only up to n = 46340.
struct Inverses {
  Inverses() {
    value[0] = 0;
    for (std::uint64_t n = 1; n < 32768; ++n) value[n] = ((std::uint64_t{1} << 47) + n - 1) / n;
  }
  std::uint64_t value[32768];
};

const std::uint64_t* inverses() {
  static const Inverses table;
  return table.value;
}

// counts: running number of mask samples left of each sample, n + 1 of them.
void masked_along(const std::uint16_t* in, std::uint16_t* out, const std::uint8_t* mask, const std::uint16_t* counts, int n,
                  int h, std::uint32_t* sums) {
  const std::uint64_t* inverse = inverses();
  std::uint32_t total = 0;
  for (int i = 0; i < n; ++i) {
    sums[i] = total;
    total += in[i];
  }
  sums[n] = total;
  for (int i = 0; i < n; ++i) {
    if (!mask[i]) {
      out[i] = 0;
      continue;
    }
    const int low = std::max(i - h, 0), high = std::min(i + h + 1, n);
    const std::uint32_t k = static_cast<std::uint32_t>(counts[high] - counts[low]);
    const std::uint64_t a = static_cast<std::uint64_t>(sums[high] - sums[low]) + k / 2;
    out[i] = static_cast<std::uint16_t>((a * inverse[k]) >> 47);
  }
}

// One pass: rows, each brought by `load` first, then columns. A row is finished just before the columns need it.
template <class Load>
void masked_pass(std::uint16_t* from, std::uint16_t* to, const std::uint8_t* mask, const std::uint16_t* counts,
                 const Region& region, Scratch& room, const Load& load) {
  const int width = region.x.size(), height = region.y.size(), h = std::min(region.hy, height);
  std::uint32_t* sums = room.sums.get(width);
  std::uint32_t* along = room.along.get(width + 1);
  std::uint16_t* running = room.running.get(width);
  const std::uint16_t* zeros = room.zeros.get(width);  // never written to
  const auto* no_mask = reinterpret_cast<const std::uint8_t*>(zeros);
  const auto at = [&](int y) { return static_cast<std::ptrdiff_t>(y) * width; };
  const auto ready = [&](int y) {
    load(y, from + at(y));
    masked_along(from + at(y), from + at(y), mask + at(y), counts + at(y) + y, width, region.hx, along);
    return from + at(y);
  };
  std::fill_n(sums, width, 0u);
  std::fill_n(running, width, std::uint16_t{0});
  for (int y = 0; y <= std::min(h, height - 1); ++y) {
    const std::uint16_t* row = ready(y);
    for (std::ptrdiff_t x = 0; x < width; ++x) {
      sums[x] += row[x];
      running[x] = static_cast<std::uint16_t>(running[x] + mask[at(y) + x]);
    }
  }
  for (int y = 0; y < height; ++y) {
    const bool enters = y + h + 1 < height, leaves = y >= h;
    masked_down(sums, running, enters ? ready(y + h + 1) : zeros, leaves ? from + at(y - h) : zeros,
                enters ? mask + at(y + h + 1) : no_mask, mask + at(y), leaves ? mask + at(y - h) : no_mask, to + at(y), width);
  }
}

}  // namespace

void masked_down(std::uint32_t* sums, std::uint16_t* counts, const std::uint16_t* enter, const std::uint16_t* leave,
                 const std::uint8_t* mask_enter, const std::uint8_t* mask, const std::uint8_t* mask_leave, std::uint16_t* out,
                 int n) {
  const std::uint64_t* inverse = inverses();
  for (int i = 0; i < n; ++i) {
    const std::uint32_t k = counts[i];
    const std::uint64_t a = static_cast<std::uint64_t>(sums[i]) + k / 2;
    out[i] = static_cast<std::uint16_t>(mask[i] ? (a * inverse[k]) >> 47 : 0);
    sums[i] += static_cast<std::uint32_t>(enter[i]) - leave[i];
    counts[i] = static_cast<std::uint16_t>(counts[i] + mask_enter[i] - mask_leave[i]);
  }
}

void blur_bitmap(const Job& job, int passes, int depth) {
  Scratch& room = scratch();
  const int width = job.region.x.size(), height = job.region.y.size(), up = 16 - depth;
  const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(width) * height;
  std::uint16_t *from = room.state.get(size), *to = room.rows.get(size);
  std::uint8_t* mask = room.mask.get(size);
  std::uint16_t* counts = room.counts.get(size + height);
  for (int y = 0; y < height; ++y) {
    std::uint8_t* bits = mask + static_cast<std::ptrdiff_t>(y) * width;
    job.cover.mask(y, bits);
    std::uint16_t* before = counts + static_cast<std::ptrdiff_t>(y) * (width + 1);
    before[0] = 0;
    for (std::ptrdiff_t x = 0; x < width; ++x) before[x + 1] = static_cast<std::uint16_t>(before[x] + bits[x]);
  }
  const auto load = [&](int y, std::uint16_t* row) {
    job.source.load(job.region.x.low, job.region.y.low + y, width, row, up);
    const std::uint8_t* bits = mask + static_cast<std::ptrdiff_t>(y) * width;
    for (std::ptrdiff_t x = 0; x < width; ++x) row[x] = static_cast<std::uint16_t>(row[x] * bits[x]);
  };
  for (int pass = 0; pass < passes; ++pass) {
    if (pass == 0)
      masked_pass(from, to, mask, counts, job.region, room, load);
    else
      masked_pass(from, to, mask, counts, job.region, room, [](int, std::uint16_t*) {});
    std::swap(from, to);
  }
  for (int y = 0; y < height; ++y) job.writer.row(y, 0, width, from + static_cast<std::ptrdiff_t>(y) * width, up);
}

}  // namespace anonfilter
