// Real spherical harmonics of degree 0 to 3 in 3DGS's order and signs.
#pragma once
#include "simd.h"

namespace diorama::DIORAMA_LEVEL {

constexpr float kC0 = 0.28209479f, kC1 = 0.48860251f;
constexpr float kC2[5] = {1.09254843f, -1.09254843f, 0.31539157f, -1.09254843f, 0.54627422f};
constexpr float kC3[7] = {-0.59004359f, 2.89061144f, -0.45704580f, 0.37317633f, -0.45704580f, 1.44530572f, -0.59004359f};

inline int coefficient_count(int degree) { return (degree + 1) * (degree + 1); }

// The basis at unit directions (x, y, z), (degree + 1)^2 values.
inline void sh_basis(int degree, Floats x, Floats y, Floats z, Floats* b) {
  b[0] = all(kC0);
  if (degree < 1) return;
  b[1] = -kC1 * y;
  b[2] = kC1 * z;
  b[3] = -kC1 * x;
  if (degree < 2) return;
  const Floats xx = x * x, yy = y * y, zz = z * z;
  b[4] = kC2[0] * x * y;
  b[5] = kC2[1] * y * z;
  b[6] = kC2[2] * (2.f * zz - xx - yy);
  b[7] = kC2[3] * x * z;
  b[8] = kC2[4] * (xx - yy);
  if (degree < 3) return;
  b[9] = kC3[0] * y * (3.f * xx - yy);
  b[10] = kC3[1] * x * y * z;
  b[11] = kC3[2] * y * (4.f * zz - xx - yy);
  b[12] = kC3[3] * z * (2.f * zz - 3.f * xx - 3.f * yy);
  b[13] = kC3[4] * x * (4.f * zz - xx - yy);
  b[14] = kC3[5] * z * (xx - yy);
  b[15] = kC3[6] * x * (xx - 3.f * yy);
}

// The gradient of sum_j s[j] b[j] by the direction.
inline void sh_gradient(int degree, Floats x, Floats y, Floats z, const Floats* s, Floats* g) {
  g[0] = g[1] = g[2] = zeros();
  if (degree < 1) return;
  g[0] = -kC1 * s[3];
  g[1] = -kC1 * s[1];
  g[2] = kC1 * s[2];
  if (degree < 2) return;
  {
    const Floats s4 = kC2[0] * s[4], s5 = kC2[1] * s[5], s6 = kC2[2] * s[6], s7 = kC2[3] * s[7], s8 = kC2[4] * s[8];
    g[0] = g[0] + s4 * y - 2.f * s6 * x + s7 * z + 2.f * s8 * x;
    g[1] = g[1] + s4 * x + s5 * z - 2.f * s6 * y - 2.f * s8 * y;
    g[2] = g[2] + s5 * y + 4.f * s6 * z + s7 * x;
  }
  if (degree < 3) return;
  const Floats xx = x * x, yy = y * y, zz = z * z;
  const Floats s9 = kC3[0] * s[9], s10 = kC3[1] * s[10], s11 = kC3[2] * s[11], s12 = kC3[3] * s[12];
  const Floats s13 = kC3[4] * s[13], s14 = kC3[5] * s[14], s15 = kC3[6] * s[15];
  g[0] = g[0] + s9 * 6.f * x * y + s10 * y * z - 2.f * s11 * x * y - 6.f * s12 * x * z +
         s13 * (4.f * zz - 3.f * xx - yy) + 2.f * s14 * x * z + 3.f * s15 * (xx - yy);
  g[1] = g[1] + 3.f * s9 * (xx - yy) + s10 * x * z + s11 * (4.f * zz - xx - 3.f * yy) - 6.f * s12 * y * z -
         2.f * s13 * x * y - 2.f * s14 * y * z - 6.f * s15 * x * y;
  g[2] = g[2] + s10 * x * y + 8.f * s11 * y * z + s12 * (6.f * zz - 3.f * xx - 3.f * yy) + 8.f * s13 * x * z +
         s14 * (xx - yy);
}

}  // namespace diorama::DIORAMA_LEVEL
