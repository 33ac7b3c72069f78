// A register of floats, whatever the processor: the operations that the kernels need, under one set of names.
//
// Each level is compiled from the same sources into its own namespace, DIORAMA_LEVEL. `+ - * /` between registers and
// with plain floats are the compiler's own; a * b + c becomes one fused instruction (-ffp-contract=fast).
#pragma once
#include <cstdint>

#include "types.h"

#ifndef DIORAMA_LEVEL
#error "compile through level.cpp with DIORAMA_LEVEL set"
#endif

#if defined(DIORAMA_AVX512)
#include "simd_avx512.h"
#elif defined(DIORAMA_AVX2)
#include "simd_avx2.h"
#else
#include "simd_portable.h"
#endif

namespace diorama::DIORAMA_LEVEL {

constexpr float kLog2E = 1.44269504f;

inline int least(int a, int b) { return b < a ? b : a; }
inline int most(int a, int b) { return a < b ? b : a; }

inline Floats clamp(Floats x, Floats low, Floats high) { return minimum(maximum(x, low), high); }
inline Floats zeros() { return all(0.f); }
inline Mask within(Floats x, Floats low, Floats high) { return both(at_least(x, low), at_least(high, x)); }
inline Mask is_finite(Floats x) { return greater(all(3e38f), absolute(x)); }   // false for NaN too
inline void prefetch(const void* address) { __builtin_prefetch(address, 0, 3); }
inline void prefetch_to_write(const void* address) { __builtin_prefetch(address, 1, 3); }

// Lines of 16 floats, one per lane, as one register per place in the line, and back. line(l) is the address of lane l's.
// Whole lines through shuffles: gathering each place costs several times as much, and so do stores lane by lane.
template <class Line>
[[gnu::always_inline]] inline void fields_of_lines(Line&& line, Floats* fields) {
  for (int first = 0; first < 16; first += kWidth) {
    for (int l = 0; l < kWidth; ++l) fields[first + l] = load(line(l) + first);
    transpose(fields + first);
  }
}
template <class Line>
[[gnu::always_inline]] inline void lines_of_fields(Floats* fields, Line&& line) {
  for (int first = 0; first < 16; first += kWidth) {
    transpose(fields + first);
    for (int l = 0; l < kWidth; ++l) store(line(l) + first, fields[first + l]);
  }
}

// 2^x with a relative error of 3e-6 (degree 4) or 2e-7 (degree 5): minimax polynomials on [-0.5, 0.5], then the
// exponent. Underflows to 2^-126 or less, never wraps; x up to 127.
template <int Degree>
inline Floats exp2_approx(Floats x) {
  static_assert(Degree == 4 || Degree == 5);
  x = above_underflow(x);
  const Floats whole = round_nearest(x), part = x - whole;
  Floats p;
  if constexpr (Degree == 4) {
    p = 0.0095700926f * part + 0.0559178637f;
    p = p * part + 0.240247451f;
    p = p * part + 0.693121814f;
    p = p * part + 0.999999261f;
  } else {
    p = 0.00132764628f * part + 0.00967554174f;
    p = p * part + 0.0555071331f;
    p = p * part + 0.240221197f;
    p = p * part + 0.693146967f;
    p = p * part + 1.f;
  }
  return times_power_of_two(p, whole);
}

inline Floats exponential(Floats x) { return exp2_approx<5>(clamp(x, all(-80.f), all(80.f)) * kLog2E); }

// log2 of positive x: exponent, and atanh's series around a mantissa in [sqrt(1/2), sqrt(2)].
inline Floats log2_approx(Floats x) {
  Floats e = exponent_of(x), m = mantissa_of(x);
  const Mask big = greater(m, all(1.41421356f));
  m = choose(big, m * .5f, m);
  e = choose(big, e + 1.f, e);
  const Floats t = (m - 1.f) / (m + 1.f), u = t * t;
  Floats p = (2.f / 9) * u + (2.f / 7);
  p = p * u + (2.f / 5);
  p = p * u + (2.f / 3);
  p = p * u + 2.f;
  return e + p * t * kLog2E;
}

}  // namespace diorama::DIORAMA_LEVEL
