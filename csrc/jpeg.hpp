// A JPEG file as quantised DCT coefficients (ITU-T T.81): read from baseline and progressive files, written as baseline.
// What is not touched keeps its coefficients, so that it has no second generation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace anonfilter {

struct JpegError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One component: sampling factors, its quantisation table, and blocks of 64 coefficients in natural (row) order,
// columns x rows of them, padded to whole MCUs.
struct JpegComponent {
  int id = 0;
  int h = 1;
  int v = 1;
  int table = 0;
  int columns = 0;
  int rows = 0;
  std::vector<std::int16_t> blocks;
};

struct JpegImage {
  int width = 0;
  int height = 0;
  bool progressive = false;
  bool complete = false;  // false: the data end, or turn into nonsense, before the picture does
  std::size_t end = 0;    // offset behind the EOI marker, or the size of the data
  std::uint16_t tables[4][64] = {};  // natural order
  std::vector<JpegComponent> components;
};

// Throws JpegError for what is no JPEG of 8 bits and Huffman codes, or is too large.
JpegImage read_jpeg(const std::uint8_t* data, std::size_t size);

// DHT, SOS and entropy-coded data, interleaved, with tables made for this picture; no EOI.
std::vector<std::uint8_t> write_scan(const std::vector<JpegComponent>& components);

// Samples of a component: rows * 8 lines of columns * 8.
void jpeg_samples(const JpegComponent& component, const std::uint16_t* table, std::uint8_t* out);

// New coefficients for every block whose samples differ, of which the first width x height count; both arrays as from
// jpeg_samples. Blocks outside of the picture become flat. Returns the number of blocks that differ.
std::size_t jpeg_update(JpegComponent& component, const std::uint16_t* table, int width, int height,
                        const std::uint8_t* before, const std::uint8_t* after);

}  // namespace anonfilter
