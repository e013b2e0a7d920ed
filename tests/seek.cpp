// Runs dumped cases of the luma search without Python: for the sanitizers. tests/test_seek.py writes the file (32-bit
// integers, then samples; what the oracle says last) and builds this with csrc/seek.cpp. Planes and windows lie in memory
// of exactly their own size. Exits with 1 if anything differs from the oracle's answer.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "seek.hpp"

using namespace anonfilter;

namespace {

std::vector<char> bytes;
std::size_t at = 0;

int number() {
  std::int32_t value;
  std::memcpy(&value, bytes.data() + at, 4);
  at += 4;
  return value;
}

template <class T>
std::unique_ptr<T[]> samples(std::size_t n) {
  std::unique_ptr<T[]> out(new T[n]);
  std::memcpy(out.get(), bytes.data() + at, n * sizeof(T));
  at += n * sizeof(T);
  return out;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  std::ifstream in(arguments[1], std::ios::binary);
  bytes.assign(std::istreambuf_iterator<char>(in), {});
  int cases = 0;
  for (; at < bytes.size(); ++cases) {
    Format format;
    for (int* value : {&format.depth, &format.shift, &format.itemsize}) *value = number();
    Plane plane;
    plane.width = number();
    plane.height = number();
    SeekPart part;
    for (int* value : {&part.left, &part.top, &part.wide, &part.high}) *value = number();
    const int wide = number(), high = number(), columns = number(), rows = number();
    const int x = number(), y = number(), reach = number(), texture = number(), x1 = number(), y1 = number();
    const auto luma = samples<char>(static_cast<std::size_t>(plane.width * plane.height * format.itemsize));
    plane.channel[0] = {luma.get(), static_cast<std::ptrdiff_t>(plane.width) * format.itemsize, 1};
    const auto before = samples<std::int16_t>(static_cast<std::size_t>(columns * rows));
    const auto window = samples<std::int16_t>(static_cast<std::size_t>(wide * high));
    const auto now = samples<std::int16_t>(static_cast<std::size_t>(columns * rows));
    std::unique_ptr<std::int16_t[]> made(new std::int16_t[static_cast<std::size_t>(wide * high)]);
    seek_window(plane, format, part, wide, high, made.get());
    std::unique_ptr<std::int16_t[]> cut(new std::int16_t[static_cast<std::size_t>(columns * rows)]);
    const SeekResult got = seek({made.get(), wide, high}, before.get(), columns, rows, x, y, reach, 0.6, texture, cut.get());
    const auto size = [](int a, int b) { return static_cast<std::size_t>(a * b) * sizeof(std::int16_t); };
    if (std::memcmp(made.get(), window.get(), size(wide, high)) || std::memcmp(cut.get(), now.get(), size(columns, rows)) ||
        got.x != x1 || got.y != y1) {
      std::printf("case %d differs\n", cases);
      return 1;
    }
  }
  std::printf("%d equal\n", cases);
  return 0;
}
