#include "edit.hpp"

#include <algorithm>
#include <numeric>

#include "pool.hpp"

namespace anonfilter {
namespace {

std::int64_t area(const Region& r) { return static_cast<std::int64_t>(r.x.size()) * r.y.size(); }

// Regions of one plane that overlap, directly or through others: written by one thread, one after the other.
struct Cluster {
  const Plane* plane;
  std::vector<Region> regions;
  std::int64_t cost;
  bool shareable;  // some region can be worked on by several threads: a blur, in spans, that is worth them
};

// The regions of a plane, in the order in which they write, as clusters.
class Clusters {
 public:
  Clusters(const Plane& plane, const Format& format, int feather, const Effect& effect, const std::vector<Target>& targets)
      : plane_(plane), blurs_(effect.kind == Kind::blur), work_(blurs_ ? effect.passes : 1) {
    for (const Target& target : targets) {
      const Region region = locate(target, plane, format, feather);
      if (!region.empty()) regions_.push_back(region);
    }
    if (blurs_)
      // Of equal alpha the wider window wins, then the earlier: the first to write a sample keeps it.
      std::stable_sort(regions_.begin(), regions_.end(),
                       [](const Region& a, const Region& b) { return a.target->h > b.target->h; });
    join();
  }

  void append_to(std::vector<Cluster>& list) {
    for (std::size_t i = 0; i < regions_.size(); ++i) {
      if (root(i) != i) continue;
      Cluster cluster{&plane_, {}, 0, false};
      for (std::size_t k = i; k < regions_.size(); ++k)
        if (root(k) == i) {
          cluster.regions.push_back(regions_[k]);
          cluster.cost += area(regions_[k]) * plane_.channels * work_;
          cluster.shareable |= blurs_ && regions_[k].target->shape != Shape::mask &&
                               area(regions_[k]) * work_ >= 2 * least_work();
        }
      list.push_back(std::move(cluster));
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

  const Plane& plane_;
  bool blurs_;
  int work_;
  std::vector<Region> regions_;
  std::vector<std::size_t> parent_;
};

// Writes one cluster.
class Editor {
 public:
  Editor(const Format& format, const Effect& effect) : format_(format), effect_(effect) {}

  void write(const Cluster& cluster, int threads) {
    thread_local Cover cover;  // kept, as Scratch is
    thread_local Group common;
    const Plane& plane = *cluster.plane;
    Group* group = nullptr;
    if (cluster.regions.size() > 1) {
      group = &common;
      common.x = cluster.regions[0].x;
      common.y = cluster.regions[0].y;
      for (const Region& r : cluster.regions) {
        common.x = {std::min(common.x.low, r.x.low), std::max(common.x.high, r.x.high)};
        common.y = {std::min(common.y.low, r.y.low), std::max(common.y.high, r.y.high)};
      }
      common.take(plane, format_);
    }
    for (const Region& region : cluster.regions) {
      cover.build(region, plane, format_);
      for (int c = 0; c < plane.channels; ++c) {
        Source source = Source::of(plane.channel[c], format_);
        if (group) {
          // A column and row of the plane lead to the same sample of the copy.
          source = {group->before[c].get(group->size()), 2 * group->width(), 1, 2, 0, 0xffffu};
          source.x0 = group->x.low;
          source.y0 = group->y.low;
        }
        const Writer writer(region, cover, source, plane.channel[c], format_, group, c);
        paint({source, region, cover, writer}, plane.chroma ? c + 1 : 0, threads);
      }
    }
  }

 private:
  void paint(const Job& job, int component, int threads) const {
    if (effect_.kind == Kind::pixelize) return pixelize(job, effect_.cells);
    if (effect_.kind == Kind::fill)
      return fill(job, static_cast<std::uint16_t>(effect_.color[component] << (format_.depth - 8)));
    // A small region is not worth several threads.
    const int useful = static_cast<int>(std::min<std::int64_t>(threads, area(job.region) * effect_.passes / least_work()));
    if (job.cover.full()) return blur_full(job, effect_.passes, format_.depth, useful);
    if (job.cover.spans()) return blur_spans(job, effect_.passes, format_.depth, useful);
    blur_bitmap(job, effect_.passes, format_.depth);
  }

  const Format& format_;
  const Effect& effect_;
};

}  // namespace

void edit(const Plane* planes, int plane_count, const Format& format, const std::vector<Target>& targets, int feather,
          const Effect& effect) {
  std::vector<Cluster> clusters;
  for (int i = 0; i < plane_count; ++i) Clusters(planes[i], format, feather, effect, targets).append_to(clusters);
  std::stable_sort(clusters.begin(), clusters.end(), [](const Cluster& a, const Cluster& b) { return a.cost > b.cost; });
  std::int64_t total = 0;
  for (const Cluster& cluster : clusters) total += cluster.cost;
  const int most = static_cast<int>(std::min<std::int64_t>(threads(), total / least_work()));
  // Those that would keep one thread busy for longer than its share are shared out themselves, one after the other, if
  // that can be done.
  const auto alone = std::stable_partition(clusters.begin(), clusters.end(), [&](const Cluster& cluster) {
    return most > 1 && cluster.shareable && cluster.cost > total / most;
  });
  const auto large = static_cast<std::size_t>(alone - clusters.begin());
  for (std::size_t i = 0; i < large; ++i) Editor(format, effect).write(clusters[i], most);
  in_parallel(most, static_cast<int>(clusters.size() - large),
              [&](int i) { Editor(format, effect).write(clusters[large + static_cast<std::size_t>(i)], 1); });
}

}  // namespace anonfilter
