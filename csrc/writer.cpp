#include "writer.hpp"

#include <algorithm>

namespace anonfilter {

void Source::load(int x, int y, int n, std::uint16_t* out, int up) const {
  const char* from =
      static_cast<const char*>(data) + (y - y0) * stride + static_cast<std::ptrdiff_t>(x - x0) * step * itemsize;
  unit().load(from, itemsize, step, n, shift, code_mask, up, out);
}

void Group::take(const Plane& plane, const Format& format) {
  for (int c = 0; c < plane.channels; ++c) {
    std::uint16_t* to = before[c].get(size());
    std::fill_n(best[c].get(size()), size(), std::int16_t{0});
    const Source source = Source::of(plane.channel[c], format);
    for (int line = y.low; line < y.high; ++line) source.load(x.low, line, x.size(), to + offset(x.low, line), 0);
  }
}

void Writer::row(int y, int x, int n, const std::uint16_t* from, int fraction) const {
  const Unit& loops = unit();
  const int column = region_.x.low + x, line = region_.y.low + y;
  const std::int16_t* chosen = nullptr;
  if (!cover_.opaque() || group_) {
    thread_local Room<std::int16_t> alpha_room, chosen_room;
    thread_local Room<std::uint16_t> code_room, before_room;
    const std::int16_t* alpha = cover_.alpha(y, x, n, alpha_room.get(n));
    chosen = alpha;
    if (group_) {
      std::int16_t* now = chosen_room.get(n);
      loops.choose(alpha, group_->best[component_].get(group_->size()) + group_->offset(column, line), now, n);
      chosen = now;
    }
    if (!cover_.opaque()) {
      std::uint16_t *codes = code_room.get(n), *before = before_room.get(n);
      source_.load(column, line, n, before, 0);
      loops.blend(from, fraction, alpha, before, codes, n);
      from = codes;
      fraction = 0;
    }
  }
  char* to = static_cast<char*>(channel_.data) + line * channel_.stride +
             static_cast<std::ptrdiff_t>(column) * channel_.step * format_.itemsize;
  loops.store(from, fraction, chosen, to, format_.itemsize, channel_.step, format_.shift, n);
}

}  // namespace anonfilter
