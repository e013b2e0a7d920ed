// Which unit runs: the one place that knows what this library was built with and what this CPU can do.
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "unit.hpp"

namespace anonfilter {

extern const Unit unit_portable;
#ifdef __GNUC__
extern const Unit unit_wide512;
#endif
#ifdef __x86_64__
extern const Unit unit_sse41, unit_avx2, unit_avx512;
#endif
#ifdef __aarch64__
extern const Unit unit_neon;
#endif

namespace {

struct Row {
  UnitInfo info;
  const Unit* unit;
};

// From the plainest to the best. GCC's and Clang's __builtin_cpu_supports also asks whether the system saves the
// registers.
const std::vector<Row>& table() {
  static const std::vector<Row> rows = [] {
    std::vector<Row> list{{{"portable", true, true, false}, &unit_portable}};
#ifdef __GNUC__
    list.push_back({{"wide512", true, true, true}, &unit_wide512});
#endif
#ifdef __x86_64__
    __builtin_cpu_init();
    list.push_back({{"sse4.1", true, __builtin_cpu_supports("sse4.1") != 0, false}, &unit_sse41});
    list.push_back({{"avx2", true, __builtin_cpu_supports("avx2") != 0, false}, &unit_avx2});
    list.push_back({{"avx512", true, __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"), false},
                    &unit_avx512});
#endif
#ifdef __aarch64__
    list.push_back({{"neon", true, true, false}, &unit_neon});
#endif
    for (const char* other : {"sse4.1", "avx2", "avx512", "neon"}) {
      bool known = false;
      for (const Row& row : list) known = known || std::string(row.info.name) == other;
      if (!known) list.push_back({{other, false, false, false}, nullptr});
    }
    return list;
  }();
  return rows;
}

const Unit* find(const std::string& name) {
  std::string names;
  for (const Row& row : table()) {
    if (row.info.runs) names += (names.empty() ? "" : ", ") + std::string(row.info.name);
    if (row.info.name != name || row.info.runs) continue;
    if (!row.info.built) throw std::invalid_argument("CPU unit '" + name + "' is not for this architecture");
    throw std::invalid_argument("CPU unit '" + name + "' cannot run: this CPU lacks its instructions");
  }
  for (const Row& row : table())
    if (row.info.name == name) return row.unit;
  throw std::invalid_argument("CPU unit '" + name + "' should be one of " + names);
}

const Unit* first_choice() {
  if (const char* name = std::getenv("ANONFILTER_CPU"); name && *name) {
    try {
      return find(name);
    } catch (const std::invalid_argument& error) {
      throw std::runtime_error(std::string("ANONFILTER_CPU: ") + error.what());
    }
  }
  const Unit* best = nullptr;
  for (const Row& row : table())
    if (row.info.runs && !row.info.by_name) best = row.unit;
  return best;
}

std::atomic<const Unit*> chosen{nullptr};

}  // namespace

const Unit& unit() {
  const Unit* now = chosen.load(std::memory_order_acquire);
  if (!now) {
    now = first_choice();
    chosen.store(now, std::memory_order_release);
  }
  return *now;
}

void use_unit(const char* name) { chosen.store(find(name), std::memory_order_release); }

const std::vector<UnitInfo>& units() {
  static const std::vector<UnitInfo> list = [] {
    std::vector<UnitInfo> infos;
    for (const Row& row : table()) infos.push_back(row.info);
    return infos;
  }();
  return list;
}

}  // namespace anonfilter
