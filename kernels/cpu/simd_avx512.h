// 16 lanes: AVX-512 F, BW, CD, DQ and VL.
#pragma once
#include <immintrin.h>

namespace diorama::DIORAMA_LEVEL {

constexpr int kWidth = 16;
using Floats = __m512;
using Ints = __m512i;
using Mask = __mmask16;

inline Floats all(float x) { return _mm512_set1_ps(x); }
inline Floats load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Floats a) { _mm512_storeu_ps(p, a); }
// A register as two lines of 8 pixels; a null line is zeros, or not written.
inline Floats load_lines(const float* upper, const float* lower) {
  const __m256 low_half = upper ? _mm256_loadu_ps(upper) : _mm256_setzero_ps();
  return _mm512_insertf32x8(_mm512_castps256_ps512(low_half), lower ? _mm256_loadu_ps(lower) : _mm256_setzero_ps(), 1);
}
inline void store_lines(float* upper, float* lower, Floats a) {
  if (upper) _mm256_storeu_ps(upper, _mm512_castps512_ps256(a));
  if (lower) _mm256_storeu_ps(lower, _mm512_extractf32x8_ps(a, 1));
}
inline void store_ints(int* p, Ints a) { _mm512_storeu_si512(p, a); }
inline Ints all_ints(int x) { return _mm512_set1_epi32(x); }
inline Ints multiply_add(Ints a, int factor, int summand) {   // modulo 2^32
  return _mm512_add_epi32(_mm512_mullo_epi32(a, all_ints(factor)), all_ints(summand));
}
inline Ints upper_half(Ints a) { return _mm512_srli_epi32(a, 16); }
inline Floats load(const BFloat* p) {
  const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
// Cut off after `extra`, less than 2^16, was added in units of the last place that a float32 has.
inline void store_cut(BFloat* p, Floats a, Ints extra) {
  const Ints cut = upper_half(_mm512_add_epi32(_mm512_castps_si512(a), extra));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(cut));
}
inline Floats lane_numbers() { return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }

inline Floats minimum(Floats a, Floats b) { return _mm512_min_ps(a, b); }   // b where a lane is NaN
inline Floats maximum(Floats a, Floats b) { return _mm512_max_ps(a, b); }   // b where a lane is NaN
inline Floats square_root(Floats a) { return _mm512_sqrt_ps(a); }
inline Floats absolute(Floats a) { return _mm512_abs_ps(a); }
inline Floats round_nearest(Floats a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline Floats floor(Floats a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
inline Floats ceil(Floats a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }

inline Mask greater(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
inline Mask at_least(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
inline Mask both(Mask a, Mask b) { return a & b; }
inline unsigned bits(Mask m) { return m; }
inline bool any(Mask m) { return m != 0; }
inline Mask mask_from_bits(unsigned lanes) { return static_cast<Mask>(lanes); }
inline Floats choose(Mask m, Floats a, Floats b) { return _mm512_mask_blend_ps(m, b, a); }   // m ? a : b
inline Floats keep(Mask m, Floats a) { return _mm512_maskz_mov_ps(m, a); }                   // m ? a : 0

inline Floats above_underflow(Floats x) { return x; }   // times_power_of_two underflows by itself
inline Floats times_power_of_two(Floats a, Floats e) { return _mm512_scalef_ps(a, e); }
inline Floats exponent_of(Floats a) { return _mm512_getexp_ps(a); }
inline Floats mantissa_of(Floats a) { return _mm512_getmant_ps(a, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero); }

// 14 bits from a table, doubled by one step of Newton's.
inline Floats reciprocal(Floats a) {
  const Floats r = _mm512_rcp14_ps(a);
  return r * (2.f - a * r);
}
inline Floats reciprocal_root(Floats a) {
  const Floats r = _mm512_rsqrt14_ps(a);
  return r * (1.5f - .5f * a * r * r);
}

inline Ints to_ints(Floats a) { return _mm512_cvtps_epi32(a); }

inline Floats gather(const float* base, Ints index) { return _mm512_i32gather_ps(index, base, 4); }
inline Ints gather_words(const std::uint32_t* base, Ints index) { return _mm512_i32gather_epi32(index, base, 4); }
template <int K>
inline Floats byte_of(Ints words) {   // byte K of each word, the lowest first
  return _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(words, 8 * K), _mm512_set1_epi32(255)));
}

inline float sum(Floats a) { return _mm512_reduce_add_ps(a); }
// totals[k] += the sum of the lanes of v[k], k = 0..7. Each step adds one half of two registers to the other and keeps
// both in one register: 24 instructions, where eight sums of their own take 60.
inline void add_sums_of_eight(const Floats* v, float* totals) {
  Floats halves[4], quarters[2];
  for (int k = 0; k < 4; ++k)
    halves[k] = _mm512_shuffle_f32x4(v[k], v[k + 4], 0x44) + _mm512_shuffle_f32x4(v[k], v[k + 4], 0xee);
  for (int k = 0; k < 2; ++k)
    quarters[k] = _mm512_unpacklo_ps(halves[2 * k], halves[2 * k + 1]) +
                  _mm512_unpackhi_ps(halves[2 * k], halves[2 * k + 1]);
  const __m512d a = _mm512_castps_pd(quarters[0]), b = _mm512_castps_pd(quarters[1]);
  const Floats eighths = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)) + _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
  const Floats sums = eighths + _mm512_shuffle_f32x4(eighths, eighths, 0xb1);
  const __m256 eight = _mm512_castps512_ps256(_mm512_shuffle_f32x4(sums, sums, 0x08));
  _mm256_storeu_ps(totals, _mm256_add_ps(_mm256_loadu_ps(totals), eight));
}

// Register l holds line l of 16 floats; afterwards register k holds float k of all lines. 64 shuffles.
inline void transpose(Floats* v) {
  const auto low_pairs = [](Floats a, Floats b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  };
  const auto high_pairs = [](Floats a, Floats b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
  };
  Floats fours[16];   // [4 i + k], quarter q: float 4 q + k of the lines 4 i to 4 i + 3
  for (int i = 0; i < 16; i += 4) {
    const Floats a = _mm512_unpacklo_ps(v[i], v[i + 1]), b = _mm512_unpackhi_ps(v[i], v[i + 1]);
    const Floats c = _mm512_unpacklo_ps(v[i + 2], v[i + 3]), d = _mm512_unpackhi_ps(v[i + 2], v[i + 3]);
    fours[i] = low_pairs(a, c), fours[i + 1] = high_pairs(a, c);
    fours[i + 2] = low_pairs(b, d), fours[i + 3] = high_pairs(b, d);
  }
  for (int k = 0; k < 4; ++k) {
    const Floats a = _mm512_shuffle_f32x4(fours[k], fours[4 + k], 0x44);
    const Floats b = _mm512_shuffle_f32x4(fours[k], fours[4 + k], 0xee);
    const Floats c = _mm512_shuffle_f32x4(fours[8 + k], fours[12 + k], 0x44);
    const Floats d = _mm512_shuffle_f32x4(fours[8 + k], fours[12 + k], 0xee);
    v[k] = _mm512_shuffle_f32x4(a, c, 0x88), v[4 + k] = _mm512_shuffle_f32x4(a, c, 0xdd);
    v[8 + k] = _mm512_shuffle_f32x4(b, d, 0x88), v[12 + k] = _mm512_shuffle_f32x4(b, d, 0xdd);
  }
}

// A walk along a row, one register at a time; at<J>() is the row around the present place shifted by J elements,
// -5 to 5. To the right by loads, to the left from registers at hand: a window's eleven values take 6.0 cycles so, 7.3
// all from registers and 14.8 all by loads, which straddle cache lines (Zen 5).
class RowWalk {
 public:
  explicit RowWalk(const float* row) : place_(row), before_(load(row - kWidth)), here_(load(row)) {}
  template <int J>
  Floats at() const {
    if constexpr (J == 0) return here_;
    if constexpr (J > 0) return load(place_ + J);
    return shifted<16 + J>(here_, before_);
  }
  void advance() {
    before_ = here_;
    place_ += kWidth;
    here_ = load(place_);
  }

 private:
  template <int J>
  static Floats shifted(Floats high, Floats low) {
    if constexpr (J <= 0 || J >= 16) return low;
    else return _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(high), _mm512_castps_si512(low), J));
  }
  const float* place_;
  Floats before_, here_;
};

}  // namespace diorama::DIORAMA_LEVEL
