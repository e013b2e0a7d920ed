// The division of the blur over bitmaps, by itself.
#pragma once

#include <cstdint>

namespace anonfilter {

// out[i] = mean of the column sums over counts[i] samples, 0 off the mask; then sums and counts move on by one row.
void masked_down(std::uint32_t* sums, std::uint16_t* counts, const std::uint16_t* enter, const std::uint16_t* leave,
                 const std::uint8_t* mask_enter, const std::uint8_t* mask, const std::uint8_t* mask_leave, std::uint16_t* out,
                 int n);

}  // namespace anonfilter
