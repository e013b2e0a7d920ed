// Repeated masked means of one region: rows, then columns, `passes` times, each rounded to 16 bits (DESIGN 5).
//
// Two buffers: `state` holds the samples between passes, `rows` the means along the rows of the running pass. A row of
// means is made just before the columns need it, while it is in the cache; the last pass hands its rows to the writer a
// few at a time. Where several threads share a region, each pass makes all rows first, in bands, and then the columns,
// in strips: same sums, same results.
#include <algorithm>
#include <cstddef>

#include "edit.hpp"
#include "pool.hpp"

namespace anonfilter {
namespace {

constexpr int block = 4;          // rows of columns that a unit does at once
constexpr int strip_unit = 32;    // samples: strips are whole registers, so that none writes into its neighbour
constexpr int narrowest_strip = 128;

// Sums, and what follows them, of one thread.
struct Local {
  Room<std::uint32_t> sums, along;
  Room<std::uint16_t> line, out;
};

Local& local() {
  thread_local Local room;
  return room;
}

// What both shapes share: geometry, buffers, and the means along a row.
class Passes {
 public:
  Passes(const Job& job, int passes, int depth, int threads)
      : job_(job), passes_(passes), up_(16 - depth), threads_(threads), width_(job.region.x.size()),
        height_(job.region.y.size()), h_(job.region.hy), stride_((width_ + 31) / 32 * 32 + row_slack), unit_(unit()),
        window_(scratch().window.reset(job.region.hx, width_)), state_(scratch().state.get(passes > 1 ? size() : 0)),
        rows_(scratch().rows.get(size())), zeros_(scratch().zeros.get(stride_)) {}

 protected:
  std::ptrdiff_t size() const { return stride_ * height_; }

  // Means along columns span.low.. of row y, from the plane or from the state.
  void along(int pass, int y, Range span) const {
    Local& room = local();
    const std::uint16_t* in;
    if (pass == 0) {  // there may be no state
      std::uint16_t* line = room.line.get(stride_);
      job_.source.load(job_.region.x.low + span.low, job_.region.y.low + y, span.size(), line, up_);
      in = line;
    } else {
      in = state_ + y * stride_ + span.low;
    }
    unit_.along(in, rows_ + y * stride_ + span.low, span.size(), window_,
                room.along.get(sums_before + width_ + 2 * row_slack));
  }

  bool last(int pass) const { return pass + 1 == passes_; }

  // All passes: row(pass, y) makes row y's means along the row, columns(pass, x0, x1, ready) those of the columns, where
  // ready(y) is called before row y is first read. On one thread a row is made just before the columns need it.
  template <class Row, class Columns>
  void all(const Row& row, const Columns& columns) const {
    for (int pass = 0; pass < passes_; ++pass) {
      const auto make = [&](int y) { row(pass, y); };
      if (threads_ > 1) {
        bands(make);
        strips([&](int x0, int x1) { columns(pass, x0, x1, [](int) {}); });
      } else {
        columns(pass, 0, width_, make);
      }
    }
  }

  // Calls strip(x0, x1) for strips of the columns, on several threads. The last strip comes first: one that wrote over
  // its end would spoil samples that are there already, and the tests would see it.
  template <class Strip>
  void strips(const Strip& strip) const {
    const int most = std::max(1, std::min(2 * threads_, width_ / narrowest_strip));
    const int wide = ((width_ + most - 1) / most + strip_unit - 1) / strip_unit * strip_unit;
    const int count = (width_ + wide - 1) / wide;
    in_parallel(threads_, count, [&](int i) {
      const int x0 = (count - 1 - i) * wide;
      strip(x0, std::min(width_, x0 + wide));
    });
  }

  // Calls row(y) for all rows, on several threads.
  template <class Row>
  void bands(const Row& row) const {
    const int count = std::min(height_, 4 * threads_);
    in_parallel(threads_, count, [&](int i) {
      for (int y = height_ * i / count; y < height_ * (i + 1) / count; ++y) row(y);
    });
  }

  const Job& job_;
  int passes_, up_, threads_, width_, height_, h_;
  std::ptrdiff_t stride_;
  const Unit& unit_;
  const Window& window_;
  std::uint16_t *state_, *rows_;
  const std::uint16_t* zeros_;  // never written to
};

class FullPasses : Passes {
 public:
  using Passes::Passes;

  void run() {
    divisions_ = scratch().divisions.reset(h_, height_);
    all([this](int pass, int y) { along(pass, y, {0, width_}); },
        [this](int pass, int x0, int x1, const auto& ready) { columns(pass, x0, x1, ready); });
  }

 private:
  template <class Ready>
  void columns(int pass, int x0, int x1, const Ready& ready) const {
    Local& room = local();
    const int n = x1 - x0;
    if (height_ == 1) {  // a mean of one sample is that sample
      ready(0);
      finish(pass, x0, 0, 1, n, rows_ + x0, stride_);
      return;
    }
    std::uint32_t* sums = room.sums.get(width_ + row_slack);
    std::uint16_t* few = room.out.get(block * stride_);
    std::fill_n(sums, n + row_slack, 0u);
    const int first = std::min(h_ + 1, height_);
    for (int y = 0; y < first; ++y) ready(y);
    unit_.add(sums, rows_ + x0, stride_, first, n);
    for (int y = 0; y < height_;) {
      const bool enters = y + h_ + 1 < height_, leaves = y >= h_;
      int end = std::min(y + block, height_);
      if (enters) end = std::min(end, height_ - h_ - 1);
      if (!leaves) end = std::min(end, h_);
      for (int k = y; enters && k < end; ++k) ready(k + h_ + 1);
      std::uint16_t* out = last(pass) ? few : state_ + y * stride_ + x0;
      const Lines lines{enters ? rows_ + (y + h_ + 1) * stride_ + x0 : zeros_, enters ? stride_ : 0,
                        leaves ? rows_ + (y - h_) * stride_ + x0 : zeros_, leaves ? stride_ : 0, out, stride_};
      unit_.down(sums, lines, divisions_ + y, end - y, n);
      finish(pass, x0, y, end, n, out, stride_);
      y = end;
    }
  }

  void finish(int pass, int x0, int y, int end, int n, const std::uint16_t* out, std::ptrdiff_t stride) const {
    if (last(pass))
      for (; y < end; ++y, out += stride) job_.writer.row(y, x0, n, out, up_);
    else if (height_ == 1)
      std::copy_n(out, n, state_ + x0);
  }

  const Division* divisions_ = nullptr;
};

class SpanPasses : Passes {
 public:
  using Passes::Passes;

  void run() {
    // Off the mask the rows are 0, for good: columns then need no mask.
    std::fill_n(rows_, size(), std::uint16_t{0});
    whole_ = height_ > 2 * h_ ? division_by(2 * h_ + 1) : Division{};
    all(
        [this](int pass, int y) {
          if (const Range r = job_.cover.span(y); r.size() > 0) along(pass, y, r);
        },
        [this](int pass, int x0, int x1, const auto& ready) { columns(pass, x0, x1, ready); });
  }

 private:
  // Row y's columns between x0 and x1; empty beyond the mask's first and last row.
  Range span(int y, int x0, int x1) const {
    if (y < 0 || y >= height_) return {x0, x0};
    const Range r = job_.cover.span(y);
    const int low = std::max(r.low, x0);
    return {low, std::max(low, std::min(r.high, x1))};
  }

  template <class Ready>
  void columns(int pass, int x0, int x1, const Ready& ready) const {
    Local& room = local();
    std::uint32_t* sums = room.sums.get(width_ + row_slack);
    std::uint16_t* one = room.out.get(stride_);
    std::fill(sums + x0, sums + x1 + row_slack, 0u);
    const int first = std::min(h_ + 1, height_);
    for (int y = 0; y < first; ++y) {
      ready(y);
      const Range r = span(y, x0, x1);
      unit_.update(sums + r.low, rows_ + y * stride_ + r.low, zeros_, r.size());
    }
    for (int y = 0; y < height_; ++y) {
      const Range r = span(y, x0, x1), above = span(y - h_, x0, x1), below = span(y + h_, x0, x1);
      if (r.size() > 0) {
        // Where the window's first and last row are in the mask, so is all between.
        int low = std::max({r.low, above.low, below.low}), high = std::min({r.high, above.high, below.high});
        if (above.size() <= 0 || below.size() <= 0 || low >= high) low = high = r.high;
        std::uint16_t* out = last(pass) || threads_ > 1 ? one : state_ + y * stride_;
        unit_.span_down(sums, {r.low, low, high, r.high, y, h_, job_.cover.tops(), job_.cover.bottoms(), whole_}, out);
        if (last(pass))
          job_.writer.row(y, r.low, r.size(), out + r.low, up_);
        else if (threads_ > 1)  // the unit writes over the span's end, into another strip
          std::copy(out + r.low, out + r.high, state_ + y * stride_ + r.low);
      }
      const bool enters = y + h_ + 1 < height_, leaves = y >= h_;
      if (enters) ready(y + h_ + 1);
      const Range in = span(y + h_ + 1, x0, x1);
      const int low = in.size() <= 0 ? above.low : above.size() <= 0 ? in.low : std::min(in.low, above.low);
      const int high = in.size() <= 0 ? above.high : above.size() <= 0 ? in.high : std::max(in.high, above.high);
      if (low < high)
        unit_.update(sums + low, (enters ? rows_ + (y + h_ + 1) * stride_ : zeros_) + low,
                     (leaves ? rows_ + (y - h_) * stride_ : zeros_) + low, high - low);
    }
  }

  Division whole_{};
};

}  // namespace

Scratch& scratch() {
  thread_local Scratch room;
  return room;
}

void blur_full(const Job& job, int passes, int depth, int threads) { FullPasses(job, passes, depth, threads).run(); }

void blur_spans(const Job& job, int passes, int depth, int threads) { SpanPasses(job, passes, depth, threads).run(); }

}  // namespace anonfilter
