// 4 lanes in the vector extensions of GCC and Clang: an SSE2 or NEON register, or whatever the compiler finds.
#pragma once
#include <cstring>

namespace diorama::DIORAMA_LEVEL {

constexpr int kWidth = 4;
typedef float Floats __attribute__((vector_size(16)));
typedef std::int32_t Ints __attribute__((vector_size(16)));
using Mask = Ints;   // -1 or 0

inline Floats all(float x) { return Floats{x, x, x, x}; }
inline Ints all_ints(int x) { return Ints{x, x, x, x}; }
inline Ints as_ints(Floats a) { return reinterpret_cast<Ints>(a); }
inline Floats as_floats(Ints a) { return reinterpret_cast<Floats>(a); }
inline Floats load(const float* p) {
  Floats a;
  std::memcpy(&a, p, sizeof a);
  return a;
}
inline void store(float* p, Floats a) { std::memcpy(p, &a, sizeof a); }
// A register is one line of pixels here; a null line is zeros, or not written.
inline Floats load_lines(const float* line, const float*) { return line ? load(line) : all(0.f); }
inline void store_lines(float* line, float*, Floats a) {
  if (line) store(line, a);
}
inline void store_ints(int* p, Ints a) { std::memcpy(p, &a, sizeof a); }
typedef std::uint32_t Words __attribute__((vector_size(16)));   // wrap around, where Ints must not
inline Words as_words(Ints a) { return reinterpret_cast<Words>(a); }
inline Ints multiply_add(Ints a, int factor, int summand) {   // modulo 2^32
  return reinterpret_cast<Ints>(as_words(a) * as_words(all_ints(factor)) + as_words(all_ints(summand)));
}
inline Ints upper_half(Ints a) { return reinterpret_cast<Ints>(as_words(a) >> 16); }
inline Floats load(const BFloat* p) {
  Words a;
  for (int l = 0; l < kWidth; ++l) a[l] = static_cast<std::uint32_t>(p[l]) << 16;
  return as_floats(reinterpret_cast<Ints>(a));
}
// Cut off after `extra`, less than 2^16, was added in units of the last place that a float32 has.
inline void store_cut(BFloat* p, Floats a, Ints extra) {
  const Words cut = (as_words(as_ints(a)) + as_words(extra)) >> 16;
  for (int l = 0; l < kWidth; ++l) p[l] = static_cast<BFloat>(cut[l]);
}
inline Floats lane_numbers() { return Floats{0, 1, 2, 3}; }

inline Mask greater(Floats a, Floats b) { return a > b; }
inline Mask at_least(Floats a, Floats b) { return a >= b; }
inline Mask both(Mask a, Mask b) { return a & b; }
inline unsigned bits(Mask m) {
  const Ints one_each = m & Ints{1, 2, 4, 8};
  return static_cast<unsigned>(one_each[0] | one_each[1] | one_each[2] | one_each[3]);
}
inline bool any(Mask m) {
  std::uint64_t halves[2];
  std::memcpy(halves, &m, sizeof halves);
  return (halves[0] | halves[1]) != 0;
}
inline Mask mask_from_bits(unsigned lanes) {
  const Ints one_each = {1, 2, 4, 8};
  return (all_ints(static_cast<int>(lanes)) & one_each) == one_each;
}
inline Floats choose(Mask m, Floats a, Floats b) { return as_floats((m & as_ints(a)) | (~m & as_ints(b))); }
inline Floats keep(Mask m, Floats a) { return as_floats(m & as_ints(a)); }

inline Floats minimum(Floats a, Floats b) { return choose(a < b, a, b); }   // b where a lane is NaN
inline Floats maximum(Floats a, Floats b) { return choose(a > b, a, b); }   // b where a lane is NaN
inline Floats absolute(Floats a) { return as_floats(as_ints(a) & all_ints(INT32_MAX)); }
inline Floats square_root(Floats a) {
  for (int l = 0; l < kWidth; ++l) a[l] = __builtin_sqrtf(a[l]);
  return a;
}

inline Floats clamped_to_int(Floats a) { return minimum(maximum(a, all(-2147483520.f)), all(2147483520.f)); }
inline Ints toward_zero(Floats a) { return __builtin_convertvector(a, Ints); }
inline Floats to_floats(Ints a) { return __builtin_convertvector(a, Floats); }
// Numbers of 2^23 and more are whole already, and too large for some of the conversions.
inline Floats whole_or(Floats rounded, Floats a) { return choose(greater(all(8388608.f), absolute(a)), rounded, a); }
inline Floats floor(Floats a) {
  const Floats t = to_floats(toward_zero(clamped_to_int(a)));
  return whole_or(t - keep(t > a, all(1.f)), a);
}
inline Floats ceil(Floats a) {
  const Floats t = to_floats(toward_zero(clamped_to_int(a)));
  return whole_or(t + keep(a > t, all(1.f)), a);
}
// Adding 1.5 * 2^23 pushes the fraction out of the mantissa.
inline Floats round_nearest(Floats a) { return whole_or((a + 12582912.f) - 12582912.f, a); }
inline Ints to_ints(Floats a) { return toward_zero(round_nearest(clamped_to_int(a))); }

inline Floats gather(const float* base, Ints index) {
  return Floats{base[index[0]], base[index[1]], base[index[2]], base[index[3]]};
}
inline Ints gather_words(const std::uint32_t* base, Ints index) {
  Ints words;
  for (int l = 0; l < kWidth; ++l) words[l] = static_cast<std::int32_t>(base[index[l]]);
  return words;
}
template <int K>
inline Floats byte_of(Ints words) {   // byte K of each word, the lowest first
  return to_floats((words >> (8 * K)) & 255);
}

inline Floats above_underflow(Floats x) { return maximum(x, all(-126.f)); }
inline Floats times_power_of_two(Floats a, Floats e) { return as_floats(as_ints(a) + (toward_zero(e) << 23)); }
inline Floats exponent_of(Floats a) { return to_floats((as_ints(a) >> 23) - 127); }
inline Floats mantissa_of(Floats a) { return as_floats((as_ints(a) & 0x7fffff) | as_ints(all(1.f))); }

inline Floats reciprocal(Floats a) { return 1.f / a; }
inline Floats reciprocal_root(Floats a) { return 1.f / square_root(a); }

inline float sum(Floats a) { return (a[0] + a[2]) + (a[1] + a[3]); }
// totals[k] += the sum of the lanes of v[k], k = 0..7.
inline void add_sums_of_eight(const Floats* v, float* totals) {
  for (int k = 0; k < 8; ++k) totals[k] += sum(v[k]);
}

// Register l holds line l of 4 floats; afterwards register k holds float k of all lines.
inline void transpose(Floats* v) {
  Floats columns[kWidth];
  for (int k = 0; k < kWidth; ++k) columns[k] = Floats{v[0][k], v[1][k], v[2][k], v[3][k]};
  for (int k = 0; k < kWidth; ++k) v[k] = columns[k];
}

// A walk along a row, one register at a time; at<J>() is the row around the present place shifted by J elements.
class RowWalk {
 public:
  explicit RowWalk(const float* row) : place_(row) {}
  template <int J>
  Floats at() const {
    return load(place_ + J);
  }
  void advance() { place_ += kWidth; }

 private:
  const float* place_;
};

}  // namespace diorama::DIORAMA_LEVEL
