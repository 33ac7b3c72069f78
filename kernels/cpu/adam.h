// Adam on one register of splats (Kingma and Ba 2015, algorithm 1).
#pragma once
#include <cmath>

#include "types.h"
#include "simd.h"

namespace diorama::DIORAMA_LEVEL {

// What is the same for all splats of a step.
struct AdamConstants {
  int step;
  float beta1, beta2, epsilon;
  float rates[5];   // means, quaternions, log scales, opacity, sh0; already times the bias corrections
  float rate_rest;

  explicit AdamConstants(const AdamOptions& o) : step(o.step), beta1(o.beta1), beta2(o.beta2) {
    const double first = 1 / (1 - pow_int(o.beta1, o.step));
    const double second = 1 / __builtin_sqrt(1 - pow_int(o.beta2, o.step));
    epsilon = static_cast<float>(o.epsilon / second);
    const float lrs[5] = {o.lr_means, o.lr_quats, o.lr_log_scales, o.lr_opacities, o.lr_sh0};
    for (int k = 0; k < 5; ++k) rates[k] = static_cast<float>(lrs[k] * first / second);
    rate_rest = static_cast<float>(o.lr_sh_rest * first / second);
  }
  float rate(int k) const {
    if (k < kQuaternion) return rates[0];
    if (k < kLogScale) return rates[1];
    if (k < kLogitOpacity) return rates[2];
    if (k < kHarmonics) return rates[3];
    return k < kHarmonics + 3 ? rates[4] : rate_rest;
  }
  static double pow_int(double base, int exponent) {
    double result = 1;
    for (; exponent; exponent >>= 1, base *= base)
      if (exponent & 1) result *= base;
    return result;
  }
};

// Numbers from 0 to 2^16 - 1, another for every splat, parameter and step: a splat's word (Weyl's sequence from a start
// that the step decides), and from parameter to parameter a linear congruential generator (Knuth's and Lewis's factor),
// of which the better, upper half is used.
class Dither {
 public:
  Dither(int step, int first) : words_(multiply_add(lanes_from(first), kSplatFactor, mixed(step))) {}
  Ints next() {
    words_ = multiply_add(words_, 1664525, 1013904223);
    return upper_half(words_);
  }

 private:
  static constexpr int kSplatFactor = -1640531535;   // 0x9e3779b1: 2^32 over the golden ratio, a prime
  static Ints lanes_from(int first) { return multiply_add(to_ints(lane_numbers()), 1, first); }
  static int mixed(int step) {   // MurmurHash3's last mixing (Appleby)
    std::uint32_t h = static_cast<std::uint32_t>(step);
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return static_cast<int>(h ^ h >> 16);
  }
  Ints words_;
};

// A bfloat16 is rounded up as often as the value lies near its upper neighbour, so that small changes add up: the mean of
// squares moves by a thousandth of its way a step, where the last digit is worth four thousandths.
inline void store_moments(float* first, float* second, Floats m, Floats v, Dither&) {
  store(first, m);
  store(second, v);
}
inline void store_moments(BFloat* first, BFloat* second, Floats m, Floats v, Dither& dither) {
  const Ints extra = dither.next();
  store_cut(first, m, extra);
  store_cut(second, v, extra);
}

// One parameter. The root's reciprocal is taken by table and Newton's method; a second moment below 1e-30 (a gradient
// below 1e-14) counts as 1e-30, which keeps the root finite.
template <class Moment>
inline void adam_step(const AdamConstants& c, float rate, Floats gradient, Mask moving, bool all_move, float* parameter,
                      Moment* first_moment, Moment* second_moment, Dither& dither) {
  const Floats old_m = load(first_moment), old_v = load(second_moment), old = load(parameter);
  Floats m = c.beta1 * old_m + (1.f - c.beta1) * gradient;
  Floats v = c.beta2 * old_v + (1.f - c.beta2) * (gradient * gradient);
  const Floats safe = maximum(v, all(1e-30f)), root = safe * reciprocal_root(safe);
  Floats value = old - rate * m * reciprocal(root + c.epsilon);
  if (!all_move) {   // what is loaded and stored again keeps its bits, however it is rounded
    m = choose(moving, m, old_m);
    v = choose(moving, v, old_v);
    value = choose(moving, value, old);
  }
  store_moments(first_moment, second_moment, m, v, dither);
  store(parameter, value);
}

// The parameters up to `used` of a register of splats, `first` being the first of them; the next block's values are
// asked for on the way where they will be needed.
template <class Moment>
inline void adam_group(const AdamConstants& c, int used, const Floats* gradients, std::uint32_t moving, int first,
                       float* parameters, Moment* first_moments, Moment* second_moments, bool next_follows) {
  constexpr int kPerLine = 64 / (kLanes * sizeof(Moment));   // parameters whose moments share a cache line
  const Mask mask = mask_from_bits(moving);
  const bool all_move = moving == (1u << kWidth) - 1;
  Dither dither(c.step, first);
  for (int k = 0; k < used; ++k) {
    const int place = k * kLanes, next = place + kBlockFloats;
    if (next_follows) {
      prefetch(parameters + next);
      if (k % kPerLine == 0) prefetch(first_moments + next);
      if (k % kPerLine == kPerLine - 1) prefetch(second_moments + next);
    }
    adam_step(c, c.rate(k), gradients[k], mask, all_move, parameters + place, first_moments + place,
              second_moments + place, dither);
  }
}

}  // namespace diorama::DIORAMA_LEVEL
