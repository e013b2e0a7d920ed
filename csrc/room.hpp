// Memory that grows, is not cleared when it is asked for again, and begins at a cache line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace anonfilter {

template <class T>
class Room {
 public:
  T* get(std::ptrdiff_t n) {
    const std::size_t size = static_cast<std::size_t>(n) + 64 / sizeof(T);
    if (memory_.size() < size) memory_.resize(size);
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    return memory_.data() + (64 - address % 64) % 64 / sizeof(T);
  }

 private:
  std::vector<T> memory_;
};

}  // namespace anonfilter
