// What the files of the Python binding share: arrays are checked before anything else happens.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

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

void bind_stereo(nb::module_& m);   // binding_stereo.cpp

}  // namespace diorama::binding
