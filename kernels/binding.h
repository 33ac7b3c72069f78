// What the files of the Python binding share: arrays are checked before anything else happens.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <type_traits>

#include "cpu/types.h"

namespace nb = nanobind;

namespace diorama::binding {

using Array = nb::ndarray<>;            // of any kind, writable
using Input = nb::ndarray<nb::ro>;      // of any kind
using Shape = std::initializer_list<std::int64_t>;   // -1: any size

template <class A>
std::string describe(const A& array) {
  const nb::dlpack::dtype type = array.dtype();
  const char* kinds[] = {"int", "uint", "float"};
  std::string text = type.code <= 2 ? kinds[type.code] + std::to_string(type.bits) : std::string("another dtype");
  text += "(";
  for (std::size_t i = 0; i < array.ndim(); ++i) text += (i ? ", " : "") + std::to_string(array.shape(i));
  return text + ")";
}

template <class T, class A>
T* data_of(const A& array, const char* name, Shape shape, const char* wanted) {
  const auto fail = [&](const std::string& what) { throw nb::value_error((std::string(name) + what).c_str()); };
  if (array.device_type() != nb::device::cpu::value) fail(" is not in the CPU's memory");
  if (array.dtype() != nb::dtype<std::remove_const_t<T>>())
    throw nb::type_error((std::string(name) + " is " + describe(array) + ", expected " + wanted).c_str());
  bool fits = array.ndim() == shape.size();
  std::size_t i = 0;
  for (std::int64_t wanted_size : shape)
    if (fits && wanted_size >= 0) fits = static_cast<std::int64_t>(array.shape(i++)) == wanted_size;
    else ++i;
  if (!fits) fail(" is " + describe(array) + ", expected " + wanted);
  std::int64_t step = 1;
  for (std::size_t k = array.ndim(); k-- > 0;) {
    if (array.shape(k) > 1 && array.stride(k) != step && array.size() > 0) fail(" is not C-contiguous");
    step *= static_cast<std::int64_t>(array.shape(k));
  }
  return static_cast<T*>(array.data());
}

template <class A>
float* blocks_of(const A& blocks, const char* name, std::size_t block_count) {
  return const_cast<float*>(data_of<const float>(
      blocks, name, {block_count == SIZE_MAX ? -1 : static_cast<std::int64_t>(block_count), kParameters, kLanes},
      block_count == SIZE_MAX ? "float32(B, 59, 16)" : "float32(B, 59, 16) like blocks"));
}

inline Splats splats_of(float* blocks, std::size_t block_count, std::int64_t count, int degree) {
  if (count < 0 || count > static_cast<std::int64_t>(block_count) * kLanes)
    throw nb::value_error(("count is " + std::to_string(count) + ", but blocks hold 0 to " +
                           std::to_string(block_count * kLanes) + " splats").c_str());
  if (count > (1 << 26)) throw nb::value_error("more than 67 million splats");
  if (degree < 0 || degree > 3) throw nb::value_error("sh_degree must be 0 to 3");
  Splats s;
  s.blocks = blocks;
  s.count = static_cast<int>(count);
  s.degree = degree;
  return s;
}

inline const float* smoothing_of(const std::optional<Input>& smoothing, std::int64_t count) {
  return smoothing ? data_of<const float>(*smoothing, "smoothing", {count}, "float32(count,)") : nullptr;
}

void bind_stereo(nb::module_& m);     // binding_stereo.cpp
void bind_training(nb::module_& m);   // binding_training.cpp

}  // namespace diorama::binding
