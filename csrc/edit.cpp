#include "edit.hpp"

#include <algorithm>
#include <numeric>

namespace anonfilter {
namespace {

// The bounding box of regions that overlap, as it was before any of them was written, and who wrote what since.
struct Group {
  Range x, y;
  std::vector<std::uint16_t> before[2];
  std::vector<std::int16_t> best[2];

  std::size_t width() const { return static_cast<std::size_t>(x.size()); }
  std::size_t offset(int column, int line) const {
    return static_cast<std::size_t>(line - y.low) * width() + static_cast<std::size_t>(column - x.low);
  }
};

template <class T>
void store_row(T* to, int step, const std::uint16_t* codes, const std::int16_t* chosen, int n, int shift) {
  if (!chosen && step == 1)
    for (std::ptrdiff_t i = 0; i < n; ++i) to[i] = static_cast<T>(codes[i] << shift);
  else
    for (std::ptrdiff_t i = 0; i < n; ++i)
      if (!chosen || chosen[i]) to[i * step] = static_cast<T>(codes[i] << shift);
}

class Editor {
 public:
  Editor(const Plane& plane, const Format& format, int feather, const Effect& effect)
      : plane_(plane), format_(format), feather_(feather), effect_(effect) {}

  void run(const std::vector<Target>& targets) {
    regions_.clear();
    for (std::size_t i = 0; i < targets.size(); ++i) {
      Region region = locate(targets[i], static_cast<int>(i), plane_, format_, feather_);
      if (!region.empty()) regions_.push_back(region);
    }
    if (effect_.kind == Kind::blur)
      // Of equal alpha the wider window wins, then the earlier: the first to write a sample keeps it.
      std::stable_sort(regions_.begin(), regions_.end(),
                       [](const Region& a, const Region& b) { return a.target->h > b.target->h; });
    join();
    for (std::size_t i = 0; i < regions_.size(); ++i) {
      if (root(i) != i) continue;
      members_.clear();
      for (std::size_t k = i; k < regions_.size(); ++k)
        if (root(k) == i) members_.push_back(k);
      if (members_.size() == 1)
        write(regions_[i], nullptr);
      else
        write_group();
    }
  }

 private:
  std::size_t root(std::size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }

  // Sets of regions whose bounding boxes meet, directly or through others; a set's root is its first region.
  void join() {
    parent_.resize(regions_.size());
    std::iota(parent_.begin(), parent_.end(), std::size_t{0});
    for (std::size_t i = 0; i < regions_.size(); ++i)
      for (std::size_t k = i + 1; k < regions_.size(); ++k)
        if (regions_[i].meets(regions_[k])) {
          const std::size_t a = root(i), b = root(k);
          parent_[std::max(a, b)] = std::min(a, b);
        }
  }

  void write_group() {
    Group group{regions_[members_[0]].x, regions_[members_[0]].y, {}, {}};
    for (const std::size_t k : members_) {
      const Region& r = regions_[k];
      group.x = {std::min(group.x.low, r.x.low), std::max(group.x.high, r.x.high)};
      group.y = {std::min(group.y.low, r.y.low), std::max(group.y.high, r.y.high)};
    }
    const std::size_t size = group.width() * static_cast<std::size_t>(group.y.size());
    for (int c = 0; c < plane_.channels; ++c) {
      group.before[c].resize(size);
      group.best[c].assign(size, 0);
      const Source source = Source::of(plane_.channel[c], format_);
      for (int y = group.y.low; y < group.y.high; ++y)
        source.load(group.x.low, y, group.x.size(), &group.before[c][group.offset(group.x.low, y)], 0);
    }
    for (const std::size_t k : members_) write(regions_[k], &group);
  }

  void write(const Region& region, Group* group) {
    cover_.build(region, plane_, format_);
    for (int c = 0; c < plane_.channels; ++c) {
      Source source = Source::of(plane_.channel[c], format_);
      if (group) {
        // A column and row of the plane lead to the same sample of the copy.
        const auto width = static_cast<std::ptrdiff_t>(group->width());
        source = {group->before[c].data(), 2 * width, 1, 2, 0, 0xffffu};
        source.x0 = group->x.low;
        source.y0 = group->y.low;
      }
      paint(region, source, c);
      blend(region, source, plane_.channel[c], group, c);
    }
  }

  void paint(const Region& region, const Source& source, int c) {
    if (effect_.kind == Kind::blur) {
      paint_blur(source, region, cover_, effect_.passes, format_.depth, scratch(), painted_);
    } else if (effect_.kind == Kind::pixelize) {
      paint_pixels(source, region, cover_, effect_.cells, scratch(), painted_);
    } else {
      const int code = effect_.color[plane_.chroma ? c + 1 : 0] << (format_.depth - 8);
      paint_color(region, static_cast<std::uint16_t>(code), scratch(), painted_);
    }
  }

  // out = (alpha*B + (256-alpha)*I + 128) >> 8 for every sample that this region is the one to write.
  void blend(const Region& region, const Source& source, const Channel& channel, Group* group, int c) {
    const int width = region.x.size(), fraction = painted_.fraction;
    const unsigned rounding = fraction ? 1u << (fraction - 1) : 0u;
    codes_.resize(static_cast<std::size_t>(width));
    before_.resize(static_cast<std::size_t>(width));
    alpha_.resize(static_cast<std::size_t>(width));
    chosen_.resize(static_cast<std::size_t>(width));
    const bool whole = cover_.opaque() && !group;
    for (int y = 0; y < region.y.size(); ++y) {
      const std::uint16_t* from = painted_.rows[static_cast<std::size_t>(y)];
      std::uint16_t* codes = codes_.data();
      for (std::ptrdiff_t x = 0; x < width; ++x) codes[x] = static_cast<std::uint16_t>((from[x] + rounding) >> fraction);
      const std::int16_t* chosen = nullptr;
      if (!whole) {
        const std::int16_t* alpha = cover_.row(y, alpha_.data());
        chosen = alpha;
        if (group) {
          std::int16_t* best = &group->best[c][group->offset(region.x.low, region.y.low + y)];
          for (std::ptrdiff_t x = 0; x < width; ++x) {
            chosen_[static_cast<std::size_t>(x)] = alpha[x] > best[x];
            best[x] = std::max(best[x], alpha[x]);
          }
          chosen = chosen_.data();
        }
        source.load(region.x.low, region.y.low + y, width, before_.data(), 0);
        const std::uint16_t* before = before_.data();
        for (std::ptrdiff_t x = 0; x < width; ++x)
          codes[x] = static_cast<std::uint16_t>((alpha[x] * codes[x] + (256 - alpha[x]) * before[x] + 128) >> 8);
      }
      char* row = static_cast<char*>(channel.data) + (region.y.low + y) * channel.stride;
      const std::ptrdiff_t first = static_cast<std::ptrdiff_t>(region.x.low) * channel.step;
      if (format_.itemsize == 1)
        store_row(reinterpret_cast<std::uint8_t*>(row) + first, channel.step, codes, chosen, width, format_.shift);
      else
        store_row(reinterpret_cast<std::uint16_t*>(row) + first, channel.step, codes, chosen, width, format_.shift);
    }
  }

  // A region's buffers are megabytes: fresh ones would cost a page fault for every 4 KiB, each time.
  static Scratch& scratch() {
    thread_local Scratch room;
    return room;
  }

  const Plane& plane_;
  const Format& format_;
  int feather_;
  const Effect& effect_;
  std::vector<Region> regions_;
  std::vector<std::size_t> parent_, members_;
  Cover cover_;
  Painted painted_;
  std::vector<std::uint16_t> codes_, before_;
  std::vector<std::int16_t> alpha_, chosen_;
};

}  // namespace

void edit(const Plane* planes, int plane_count, const Format& format, const std::vector<Target>& targets, int feather,
          const Effect& effect) {
  for (int i = 0; i < plane_count; ++i) Editor(planes[i], format, feather, effect).run(targets);
}

}  // namespace anonfilter
