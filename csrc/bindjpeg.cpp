// JPEG coefficients for anonfilter/io/jpeg.py, as one object that holds them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <vector>

#include "jpeg.hpp"

namespace py = pybind11;
using namespace anonfilter;

namespace {

using Bytes = py::array_t<std::uint8_t, py::array::c_style>;

JpegComponent& component(JpegImage& image, std::size_t index) {
  if (index >= image.components.size()) throw py::index_error("no such component");
  return image.components[index];
}

py::array_t<std::uint8_t> samples(JpegImage& image, std::size_t index) {
  const JpegComponent& one = component(image, index);
  py::array_t<std::uint8_t> out({one.rows * 8, one.columns * 8});
  std::uint8_t* to = out.mutable_data();
  const py::gil_scoped_release release;
  jpeg_samples(one, image.tables[one.table], to);
  return out;
}

}  // namespace

void bind_jpeg(py::module_& m) {
  py::register_exception<JpegError>(m, "JpegError", PyExc_ValueError);
  py::class_<JpegImage>(m, "Jpeg")
      .def(py::init([](const py::bytes& data) {
             char* at = nullptr;
             py::ssize_t size = 0;
             if (PyBytes_AsStringAndSize(data.ptr(), &at, &size)) throw py::error_already_set();
             const py::gil_scoped_release release;
             return std::make_unique<JpegImage>(
                 read_jpeg(reinterpret_cast<const std::uint8_t*>(at), static_cast<std::size_t>(size)));
           }))
      .def_readonly("width", &JpegImage::width)
      .def_readonly("height", &JpegImage::height)
      .def_readonly("progressive", &JpegImage::progressive)
      .def_readonly("complete", &JpegImage::complete)
      .def_readonly("end", &JpegImage::end)
      .def("factors", [](const JpegImage& image) {
        std::vector<std::tuple<int, int, int, int>> rows;
        for (const JpegComponent& one : image.components) rows.emplace_back(one.id, one.h, one.v, one.table);
        return rows;
      })
      .def("table", [](const JpegImage& image, std::size_t index) {
        if (index > 3) throw py::index_error("no such table");
        return std::vector<int>(image.tables[index], image.tables[index] + 64);
      })
      .def("blocks", [](JpegImage& image, std::size_t index) {
        const JpegComponent& one = component(image, index);
        py::array_t<std::int16_t> out({one.rows, one.columns, 64});
        std::copy(one.blocks.begin(), one.blocks.end(), out.mutable_data());
        return out;
      })
      .def("samples", &samples)
      .def("update", [](JpegImage& image, std::size_t index, int width, int height, const Bytes& before, const Bytes& after) {
        JpegComponent& one = component(image, index);
        for (const Bytes* plane : {&before, &after})
          if (plane->ndim() != 2 || plane->shape(0) != one.rows * 8 || plane->shape(1) != one.columns * 8)
            throw py::value_error("samples of another size");
        if (width < 1 || height < 1 || width > one.columns * 8 || height > one.rows * 8) throw py::value_error("a wrong size");
        const std::uint8_t *a = before.data(), *b = after.data();
        const py::gil_scoped_release release;
        return jpeg_update(one, image.tables[one.table], width, height, a, b);
      })
      .def("scan", [](const JpegImage& image) {
        std::vector<std::uint8_t> out;
        {
          const py::gil_scoped_release release;
          out = write_scan(image.components);
        }
        return py::bytes(reinterpret_cast<const char*>(out.data()), out.size());
      });
}
