// Reading: T.81 annexes B, E, F and G. All offsets, counts and indices of the file are checked before use.
#include "jpeg.hpp"

#include <algorithm>
#include <string>

#include "jpegbits.hpp"

namespace anonfilter {

namespace {

constexpr std::size_t most_blocks = std::size_t{1} << 22;  // 8192 x 8192 samples of four components
constexpr int most_scans = 100;

struct ScanComponent {
  JpegComponent* to;
  const HuffmanDecoder* dc;
  const HuffmanDecoder* ac;
  int last = 0;  // DC prediction
};

class Parser {
 public:
  Parser(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  JpegImage read() {
    if (size_ < 4 || data_[0] != 0xFF || data_[1] != 0xD8) throw JpegError("no JPEG file");
    at_ = 2;
    try {
      while (segment()) {
      }
    } catch (const CutShort&) {
      image_.complete = false;
    }
    if (image_.components.empty() || !scans_) throw JpegError("no picture in it");
    image_.end = std::min(at_, size_);
    return std::move(image_);
  }

 private:
  struct CutShort {};

  // One marker segment; false at the end.
  bool segment() {
    while (at_ < size_ && data_[at_] != 0xFF) ++at_;
    while (at_ < size_ && data_[at_] == 0xFF) ++at_;
    if (at_ >= size_) throw CutShort{};
    const int marker = data_[at_++];
    if (marker == 0xD9) {
      image_.complete = !broken_;
      return false;
    }
    if (marker == 0 || marker == 1 || (marker >= 0xD0 && marker <= 0xD8)) return true;
    if (at_ + 2 > size_) throw CutShort{};
    const std::size_t length = word(at_);
    if (length < 2 || at_ + length > size_) throw CutShort{};
    const std::size_t from = at_ + 2, to = at_ + length;
    at_ = to;
    if (marker == 0xDB) quantisation(from, to);
    else if (marker == 0xC4) huffman(from, to);
    else if (marker == 0xDD && to - from >= 2) interval_ = static_cast<int>(word(from));
    else if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC8 && marker != 0xCC) frame(marker, from, to);
    else if (marker == 0xDA) scan(from, to);
    return true;
  }

  std::size_t word(std::size_t at) const { return static_cast<std::size_t>(data_[at]) << 8 | data_[at + 1]; }

  void quantisation(std::size_t from, std::size_t to) {
    while (from < to) {
      const int kind = data_[from] >> 4, id = data_[from] & 15;
      ++from;
      const std::size_t need = kind ? 128 : 64;
      if (kind > 1 || id > 3 || to - from < need) throw JpegError("a quantisation table is wrong");
      if (scans_) throw JpegError("quantisation tables change between scans");
      for (int k = 0; k < 64; ++k) {
        const std::size_t i = static_cast<std::size_t>(k);
        const std::size_t value = kind ? word(from + 2 * i) : data_[from + i];
        if (!value) throw JpegError("a quantisation table is wrong");
        image_.tables[id][natural[k]] = static_cast<std::uint16_t>(value);
      }
      known_[id] = true;
      from += need;
    }
  }

  void huffman(std::size_t from, std::size_t to) {
    while (from < to) {
      const int kind = data_[from] >> 4, id = data_[from] & 15;
      if (kind > 1 || id > 3 || to - from < 17) throw JpegError("a Huffman table is wrong");
      const std::uint8_t* counts = data_ + from + 1;
      std::size_t total = 0;
      for (int i = 0; i < 16; ++i) total += counts[i];
      from += 17;
      if (total > 256 || to - from < total || !decoders_[kind][id].build(counts, data_ + from, total))
        throw JpegError("a Huffman table is wrong");
      from += total;
    }
  }

  void frame(int marker, std::size_t from, std::size_t to) {
    if (marker > 0xC2) throw JpegError(marker >= 0xC9 ? "arithmetic coding is not supported" : "lossless or hierarchical JPEG is not supported");
    if (!image_.components.empty()) throw JpegError("more than one picture in one frame");
    if (to - from < 6) throw CutShort{};
    if (data_[from] != 8) throw JpegError(std::to_string(data_[from]) + " bits a sample are not supported");
    image_.height = static_cast<int>(word(from + 1));
    image_.width = static_cast<int>(word(from + 3));
    const int count = data_[from + 5];
    if (!image_.width || !image_.height) throw JpegError("a picture without a size");
    if (count < 1 || count > 4 || to - from < 6 + 3 * static_cast<std::size_t>(count)) throw JpegError("wrong number of components");
    image_.progressive = marker == 0xC2;
    std::vector<JpegComponent> made(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < made.size(); ++i) {
      const std::uint8_t* row = data_ + from + 6 + 3 * i;
      made[i].id = row[0];
      made[i].h = row[1] >> 4;
      made[i].v = row[1] & 15;
      made[i].table = row[2];
      if (made[i].h < 1 || made[i].h > 4 || made[i].v < 1 || made[i].v > 4 || row[2] > 3) throw JpegError("wrong sampling factors");
    }
    if (count == 1) made[0].h = made[0].v = 1;  // they mean nothing there
    for (const JpegComponent& one : made) {
      hmax_ = std::max(hmax_, one.h);
      vmax_ = std::max(vmax_, one.v);
    }
    across_ = (image_.width + 8 * hmax_ - 1) / (8 * hmax_);
    down_ = (image_.height + 8 * vmax_ - 1) / (8 * vmax_);
    std::size_t blocks = 0;
    for (JpegComponent& one : made) {
      one.columns = across_ * one.h;
      one.rows = down_ * one.v;
      blocks += static_cast<std::size_t>(one.columns) * static_cast<std::size_t>(one.rows);
    }
    if (blocks > most_blocks) throw JpegError("the picture is too large");
    for (JpegComponent& one : made)
      one.blocks.assign(static_cast<std::size_t>(one.columns) * static_cast<std::size_t>(one.rows) * 64, 0);
    image_.components = std::move(made);
  }

  void scan(std::size_t from, std::size_t to) {
    if (image_.components.empty()) throw JpegError("a scan before its frame");
    if (++scans_ > most_scans) throw JpegError("too many scans");
    const std::size_t count = to > from ? data_[from] : 0;
    if (count < 1 || count > image_.components.size() || to - from < 4 + 2 * count) throw JpegError("a scan's header is wrong");
    const std::uint8_t* tail = data_ + from + 1 + 2 * count;
    ss_ = tail[0];
    se_ = tail[1];
    ah_ = tail[2] >> 4;
    al_ = tail[2] & 15;
    if (!image_.progressive) {
      ss_ = ah_ = al_ = 0;
      se_ = 63;
    }
    if (ss_ > se_ || se_ > 63 || al_ > 13 || ah_ > 13 || (image_.progressive && (ss_ == 0) != (se_ == 0)) || (ss_ && count > 1))
      throw JpegError("a scan's header is wrong");
    std::vector<ScanComponent> list;
    for (std::size_t i = 0; i < count; ++i) {
      const int id = data_[from + 1 + 2 * i], tables = data_[from + 2 + 2 * i];
      const auto one = std::find_if(image_.components.begin(), image_.components.end(),
                                    [&](const JpegComponent& c) { return c.id == id; });
      const bool twice = std::any_of(list.begin(), list.end(), [&](const ScanComponent& c) { return c.to->id == id; });
      if (one == image_.components.end() || twice || tables >> 4 > 3 || (tables & 15) > 3 || !known_[one->table])
        throw JpegError("a scan's header is wrong");
      const HuffmanDecoder *dc = &decoders_[0][tables >> 4], *ac = &decoders_[1][tables & 15];
      if ((!dc->built && !ss_ && !ah_) || (!ac->built && se_)) throw JpegError("a scan without its Huffman table");
      list.push_back({&*one, dc, ac, 0});
    }
    entropy(list);
  }

  // The data of a scan, up to the next marker that is none of its own.
  void entropy(std::vector<ScanComponent>& list) {
    BitReader bits(data_, size_, at_);
    const bool alone = list.size() == 1;
    const JpegComponent& first = *list[0].to;
    const auto covers = [](int size, int factor, int most) { return (size * factor + 8 * most - 1) / (8 * most); };
    const int columns = alone ? covers(image_.width, first.h, hmax_) : across_;
    const int rows = alone ? covers(image_.height, first.v, vmax_) : down_;
    eob_ = 0;
    int left = interval_ ? interval_ : -1;
    bool good = true;
    for (int y = 0; y < rows && good; ++y) {
      for (int x = 0; x < columns && good; ++x) {
        if (left == 0) {
          if (!bits.restart()) good = false;
          for (ScanComponent& one : list) one.last = 0;
          eob_ = 0;
          left = interval_;
        }
        --left;
        if (alone) {
          good = good && block(bits, list[0], x, y);
          continue;
        }
        for (ScanComponent& one : list)
          for (int v = 0; v < one.to->v && good; ++v)
            for (int h = 0; h < one.to->h && good; ++h) good = block(bits, one, x * one.to->h + h, y * one.to->v + v);
      }
    }
    if (!good || bits.overrun()) broken_ = true;
    at_ = bits.end();
  }

  bool block(BitReader& bits, ScanComponent& one, int x, int y) {
    const std::size_t at = static_cast<std::size_t>(y) * static_cast<std::size_t>(one.to->columns) + static_cast<std::size_t>(x);
    std::int16_t* to = one.to->blocks.data() + 64 * at;
    if (bits.overrun()) return false;
    if (!image_.progressive) return dc(bits, one, to) && ac_first(bits, one, to, 1);
    if (!ss_) {
      if (!ah_) return dc(bits, one, to);
      if (bits.take(1)) to[0] = static_cast<std::int16_t>(to[0] | 1 << al_);
      return true;
    }
    return ah_ ? ac_refine(bits, one, to) : ac_first(bits, one, to, ss_);
  }

  bool dc(BitReader& bits, ScanComponent& one, std::int16_t* to) {
    const int size = one.dc->next(bits);
    if (size < 0 || size > 11) return false;
    one.last = std::clamp(one.last + bits.extended(size), -32768, 32767);
    to[0] = static_cast<std::int16_t>(one.last * (1 << al_));
    return true;
  }

  bool ac_first(BitReader& bits, ScanComponent& one, std::int16_t* to, int from) {
    if (eob_) {
      --eob_;
      return true;
    }
    for (int k = from; k <= se_; ++k) {
      const int symbol = one.ac->next(bits);
      if (symbol < 0) return false;
      const int run = symbol >> 4, size = symbol & 15;
      if (!size) {
        if (run == 15) {
          k += 15;
          continue;
        }
        if (!image_.progressive && run) return false;
        eob_ = (1 << run) - 1;
        if (run) eob_ += bits.take(run);
        return true;
      }
      k += run;
      if (k > se_ || size > 14) return false;
      to[natural[k]] = static_cast<std::int16_t>(bits.extended(size) * (1 << al_));
    }
    return true;
  }

  // One more bit for those that are known, and new ones (G.1.2.3).
  bool ac_refine(BitReader& bits, ScanComponent& one, std::int16_t* to) {
    const int plus = 1 << al_;
    const auto correct = [&](std::int16_t& value) {
      if (bits.take(1) && !(std::abs(value) & plus)) value = static_cast<std::int16_t>(value + (value > 0 ? plus : -plus));
    };
    int k = ss_;
    if (!eob_) {
      for (; k <= se_; ++k) {
        const int symbol = one.ac->next(bits);
        if (symbol < 0) return false;
        int run = symbol >> 4;
        int value = 0;
        if (symbol & 15) {
          if ((symbol & 15) != 1) return false;
          value = bits.take(1) ? plus : -plus;
        } else if (run < 15) {
          eob_ = 1 << run;
          if (run) eob_ += bits.take(run);
          break;
        }
        for (; k <= se_; ++k) {
          std::int16_t& here = to[natural[k]];
          if (here) correct(here);
          else if (run-- == 0) {
            here = static_cast<std::int16_t>(value);
            break;
          }
        }
      }
    }
    if (eob_) {
      for (; k <= se_; ++k)
        if (to[natural[k]]) correct(to[natural[k]]);
      --eob_;
    }
    return true;
  }

  const std::uint8_t* data_;
  std::size_t size_, at_ = 0;
  JpegImage image_;
  HuffmanDecoder decoders_[2][4];
  bool known_[4] = {}, broken_ = false;
  int scans_ = 0, interval_ = 0, hmax_ = 1, vmax_ = 1, across_ = 0, down_ = 0;
  int ss_ = 0, se_ = 63, ah_ = 0, al_ = 0, eob_ = 0;
};

}  // namespace

JpegImage read_jpeg(const std::uint8_t* data, std::size_t size) { return Parser(data, size).read(); }

}  // namespace anonfilter
