// 8 lanes: AVX2, FMA and BMI2.
#pragma once
#include <immintrin.h>

namespace diorama::DIORAMA_LEVEL {

constexpr int kWidth = 8;
using Floats = __m256;
using Ints = __m256i;
using Mask = __m256;   // all bits of a lane set or clear

inline Floats all(float x) { return _mm256_set1_ps(x); }
inline Floats load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Floats a) { _mm256_storeu_ps(p, a); }
// A register is one line of pixels here; a null line is zeros, or not written.
inline Floats load_lines(const float* line, const float*) { return line ? load(line) : all(0.f); }
inline void store_lines(float* line, float*, Floats a) {
  if (line) store(line, a);
}
inline void store_ints(int* p, Ints a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
inline Ints all_ints(int x) { return _mm256_set1_epi32(x); }
inline Ints multiply_add(Ints a, int factor, int summand) {   // modulo 2^32
  return _mm256_add_epi32(_mm256_mullo_epi32(a, all_ints(factor)), all_ints(summand));
}
inline Ints upper_half(Ints a) { return _mm256_srli_epi32(a, 16); }
inline Floats load(const BFloat* p) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
// Cut off after `extra`, less than 2^16, was added in units of the last place that a float32 has.
inline void store_cut(BFloat* p, Floats a, Ints extra) {
  const Ints cut = upper_half(_mm256_add_epi32(_mm256_castps_si256(a), extra));
  const Ints packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(cut, cut), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
inline Floats lane_numbers() { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }

inline Floats minimum(Floats a, Floats b) { return _mm256_min_ps(a, b); }   // b where a lane is NaN
inline Floats maximum(Floats a, Floats b) { return _mm256_max_ps(a, b); }   // b where a lane is NaN
inline Floats square_root(Floats a) { return _mm256_sqrt_ps(a); }
inline Floats absolute(Floats a) { return _mm256_andnot_ps(all(-0.f), a); }
inline Floats round_nearest(Floats a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Floats floor(Floats a) { return _mm256_floor_ps(a); }
inline Floats ceil(Floats a) { return _mm256_ceil_ps(a); }

inline Mask greater(Floats a, Floats b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
inline Mask at_least(Floats a, Floats b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
inline Mask both(Mask a, Mask b) { return _mm256_and_ps(a, b); }
inline unsigned bits(Mask m) { return static_cast<unsigned>(_mm256_movemask_ps(m)); }
inline bool any(Mask m) { return bits(m) != 0; }
inline Mask mask_from_bits(unsigned lanes) {
  const __m256i one_each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i chosen = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(lanes)), one_each);
  return _mm256_castsi256_ps(_mm256_cmpeq_epi32(chosen, one_each));
}
inline Floats choose(Mask m, Floats a, Floats b) { return _mm256_blendv_ps(b, a, m); }   // m ? a : b
inline Floats keep(Mask m, Floats a) { return _mm256_and_ps(m, a); }                     // m ? a : 0

// times_power_of_two adds to the exponent's bits, which would wrap around below 2^-126.
inline Floats above_underflow(Floats x) { return maximum(x, all(-126.f)); }
inline Floats times_power_of_two(Floats a, Floats e) {
  const __m256i shifted = _mm256_slli_epi32(_mm256_cvtps_epi32(e), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), shifted));
}
inline Floats exponent_of(Floats a) {
  const __m256i biased = _mm256_srli_epi32(_mm256_castps_si256(a), 23);
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)));
}
inline Floats mantissa_of(Floats a) {
  return _mm256_or_ps(_mm256_and_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffff))), all(1.f));
}

// 12 bits from a table, doubled by one step of Newton's.
inline Floats reciprocal(Floats a) {
  const Floats r = _mm256_rcp_ps(a);
  return r * (2.f - a * r);
}
inline Floats reciprocal_root(Floats a) {
  const Floats r = _mm256_rsqrt_ps(a);
  return r * (1.5f - .5f * a * r * r);
}

inline Ints to_ints(Floats a) { return _mm256_cvtps_epi32(a); }

inline Floats gather(const float* base, Ints index) { return _mm256_i32gather_ps(base, index, 4); }
inline Ints gather_words(const std::uint32_t* base, Ints index) {
  return _mm256_i32gather_epi32(reinterpret_cast<const int*>(base), index, 4);
}
template <int K>
inline Floats byte_of(Ints words) {   // byte K of each word, the lowest first
  return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(words, 8 * K), _mm256_set1_epi32(255)));
}

inline float sum(Floats a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
// totals[k] += the sum of the lanes of v[k], k = 0..7.
inline void add_sums_of_eight(const Floats* v, float* totals) {
  const __m256 a = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]),
                                  _mm256_hadd_ps(v[2], v[3]));
  const __m256 b = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]),
                                  _mm256_hadd_ps(v[6], v[7]));
  const __m256 sums = _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  _mm256_storeu_ps(totals, _mm256_add_ps(_mm256_loadu_ps(totals), sums));
}

// Register l holds line l of 8 floats; afterwards register k holds float k of all lines. 24 shuffles.
inline void transpose(Floats* v) {
  const auto low_pairs = [](Floats a, Floats b) {
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
  };
  const auto high_pairs = [](Floats a, Floats b) {
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
  };
  Floats fours[8];   // [4 i + k], half h: float 4 h + k of the lines 4 i to 4 i + 3
  for (int i = 0; i < 8; i += 4) {
    const Floats a = _mm256_unpacklo_ps(v[i], v[i + 1]), b = _mm256_unpackhi_ps(v[i], v[i + 1]);
    const Floats c = _mm256_unpacklo_ps(v[i + 2], v[i + 3]), d = _mm256_unpackhi_ps(v[i + 2], v[i + 3]);
    fours[i] = low_pairs(a, c), fours[i + 1] = high_pairs(a, c);
    fours[i + 2] = low_pairs(b, d), fours[i + 3] = high_pairs(b, d);
  }
  for (int k = 0; k < 4; ++k) {
    v[k] = _mm256_permute2f128_ps(fours[k], fours[4 + k], 0x20);
    v[4 + k] = _mm256_permute2f128_ps(fours[k], fours[4 + k], 0x31);
  }
}

// A walk along a row, one register at a time; at<J>() is the row around the present place shifted by J elements, -5 to
// 5. To the right by loads, to the left from registers at hand: a window's eleven values take 5.7 cycles so, 7.4 all from
// registers and 7.9 all by loads (Zen 5).
class RowWalk {
 public:
  explicit RowWalk(const float* row) : place_(row), before_(load(row - kWidth)), here_(load(row)) {}
  template <int J>
  Floats at() const {
    if constexpr (J == 0) return here_;
    if constexpr (J > 0) return load(place_ + J);
    const Floats middle = _mm256_permute2f128_ps(before_, here_, 0x21);   // what lies across the two
    if constexpr (J == -5) return shifted<3>(middle, before_);
    if constexpr (J == -4) return middle;
    return shifted<4 + J>(here_, middle);
  }
  void advance() {
    before_ = here_;
    place_ += kWidth;
    here_ = load(place_);
  }

 private:
  template <int J>
  static Floats shifted(Floats high, Floats low) {
    if constexpr (J <= 0 || J >= 4) return low;
    else return _mm256_castsi256_ps(_mm256_alignr_epi8(_mm256_castps_si256(high), _mm256_castps_si256(low), 4 * J));
  }
  const float* place_;
  Floats before_, here_;
};

}  // namespace diorama::DIORAMA_LEVEL
