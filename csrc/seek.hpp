// Small luma pictures and a search in them: where a template lies, by normalised correlation. kernels/ref_seek.py is the
// oracle; anonfilter/lumasearch.py says what it is for. All but the correlation itself, a double of exact integers, is
// integer arithmetic, so that every CPU gives the same bits.
#pragma once

#include <cstdint>

#include "planes.hpp"

namespace anonfilter {

// Samples of a window are luma times this, 0..2048. Templates have at most 500 of them (kernels/seek.py checks), so that
// sums of products stay below 2^31.
constexpr int seek_unit = 8;
// Positions count sixteenths of a window's sample.
constexpr int seek_parts = 16;

// Part of a plane, which may reach beyond it: there, its edge goes on.
struct SeekPart {
  int left, top, wide, high;
};

// out: rows x columns means of the part's cells.
void seek_window(const Plane& luma, const Format& format, const SeekPart& part, int columns, int rows, std::int16_t* out);

struct SeekPicture {
  const std::int16_t* samples;
  int columns, rows;
};

struct SeekResult {
  int x, y;      // of the template's first sample, in parts
  double score;  // correlation there, -2 where there was no template
  bool found, flat;
};

// Searches `before` (columns x rows of a template, null: none) within `reach` samples around x, y; found if it
// correlates by `least` or more. `now` is what lies at the place that was found, else at x, y; flat if it varies by
// `texture` luma steps or less.
SeekResult seek(const SeekPicture& window, const std::int16_t* before, int columns, int rows, int x, int y, int reach,
                double least, int texture, std::int16_t* now);

}  // namespace anonfilter
