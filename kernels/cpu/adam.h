// Adam on one register of splats (Kingma and Ba 2015, algorithm 1).
#pragma once
#include <cmath>

#include "types.h"
#include "simd.h"

namespace diorama::DIORAMA_LEVEL {

// What is the same for all splats of a step.
struct AdamConstants {
  float beta1, beta2, epsilon;
  float rates[5];   // means, quaternions, log scales, opacity, sh0; already times the bias corrections
  float rate_rest;

  explicit AdamConstants(const AdamOptions& o) : beta1(o.beta1), beta2(o.beta2) {
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

// One parameter. The root's reciprocal is taken by table and Newton's method; a second moment below 1e-30 (a gradient
// below 1e-14) counts as 1e-30, which keeps the root finite.
inline void adam_step(const AdamConstants& c, float rate, Floats gradient, Mask moving, bool all_move, float* parameter,
                      float* first_moment, float* second_moment) {
  const Floats old_m = load(first_moment), old_v = load(second_moment), old = load(parameter);
  Floats m = c.beta1 * old_m + (1.f - c.beta1) * gradient;
  Floats v = c.beta2 * old_v + (1.f - c.beta2) * (gradient * gradient);
  const Floats safe = maximum(v, all(1e-30f)), root = safe * reciprocal_root(safe);
  Floats value = old - rate * m * reciprocal(root + c.epsilon);
  if (!all_move) {
    m = choose(moving, m, old_m);
    v = choose(moving, v, old_v);
    value = choose(moving, value, old);
  }
  store(first_moment, m);
  store(second_moment, v);
  store(parameter, value);
}

}  // namespace diorama::DIORAMA_LEVEL
