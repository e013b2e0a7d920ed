// Runs the kernels' sources on the host: blocks one after another, a block's threads as fibres.
//
//   g++ -std=c++17 -O2 -shared -fPIC -DANONFILTER_HOST -Icsrc/cuda csrc/cuda/host/host.cpp
#include <cstdio>
#include <cstring>
#include <vector>

#include "../kernels.cu"
#include "fibre.hpp"

shim::Index threadIdx, blockIdx;

namespace shim {
namespace {

enum class Wait { none, barrier, shuffle, done };

constexpr unsigned char poison = 0xA5;
constexpr std::size_t border = 64, arena_bytes = 256 << 10;

struct Thread {
  Fibre fibre;
  Wait wait;
  int site;
  std::uint32_t value;
};

struct Warp {
  int arrived;
  std::uint32_t values[2][32];  // in turn, so that nobody overwrites what a slower lane has yet to read
  int turn;
};

struct Array {
  int line;
  std::size_t at, bytes;
};

struct Block {
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<Array> arrays;
  std::vector<unsigned char> arena = std::vector<unsigned char>(arena_bytes, poison);
  std::size_t used = 0;
  int at_barrier = 0, done = 0;
  Fibre scheduler;
  void (*kernel)(void* const*) = nullptr;
  void* const* arguments = nullptr;
};

Block block;
char message[256];

Thread& current() { return block.threads[threadIdx.x]; }

void pause(Wait why) {
  const unsigned thread = threadIdx.x;
  current().wait = why;
  switch_to(current().fibre, block.scheduler);
  threadIdx.x = thread;
}

void entry() {
  block.kernel(block.arguments);
  ++block.done;
  pause(Wait::done);
}

const char* failure(const char* what) {
  std::snprintf(message, sizeof message, "block %u: %s", blockIdx.x, what);
  return message;
}

// Runs each lane that can, to its next wait; whether there was one.
bool run_warp(std::size_t warp, bool descending) {
  bool moved = false;
  for (unsigned i = 0; i < 32; ++i) {
    const unsigned thread = static_cast<unsigned>(warp) * 32 + (descending ? 31 - i : i);
    if (block.threads[thread].wait != Wait::none) continue;
    moved = true;
    threadIdx.x = thread;
    switch_to(block.scheduler, block.threads[thread].fibre);
  }
  return moved;
}

const char* run_block(bool descending) {
  const std::size_t count = block.threads.size();
  block.arrays.clear();
  std::memset(block.arena.data(), poison, block.used + border);
  block.used = 0;
  block.at_barrier = block.done = 0;
  for (Warp& warp : block.warps) warp.arrived = warp.turn = 0;
  for (Thread& thread : block.threads) start(thread.fibre, entry), thread.wait = Wait::none;
  while (block.done < static_cast<int>(count)) {
    // Each warp goes as far as it can, a shuffle holding back only its own lanes: the widest gaps between warps.
    bool moved = false;
    for (std::size_t w = 0; w < block.warps.size(); ++w)
      while (run_warp(descending ? block.warps.size() - 1 - w : w, descending)) moved = true;
    if (block.at_barrier == static_cast<int>(count)) {
      for (Thread& thread : block.threads) {
        if (thread.site != block.threads[0].site) return failure("threads wait at different barriers");
        thread.wait = Wait::none;
      }
      block.at_barrier = 0;
      moved = true;
    }
    if (!moved) return failure("a barrier or a shuffle that not all threads reach");
  }
  for (const Array& array : block.arrays)
    for (std::size_t i = 0; i < border; ++i)
      if (block.arena[array.at + array.bytes + i] != poison) return failure("written behind a shared array");
  return nullptr;
}

}  // namespace

void* shared(int line, std::size_t bytes) {
  for (const Array& array : block.arrays)
    if (array.line == line) return block.arena.data() + array.at;
  const std::size_t at = block.used;
  block.used += (bytes + border + 15) / 16 * 16;
  if (block.used + border > arena_bytes) std::abort();
  block.arrays.push_back({line, at, bytes});
  return block.arena.data() + at;
}

void barrier(int site) {
  ++block.at_barrier;
  current().site = site;
  pause(Wait::barrier);
}

const std::uint32_t* exchange(std::uint32_t value) {
  const std::size_t first = threadIdx.x / 32 * 32;
  Warp& warp = block.warps[threadIdx.x / 32];
  std::uint32_t* values = warp.values[warp.turn];
  values[threadIdx.x % 32] = value;
  if (++warp.arrived < 32) {
    pause(Wait::shuffle);
  } else {
    warp.arrived = 0;
    warp.turn ^= 1;
    for (std::size_t i = first; i < first + 32; ++i) block.threads[i].wait = Wait::none;
  }
  return values;
}

}  // namespace shim

namespace {

using Words = const int*;
template <void (*kernel)(Words, const anonfilter::u16*, anonfilter::u16*)>
void call(void* const* a) {
  kernel(static_cast<Words>(a[0]), static_cast<const anonfilter::u16*>(a[1]), static_cast<anonfilter::u16*>(a[2]));
}

constexpr struct {
  const char* name;
  void (*call)(void* const*);
} kernels[] = {
    {"blur_rows_u8", call<blur_rows_u8>},         {"blur_rows_u16", call<blur_rows_u16>},
    {"blur_rows", call<blur_rows>},               {"blur_columns", call<blur_columns>},
    {"blur_columns_u8", call<blur_columns_u8>},   {"blur_columns_u16", call<blur_columns_u16>},
    {"cell_means_u8", call<cell_means_u8>},       {"cell_means_u16", call<cell_means_u16>},
    {"pixelize_u8", call<pixelize_u8>},           {"pixelize_u16", call<pixelize_u16>},
    {"fill_u8", call<fill_u8>},                   {"fill_u16", call<fill_u16>},
    {"letterbox_u8", call<letterbox_u8>},         {"letterbox_u16", call<letterbox_u16>},
};

}  // namespace

// Null, or what went wrong. arguments: three pointers.
extern "C" const char* run(const char* name, int blocks, int threads, int descending, void* const* arguments) {
  shim::Block& block = shim::block;
  block.kernel = nullptr;
  for (const auto& kernel : kernels)
    if (!std::strcmp(kernel.name, name)) block.kernel = kernel.call;
  if (!block.kernel) return "no such kernel";
  if (threads % 32) return "threads should be whole warps";
  block.arguments = arguments;
  block.threads.resize(static_cast<std::size_t>(threads));
  block.warps.resize(static_cast<std::size_t>(threads) / 32);
  for (int i = 0; i < blocks; ++i) {
    blockIdx.x = static_cast<unsigned>(descending ? blocks - 1 - i : i);
    if (const char* error = shim::run_block(descending != 0)) return error;
  }
  return nullptr;
}
