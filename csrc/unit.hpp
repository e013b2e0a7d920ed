// A unit: the loops over samples of the three edits, compiled for one instruction set; and which one runs.
//
// The rest of the code is compiled for any CPU of its architecture and calls these through one table. A unit's own
// source must not use inline functions or templates that other sources use too (the standard library's included): the
// linker keeps one copy of each, and it may be the one with the unit's instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace anonfilter {

// Units work in whole registers: after the samples of a row of scratch there is room for this many more, which may be
// read (and mean nothing) and written.
constexpr std::ptrdiff_t row_slack = 32;
// Room before the first of a row's running sums.
constexpr std::ptrdiff_t sums_before = 16;

// Division of sums by one count n: (S + half) * multiplier >> 32 >> shift is (S + n/2) / n. See division.hpp.
struct Division {
  std::uint32_t multiplier, half;
  std::int32_t shift;
};

// Windows of 2h+1 samples along rows of any length. up: counts h+1, h+2, ... 2h+1; down: counts 2h+1, ... h+1.
// Both are null where no row is longer than h+1, and where `wide` says that counts do not share a shift.
struct Window {
  std::int32_t h, shift;
  bool wide;
  Division full;  // of 2h+1 samples
  const std::uint32_t *up_multiplier, *up_half, *down_multiplier, *down_half;
};

// Rows that lie `stride` samples apart: those whose samples enter and leave the windows, and the means.
struct Lines {
  const std::uint16_t* enter;
  std::ptrdiff_t enter_stride;
  const std::uint16_t* leave;
  std::ptrdiff_t leave_stride;
  std::uint16_t* out;
  std::ptrdiff_t out_stride;
};

// One row of a mask whose rows and columns are intervals: columns first..last-1 belong to it, and from whole_first to
// whole_last-1 all 2h+1 samples of the column's window do. top, bottom: the intervals of the columns, on the same rows.
struct SpanRow {
  std::ptrdiff_t first, whole_first, whole_last, last;
  std::int32_t y, h;
  const std::int32_t *top, *bottom;
  Division whole;
};

struct Unit {
  const char* name;

  // Codes of n samples, `step` samples apart: ((word >> shift) & mask) << up.
  void (*load)(const void* from, int itemsize, int step, std::ptrdiff_t n, int shift, unsigned mask, int up,
               std::uint16_t* out);

  // Means of the windows along one row, and zeros behind it. sums: room for n running sums, what is before, and slack.
  void (*along)(const std::uint16_t* in, std::uint16_t* out, std::ptrdiff_t n, const Window& window, std::uint32_t* sums);

  // sums[i] += the samples i of some rows. Where in its register sample i's sum lies is the unit's own business, for
  // `add` and `down` alone; there is slack behind n.
  void (*add)(std::uint32_t* sums, const std::uint16_t* in, std::ptrdiff_t stride, std::ptrdiff_t rows, std::ptrdiff_t n);

  // For each of some rows: out[i] = the mean of sums[i]; then sums[i] += enter[i] - leave[i].
  void (*down)(std::uint32_t* sums, const Lines& lines, const Division* divisions, std::ptrdiff_t rows, std::ptrdiff_t n);

  // out[i] = mean of sums[i] over the samples that column i's window has in the mask, for the columns of the row.
  void (*span_down)(const std::uint32_t* sums, const SpanRow& row, std::uint16_t* out);

  // sums[i] += enter[i] - leave[i].
  void (*update)(std::uint32_t* sums, const std::uint16_t* enter, const std::uint16_t* leave, std::ptrdiff_t n);

  // codes = (alpha*B + (256-alpha)*before + 128) >> 8 with B = from rounded to its bits above `fraction`.
  void (*blend)(const std::uint16_t* from, int fraction, const std::int16_t* alpha, const std::uint16_t* before,
                std::uint16_t* codes, std::ptrdiff_t n);

  // chosen = alpha > best; best = the greater.
  void (*choose)(const std::int16_t* alpha, std::int16_t* best, std::int16_t* chosen, std::ptrdiff_t n);

  // Rounds to the bits above `fraction` and stores, where chosen is not 0 (null: everywhere).
  void (*store)(const std::uint16_t* from, int fraction, const std::int16_t* chosen, void* to, int itemsize, int step,
                int shift, std::ptrdiff_t n);
};

// The one that runs: the best this CPU has, or the one that the environment's ANONFILTER_CPU names. Chosen at the first
// call; throws std::runtime_error if ANONFILTER_CPU is not the name of a unit, or of one that cannot run here.
const Unit& unit();

// For tests and benchmarks: another one from now on. Throws std::invalid_argument as unit() does.
void use_unit(const char* name);

struct UnitInfo {
  const char* name;
  bool built;    // part of this library
  bool runs;     // on this CPU
  bool by_name;  // never chosen by itself
};
const std::vector<UnitInfo>& units();

}  // namespace anonfilter
