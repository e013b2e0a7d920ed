// What the three effects put into one region of one component; who writes it is decided in edit.cpp.
#include <algorithm>
#include <cstddef>

#include "edit.hpp"

namespace anonfilter {
namespace {

template <class T>
void load_row(const T* from, int step, int n, int shift, unsigned mask, int up, std::uint16_t* out) {
  if (step == 1)
    for (std::ptrdiff_t i = 0; i < n; ++i) out[i] = static_cast<std::uint16_t>(((from[i] >> shift) & mask) << up);
  else
    for (std::ptrdiff_t i = 0; i < n; ++i) out[i] = static_cast<std::uint16_t>(((from[2 * i] >> shift) & mask) << up);
}

template <class T>
T* sized(std::vector<T>& room, std::ptrdiff_t n) {
  if (room.size() < static_cast<std::size_t>(n)) room.resize(static_cast<std::size_t>(n));
  return room.data();
}

const std::uint16_t* zero_row(Scratch& scratch, int n) {
  sized(scratch.zeros, n);  // never written to
  return scratch.zeros.data();
}

// The mask of a cover as bytes 0 and 1, rows of `width`.
const std::uint8_t* mask_of(const Region& region, const Cover& cover, Scratch& scratch) {
  const int width = region.x.size(), height = region.y.size();
  std::uint8_t* mask = sized(scratch.mask, static_cast<std::ptrdiff_t>(width) * height);
  for (int y = 0; y < height; ++y) {
    const std::int16_t* alpha = cover.row(y, nullptr);
    std::uint8_t* to = mask + static_cast<std::ptrdiff_t>(y) * width;
    for (std::ptrdiff_t x = 0; x < width; ++x) to[x] = alpha[x] > 0;
  }
  return mask;
}

void wide_down(std::uint32_t* sums, const std::uint16_t* enter, const std::uint16_t* leave, std::uint16_t* out, int n,
               std::uint32_t samples) {
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    out[i] = static_cast<std::uint16_t>((sums[i] + samples / 2) / samples);
    sums[i] += static_cast<std::uint32_t>(enter[i]) - leave[i];
  }
}

// One pass: each row of `from` gets its means along the row (`load` brings it there first, on the first pass), then
// the columns' means go to `to`. A row is finished just before the columns need it, while it is in the cache.
template <class Load>
void full_pass(std::uint16_t* from, std::uint16_t* to, Scratch& scratch, Load load) {
  const Counts &across = scratch.across, &down = scratch.down;
  const int width = across.size(), height = down.size(), h = down.h();
  const BoxRows& rows = box_rows();
  std::uint32_t* sums = sized(scratch.sums, width);
  std::uint32_t* room = sized(scratch.along, width + 1);
  const std::uint16_t* zeros = zero_row(scratch, width);
  const auto row = [&](std::uint16_t* base, int y) { return base + static_cast<std::ptrdiff_t>(y) * width; };
  const auto ready = [&](int y) {
    std::uint16_t* samples = row(from, y);
    load(y, samples);
    if (width > 1) rows.along(samples, samples, across, room);
    return samples;
  };
  if (height == 1) {
    std::copy_n(ready(0), width, to);
    return;
  }
  std::fill_n(sums, width, 0u);
  for (int y = 0; y <= std::min(h, height - 1); ++y) rows.add(sums, ready(y), width);
  for (int y = 0; y < height; ++y) {
    const std::uint16_t* enter = y + h + 1 < height ? ready(y + h + 1) : zeros;
    const std::uint16_t* leave = y >= h ? row(from, y - h) : zeros;
    if (down.wide())
      wide_down(sums, enter, leave, row(to, y), width, static_cast<std::uint32_t>(down.samples(y)));
    else
      rows.down(sums, enter, leave, row(to, y), width, down.at(y), down.shift());
  }
}

// As full_pass, over a mask. counts: per row, the mask samples left of each column.
template <class Load>
void masked_pass(std::uint16_t* from, std::uint16_t* to, const std::uint8_t* mask, const std::uint16_t* counts,
                 const Region& region, Scratch& scratch, Load load) {
  const int width = region.x.size(), height = region.y.size(), h = std::min(region.hy, height);
  std::uint32_t* sums = sized(scratch.sums, width);
  std::uint32_t* room = sized(scratch.along, width + 1);
  std::uint16_t* running = sized(scratch.running, width);
  const std::uint16_t* zeros = zero_row(scratch, width);
  const auto* no_mask = reinterpret_cast<const std::uint8_t*>(zeros);
  const auto at = [&](int y) { return static_cast<std::ptrdiff_t>(y) * width; };
  const auto ready = [&](int y) {
    load(y, from + at(y));
    masked_along(from + at(y), from + at(y), mask + at(y), counts + at(y) + y, width, region.hx, room);
    return from + at(y);
  };
  std::fill_n(sums, width, 0u);
  std::fill_n(running, width, std::uint16_t{0});
  for (int y = 0; y <= std::min(h, height - 1); ++y) {
    box_rows().add(sums, ready(y), width);
    for (std::ptrdiff_t x = 0; x < width; ++x) running[x] = static_cast<std::uint16_t>(running[x] + mask[at(y) + x]);
  }
  for (int y = 0; y < height; ++y) {
    const bool enters = y + h + 1 < height, leaves = y >= h;
    masked_down(sums, running, enters ? ready(y + h + 1) : zeros, leaves ? from + at(y - h) : zeros,
                enters ? mask + at(y + h + 1) : no_mask, mask + at(y), leaves ? mask + at(y - h) : no_mask, to + at(y), width);
  }
}

}  // namespace

void Source::load(int x, int y, int n, std::uint16_t* out, int up) const {
  const char* from =
      static_cast<const char*>(data) + (y - y0) * stride + static_cast<std::ptrdiff_t>(x - x0) * step * itemsize;
  if (itemsize == 1)
    load_row(reinterpret_cast<const std::uint8_t*>(from), step, n, shift, code_mask, up, out);
  else
    load_row(reinterpret_cast<const std::uint16_t*>(from), step, n, shift, code_mask, up, out);
}

void paint_blur(const Source& source, const Region& region, const Cover& cover, int passes, int depth, Scratch& scratch,
                Painted& out) {
  const int width = region.x.size(), height = region.y.size(), up = 16 - depth;
  const std::ptrdiff_t size = static_cast<std::ptrdiff_t>(width) * height;
  std::uint16_t *from = sized(scratch.first, size), *to = sized(scratch.second, size);
  const auto keep = [](int, std::uint16_t*) {};
  if (cover.full()) {
    scratch.across.reset(region.hx, width);
    scratch.down.reset(region.hy, height);
    const auto load = [&](int y, std::uint16_t* row) { source.load(region.x.low, region.y.low + y, width, row, up); };
    for (int pass = 0; pass < passes; ++pass) {
      if (pass == 0)
        full_pass(from, to, scratch, load);
      else
        full_pass(from, to, scratch, keep);
      std::swap(from, to);
    }
  } else {
    const std::uint8_t* mask = mask_of(region, cover, scratch);
    std::uint16_t* counts = sized(scratch.counts, size + height);
    for (int y = 0; y < height; ++y) {
      std::uint16_t* to_counts = counts + static_cast<std::ptrdiff_t>(y) * (width + 1);
      to_counts[0] = 0;
      for (std::ptrdiff_t x = 0; x < width; ++x)
        to_counts[x + 1] = static_cast<std::uint16_t>(to_counts[x] + mask[static_cast<std::ptrdiff_t>(y) * width + x]);
    }
    const auto load = [&](int y, std::uint16_t* row) {
      source.load(region.x.low, region.y.low + y, width, row, up);
      const std::uint8_t* bits = mask + static_cast<std::ptrdiff_t>(y) * width;
      for (std::ptrdiff_t x = 0; x < width; ++x) row[x] = static_cast<std::uint16_t>(row[x] * bits[x]);
    };
    for (int pass = 0; pass < passes; ++pass) {
      if (pass == 0)
        masked_pass(from, to, mask, counts, region, scratch, load);
      else
        masked_pass(from, to, mask, counts, region, scratch, keep);
      std::swap(from, to);
    }
  }
  out.fraction = up;
  out.rows.resize(static_cast<std::size_t>(height));
  for (int y = 0; y < height; ++y) out.rows[static_cast<std::size_t>(y)] = from + static_cast<std::ptrdiff_t>(y) * width;
}

void paint_pixels(const Source& source, const Region& region, const Cover& cover, int cells, Scratch& scratch, Painted& out) {
  const int width = region.x.size(), height = region.y.size();
  const int across = std::max(1, std::min(cells, (region.target->x1 - region.target->x0) / 2));
  const int down = std::max(1, std::min(cells, (region.target->y1 - region.target->y0) / 2));
  // First sample of cell i of n; the outermost cells reach over the feather.
  const auto begin = [](Range object, int i, int n) {
    return object.low + static_cast<int>(static_cast<std::int64_t>(i) * object.size() / n);
  };
  int* column = sized(scratch.index, width);
  for (int x = 0, i = 0; x < width; ++x) {
    while (i + 1 < across && region.x.low + x >= begin(region.object_x, i + 1, across)) ++i;
    column[x] = i;
  }
  const bool masked = !cover.full();
  const std::uint8_t* mask = masked ? mask_of(region, cover, scratch) : nullptr;
  std::uint64_t* sums = sized(scratch.cells, 2 * static_cast<std::ptrdiff_t>(across));
  std::uint64_t* counts = sums + across;
  std::uint16_t* codes = sized(scratch.first, width);
  std::uint16_t* means = sized(scratch.second, static_cast<std::ptrdiff_t>(std::min(down, height)) * width);
  out.fraction = 0;
  out.rows.resize(static_cast<std::size_t>(height));
  for (int y = 0, cell = 0; y < height; means += width, ++cell) {
    while (cell + 1 < down && region.y.low + y >= begin(region.object_y, cell + 1, down)) ++cell;
    const int end = cell + 1 < down ? std::min(height, begin(region.object_y, cell + 1, down) - region.y.low) : height;
    std::fill_n(sums, 2 * across, std::uint64_t{0});
    for (; y < end; ++y) {
      source.load(region.x.low, region.y.low + y, width, codes, 0);
      const std::uint8_t* bits = masked ? mask + static_cast<std::ptrdiff_t>(y) * width : nullptr;
      for (std::ptrdiff_t x = 0; x < width; ++x) {
        const unsigned one = masked ? bits[x] : 1u;
        sums[column[x]] += codes[x] * one;
        counts[column[x]] += one;
      }
      out.rows[static_cast<std::size_t>(y)] = means;
    }
    for (int i = 0; i < across; ++i)
      if (counts[i]) sums[i] = (sums[i] + counts[i] / 2) / counts[i];
    for (std::ptrdiff_t x = 0; x < width; ++x) means[x] = static_cast<std::uint16_t>(sums[column[x]]);
  }
}

void paint_color(const Region& region, std::uint16_t code, Scratch& scratch, Painted& out) {
  std::uint16_t* row = sized(scratch.first, region.x.size());
  std::fill_n(row, region.x.size(), code);
  out.fraction = 0;
  out.rows.assign(static_cast<std::size_t>(region.y.size()), row);
}

}  // namespace anonfilter
