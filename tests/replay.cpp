// Runs dumped cases of the kernels through every unit, without Python: for builds that cannot be loaded into it (another
// architecture, sanitizers). tests/test_kernel_replay.py writes the file and builds this from csrc/.
//
//     replay FILE [UNIT ...]        units: those that run here
//
// Each plane lies in memory of exactly its own size, so that a sanitizer sees one byte too many. Exits with 1 if any
// byte differs from the oracle's.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "edit.hpp"
#include "pool.hpp"
#include "unit.hpp"

using namespace anonfilter;

namespace {

// The file: little-endian 32-bit integers and bytes, see dump() in tests/test_kernel_replay.py.
class File {
 public:
  explicit File(const char* name) {
    std::ifstream in(name, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(in), {});
  }
  bool more() const { return at_ < bytes_.size(); }
  int number() {
    std::int32_t value;
    std::memcpy(&value, take(4), 4);
    return value;
  }
  const char* take(std::size_t n) {
    if (bytes_.size() - at_ < n) {
      std::fprintf(stderr, "the file is cut short\n");
      std::exit(2);
    }
    const char* here = bytes_.data() + at_;
    at_ += n;
    return here;
  }

 private:
  std::vector<char> bytes_;
  std::size_t at_ = 0;
};

using Bytes = std::unique_ptr<char[]>;

Bytes copy(const char* from, std::size_t n) {
  Bytes out(new char[n]);
  std::memcpy(out.get(), from, n);
  return out;
}

struct Array {
  int height, width, step, stride;
  std::size_t size;
  const char *before, *after;
};

struct Case {
  explicit Case(File& file) {
    effect.kind = static_cast<Kind>(file.number());
    int* const ints[] = {&format.depth, &format.shift, &format.itemsize, &format.log2_w, &format.log2_h};
    for (int* value : ints) *value = file.number();
    format.left = file.number() != 0;
    format.top = file.number() != 0;
    feather = file.number();
    effect.passes = file.number();
    effect.cells = file.number();
    for (int& value : effect.color) value = file.number();
    arrays.resize(static_cast<std::size_t>(file.number()));
    for (Array& a : arrays) {
      for (int* value : {&a.height, &a.width, &a.step, &a.stride}) *value = file.number();
      a.size = static_cast<std::size_t>(file.number());
      a.before = file.take(a.size);
      a.after = file.take(a.size);
    }
    for (int count = file.number(); count > 0; --count) {
      Target t{};
      for (int* value : {&t.x0, &t.y0, &t.x1, &t.y1}) *value = file.number();
      t.shape = static_cast<Shape>(file.number());
      t.h = file.number();
      if (t.shape == Shape::mask) {
        const auto size = static_cast<std::size_t>(t.x1 - t.x0) * static_cast<std::size_t>(t.y1 - t.y0);
        masks.push_back(copy(file.take(size), size));
        t.mask = reinterpret_cast<const std::uint8_t*>(masks.back().get());
      }
      targets.push_back(t);
    }
  }

  bool equal() const {
    std::vector<Bytes> memory;
    std::vector<Plane> planes;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      const Array& a = arrays[i];
      memory.push_back(copy(a.before, a.size));
      if (i < 2) planes.push_back({a.width, a.height, i > 0, 0, {}});
      Plane& plane = planes.back();
      for (int c = 0; c < a.step; ++c)
        plane.channel[plane.channels++] = {memory.back().get() + c * format.itemsize, a.stride, a.step};
    }
    edit(planes.data(), static_cast<int>(planes.size()), format, targets, feather, effect);
    for (std::size_t i = 0; i < arrays.size(); ++i)
      if (std::memcmp(memory[i].get(), arrays[i].after, arrays[i].size) != 0) return false;
    return true;
  }

  Format format;
  Effect effect;
  int feather;
  std::vector<Array> arrays;
  std::vector<Target> targets;
  std::vector<Bytes> masks;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return 2;
  File file(arguments[1]);
  std::vector<Case> cases;
  while (file.more()) cases.emplace_back(file);
  std::vector<std::string> names(arguments + 2, arguments + count);
  if (names.empty())
    for (const UnitInfo& row : units())
      if (row.runs) names.push_back(row.name);
  int wrong = 0;
  for (const std::string& name : names) {
    use_unit(name.c_str());
    for (const int threads : {1, 3}) {
      set_threads(threads, threads > 1 ? 1 : 1000000000);
      int equal = 0;
      for (std::size_t i = 0; i < cases.size(); ++i) {
        const bool same = cases[i].equal();
        equal += same;
        if (!same && ++wrong <= 5) std::printf("case %zu differs: unit %s, %d threads\n", i, name.c_str(), threads);
      }
      std::printf("%s x %d: %d of %zu equal\n", name.c_str(), threads, equal, cases.size());
    }
  }
  return wrong != 0;
}
