// The extension anonfilter.kernels._cpu: from arrays to the structs of planes.hpp. kernels/ops.py has checked them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <vector>

#include "bitmap.hpp"
#include "edit.hpp"
#include "letterbox.hpp"
#include "pool.hpp"
#include "seek.hpp"
#include "unit.hpp"

namespace py = pybind11;
using namespace anonfilter;

namespace {

// depth, shift, itemsize, log2_w, log2_h, left, top
using FormatTuple = std::tuple<int, int, int, int, int, bool, bool>;
using Ints = py::array_t<std::int32_t, py::array::c_style>;

Format format_of(const FormatTuple& t) {
  return {std::get<0>(t), std::get<1>(t), std::get<2>(t), std::get<3>(t), std::get<4>(t), std::get<5>(t), std::get<6>(t)};
}

// Luma, and both chroma components as one plane.
std::vector<Plane> planes_of(const std::vector<py::array>& arrays, bool writable) {
  std::vector<Plane> planes;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    py::array array = arrays[i];
    if (array.ndim() < 2) throw py::value_error("a plane needs rows and columns");
    void* data = writable ? array.mutable_data() : const_cast<void*>(array.data());
    if (i < 2) {
      planes.push_back({});
      planes.back().width = static_cast<int>(array.shape(1));
      planes.back().height = static_cast<int>(array.shape(0));
      planes.back().chroma = i > 0;
    }
    Plane& plane = planes.back();
    const int step = array.ndim() == 3 ? 2 : 1;
    for (int c = 0; c < step && plane.channels < 2; ++c)
      plane.channel[plane.channels++] = {static_cast<char*>(data) + c * array.itemsize(), array.strides(0), step};
  }
  return planes;
}

// targets: (n, 6) x0, y0, x1, y1, shape, h. masks: in the order of the targets that have one.
void run(const std::vector<py::array>& arrays, const FormatTuple& format_tuple, const Ints& targets,
         const std::vector<py::array_t<std::uint8_t, py::array::c_style>>& masks, int feather, const Effect& effect) {
  const std::vector<Plane> planes = planes_of(arrays, true);
  const Format format = format_of(format_tuple);
  std::vector<Target> list;
  const auto row = targets.unchecked<2>();
  std::size_t next = 0;
  for (py::ssize_t i = 0; i < targets.shape(0); ++i) {
    const auto shape = static_cast<Shape>(row(i, 4));
    const std::uint8_t* mask = shape == Shape::mask ? masks.at(next++).data() : nullptr;
    list.push_back({row(i, 0), row(i, 1), row(i, 2), row(i, 3), shape, row(i, 5), mask});
  }
  const py::gil_scoped_release release;
  edit(planes.data(), static_cast<int>(planes.size()), format, list, feather, effect);
}

using Sums = py::array_t<std::uint32_t, py::array::c_style>;
using Masks = std::vector<py::array_t<std::uint8_t, py::array::c_style>>;

}  // namespace

void bind_jpeg(pybind11::module_& m);  // bindjpeg.cpp

PYBIND11_MODULE(_cpu, m) {
  bind_jpeg(m);
  m.doc() = "Blur, pixelize, fill and letterbox on planes in memory; arguments are checked by anonfilter.kernels.ops.";
  unit();  // an ANONFILTER_CPU that cannot be is an error now, not at the first frame
  m.def("unit", [] { return unit().name; }, "Name of the unit whose inner loops run.");
  m.def("use_unit", [](const std::string& name) { use_unit(name.c_str()); });
  m.def("units", [] {
    std::vector<std::tuple<std::string, bool, bool, bool>> rows;
    for (const UnitInfo& row : units()) rows.emplace_back(row.name, row.built, row.runs, row.by_name);
    return rows;
  });
  // Where the running unit's loops are: for the proof that compared units are different code.
  m.def("loops", [] {
    const Unit& u = unit();
    const auto at = [](auto* function) { return reinterpret_cast<std::uintptr_t>(function); };
    return std::vector<std::uintptr_t>{at(u.load), at(u.along), at(u.add), at(u.down), at(u.span_down),
                                       at(u.update), at(u.blend), at(u.choose), at(u.store)};
  });
  m.def("threads", [] { return std::make_tuple(threads(), least_work()); });
  m.def("set_threads", &set_threads);
  m.def("blur", [](const std::vector<py::array>& planes, const FormatTuple& format, const Ints& targets, const Masks& masks,
                   int feather, int passes) {
    Effect effect;
    effect.kind = Kind::blur;
    effect.passes = passes;
    run(planes, format, targets, masks, feather, effect);
  });
  m.def("pixelize", [](const std::vector<py::array>& planes, const FormatTuple& format, const Ints& targets, const Masks& masks,
                       int feather, int cells) {
    Effect effect;
    effect.kind = Kind::pixelize;
    effect.cells = cells;
    run(planes, format, targets, masks, feather, effect);
  });
  m.def("fill", [](const std::vector<py::array>& planes, const FormatTuple& format, const Ints& targets, const Masks& masks,
                   int feather, const std::array<int, 3>& color) {
    Effect effect;
    std::copy(color.begin(), color.end(), effect.color);
    run(planes, format, targets, masks, feather, effect);
  });
  // The units' divisions by themselves. Sums (a column of each) of n samples, to rounded means: as in the columns of a
  // rectangle; in a column of an ellipse that has n samples in the mask.
  m.def("column_means", [](const Sums& sums, int n) {
    const Division division = division_by(n);
    const std::vector<std::uint16_t> zeros(2 * row_slack);
    py::array_t<std::uint16_t> out(sums.size());
    for (py::ssize_t i = 0; i < sums.size(); ++i) {
      std::vector<std::uint32_t> columns(2 * row_slack, sums.data()[i]);  // all alike: their order is the unit's own
      std::uint16_t means[2 * row_slack];
      unit().down(columns.data(), {zeros.data(), 0, zeros.data(), 0, means, 0}, &division, 1, row_slack);
      if (std::count(means, means + row_slack, means[0]) != row_slack) throw std::runtime_error("lanes differ");
      out.mutable_data()[i] = means[0];
    }
    return out;
  });
  m.def("span_means", [](const Sums& sums, int n) {
    std::vector<std::uint32_t> columns(sums.data(), sums.data() + sums.size());
    columns.resize(columns.size() + row_slack);
    const std::vector<std::int32_t> tops(columns.size()), bottoms(columns.size(), n);
    std::vector<std::uint16_t> out(columns.size());
    const std::ptrdiff_t size = sums.size();
    unit().span_down(columns.data(), {0, size, size, size, 0, n, tops.data(), bottoms.data(), {}}, out.data());
    return py::array_t<std::uint16_t>(size, out.data());
  });
  // Means of the windows along one row.
  m.def("row_means", [](const py::array_t<std::uint16_t, py::array::c_style>& row, int h) {
    const std::ptrdiff_t n = row.size();
    std::vector<std::uint16_t> in(row.data(), row.data() + n), out(static_cast<std::size_t>(n + row_slack));
    in.resize(out.size());
    std::vector<std::uint32_t> sums(static_cast<std::size_t>(sums_before + n + 2 * row_slack));
    WindowTables tables;
    unit().along(in.data(), out.data(), n, tables.reset(h, static_cast<int>(n)), sums.data());
    return py::array_t<std::uint16_t>(n, out.data());
  });
  m.def("masked_means", [](const Sums& sums, const py::array_t<std::uint16_t, py::array::c_style>& samples) {
    std::vector<std::uint32_t> columns(sums.data(), sums.data() + sums.size());
    std::vector<std::uint16_t> counts(samples.data(), samples.data() + sums.size());
    const std::vector<std::uint16_t> zeros(columns.size());
    const std::vector<std::uint8_t> ones(columns.size(), 1);
    py::array_t<std::uint16_t> out(sums.size());
    masked_down(columns.data(), counts.data(), zeros.data(), zeros.data(), ones.data(), ones.data(), ones.data(),
                out.mutable_data(), static_cast<int>(columns.size()));
    return out;
  });
  // placement: the fields of struct Placement in order. colour: matrix by rows, mean, scale, pad.
  m.def("letterbox", [](const std::vector<py::array>& arrays, const FormatTuple& format_tuple, const std::array<int, 15>& p,
                        const std::array<float, 21>& values, py::array_t<float, py::array::c_style>& out) {
    const std::vector<Plane> planes = planes_of(arrays, false);
    const Format format = format_of(format_tuple);
    const Placement at{p[0], p[1], p[2],  p[3],  p[4],        p[5],        p[6],        p[7],
                       p[8], p[9], p[10], p[11], p[12] != 0, p[13] != 0, p[14] != 0};
    Colour colour;
    for (int i = 0; i < 12; ++i) colour.matrix[i / 4][i % 4] = values[static_cast<std::size_t>(i)];
    for (std::size_t c = 0; c < 3; ++c) {
      colour.mean[c] = values[12 + c];
      colour.scale[c] = values[15 + c];
      colour.pad[c] = values[18 + c];
    }
    float* to = out.mutable_data();
    const py::gil_scoped_release release;
    letterbox(planes.data(), static_cast<int>(planes.size()), format, at, colour, to);
  });
  // part: the fields of struct SeekPart in order.
  m.def("seek_window", [](const py::array& plane, const FormatTuple& format_tuple, const std::array<int, 4>& part,
                          int columns, int rows) {
    const std::vector<Plane> planes = planes_of({plane}, false);
    const Format format = format_of(format_tuple);
    py::array_t<std::int16_t> out({rows, columns});
    std::int16_t* to = out.mutable_data();
    {
      const py::gil_scoped_release release;
      seek_window(planes[0], format, {part[0], part[1], part[2], part[3]}, columns, rows, to);
    }
    return out;
  });
  using Samples = py::array_t<std::int16_t, py::array::c_style>;
  // (x, y, score, found, flat, what lies there)
  m.def("seek", [](const Samples& window, const std::optional<Samples>& before, int columns, int rows, int x, int y,
                   int reach, double least, int texture) {
    const SeekPicture picture{window.data(), static_cast<int>(window.shape(1)), static_cast<int>(window.shape(0))};
    Samples now({rows, columns});
    const SeekResult r = seek(picture, before ? before->data() : nullptr, columns, rows, x, y, reach, least, texture,
                              now.mutable_data());
    return py::make_tuple(r.x, r.y, r.score, r.found, r.flat, now);
  });
}
