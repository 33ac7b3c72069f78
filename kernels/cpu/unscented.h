// A splat through any lens: its sigma points are projected, and their mean and covariance are the ellipse.
//
// The unscented transform of 3DGUT (Wu et al. 2025, "3DGUT: Enabling Distorted Cameras and Secondary Rays in Gaussian
// Splatting", section 4.1) with its alpha = 1, beta = 2, kappa = 0, hence lambda = 0: the centre and the six points
// centre +- sqrt(3) scale_k axis_k. With d_i from the projected centre to the projected point i,
//   mean = centre + m, m = sum d_i / 6,   covariance = sum d_i d_i^T / 6 + (beta - alpha^2) m m^T.
// A sigma point nearer than kSigmaNear of the splat's depth has no use (it is beside or behind the camera): it is
// replaced by the mirror image, in the picture, of the opposite one.
#pragma once
#include "lens.h"

namespace diorama::DIORAMA_LEVEL {

constexpr float kMaxScale = 1e9f;             // of an axis; what is longer is dropped before float32 overflows
constexpr float kSigmaReach = 1.73205081f;   // sqrt(3 + lambda)

template <Lens L>
struct LensGeometry : Sight {
  using Optic = Optics<L>;
  Floats d_x[6], d_y[6];   // offsets of the sigma points, + and - of each axis in turn
  Floats side[6];          // -1 where a point is the mirror image of its opposite, else 1
  Floats m_x, m_y;
};

template <Lens L>
inline Point centre_of(const LensGeometry<L>& g) {
  return {g.x, g.y, g.z};
}

// Sigma point i, or what it is the mirror image of; `side` is +-1.
template <Lens L>
inline Point sigma_point(const LensGeometry<L>& g, int i, Floats side) {
  const Floats reach = side * (i % 2 ? -kSigmaReach : kSigmaReach);
  const int k = i / 2;
  return {g.x + reach * g.axes[k], g.y + reach * g.axes[3 + k], g.z + reach * g.axes[6 + k]};
}

template <Lens L>
inline void see(const Eye& eye, LensGeometry<L>& g) {
  g.sound = Optics<L>::sees(eye, centre_of(g), &g.depth);
  g.x = keep(g.sound, g.x);
  g.y = keep(g.sound, g.y);
  g.z = choose(g.sound, g.z, all(1.f));
  g.depth = choose(g.sound, g.depth, all(1.f));
}

template <Lens L>
inline void flatten(const Eye& eye, LensGeometry<L>& g) {
  using O = Optics<L>;
  const Point centre = centre_of(g);
  const Pixel at = O::project(eye, centre);
  const Floats nearest = kSigmaNear * g.depth;
  for (int k = 0; k < 3; ++k) g.sound = both(g.sound, greater(all(kMaxScale), g.scale[k]));
  g.m_x = g.m_y = zeros();
  for (int i = 0; i < 6; ++i) {
    const Mask useful = at_least(O::along(centre, g.depth, sigma_point(g, i, all(1.f))), nearest);
    g.side[i] = choose(useful, all(1.f), all(-1.f));
    const Pixel d = O::offset(eye, centre, at, sigma_point(g, i, g.side[i]));
    g.d_x[i] = g.side[i] * d.x;
    g.d_y[i] = g.side[i] * d.y;
    g.m_x = g.m_x + (1.f / 6) * g.d_x[i];
    g.m_y = g.m_y + (1.f / 6) * g.d_y[i];
  }
  g.px = at.x + eye.cx + g.m_x;
  g.py = at.y + eye.cy + g.m_y;
  if constexpr (L == Lens::kEquirectangular) g.px = g.px - eye.width * floor(g.px / eye.width);

  Floats aa = g.m_x * g.m_x, ab = g.m_x * g.m_y, bb = g.m_y * g.m_y;
  for (int i = 0; i < 6; ++i) {
    aa = aa + (1.f / 6) * g.d_x[i] * g.d_x[i];
    ab = ab + (1.f / 6) * g.d_x[i] * g.d_y[i];
    bb = bb + (1.f / 6) * g.d_y[i] * g.d_y[i];
  }
  g.xx = aa + kLowPass;
  g.xy = ab;
  g.yy = bb + kLowPass;
  // aa bb - ab^2 would lose a thin splat's digits; what y does not share with x keeps them.
  const Floats slope = ab / maximum(aa, all(kTiny));
  const Floats own_m = g.m_y - slope * g.m_x;
  Floats own = own_m * own_m;
  for (int i = 0; i < 6; ++i) {
    const Floats y = g.d_y[i] - slope * g.d_x[i];
    own = own + (1.f / 6) * y * y;
  }
  g.sharp_det = aa * own;
  g.det = g.sharp_det + kLowPass * (aa + bb) + kLowPass * kLowPass;
}

// Adds the 2D Mip filter's part: by the covariance S before the low-pass, log sqrt(det S / det Sigma) has the gradient
// (S^-1 - Sigma^-1) / 2 = low-pass / 2 S^-1 Sigma^-1.
inline void add_fade_gradient(const Sight& g, Floats d_log_fade, EllipseGradient& e) {
  const Floats aa = g.xx - kLowPass, bb = g.yy - kLowPass;
  const Floats half = .5f * kLowPass * d_log_fade * g.inv_det / g.sharp_det;
  e.xx = e.xx + half * (bb * g.yy + g.xy * g.xy);
  e.xy = e.xy - 2.f * half * (bb * g.xy + g.xy * g.xx);
  e.yy = e.yy + half * (g.xy * g.xy + aa * g.xx);
}

// From d loss / d (centre and covariance in the picture) to d loss / d (centre in the camera; axes, 9).
template <Lens L>
inline Point flatten_backward(const Eye& eye, const LensGeometry<L>& g, const EllipseGradient& e, Floats* d_axes) {
  using O = Optics<L>;
  // Shared by all: (e + 2 (beta - alpha^2) G m) / 6 with G = (xx, xy / 2; xy / 2, yy).
  const Floats mean_x = (1.f / 6) * (e.px + 2.f * e.xx * g.m_x + e.xy * g.m_y);
  const Floats mean_y = (1.f / 6) * (e.py + 2.f * e.yy * g.m_y + e.xy * g.m_x);
  Point d = {zeros(), zeros(), zeros()};
  Floats at_x = e.px, at_y = e.py;
  for (int k = 0; k < 9; ++k) d_axes[k] = zeros();
  for (int i = 0; i < 6; ++i) {
    const Floats x = g.side[i] * (mean_x + (1.f / 6) * (2.f * e.xx * g.d_x[i] + e.xy * g.d_y[i]));
    const Floats y = g.side[i] * (mean_y + (1.f / 6) * (2.f * e.yy * g.d_y[i] + e.xy * g.d_x[i]));
    const Jacobian j = O::jacobian(eye, sigma_point(g, i, g.side[i]));
    const Floats reach = g.side[i] * (i % 2 ? -kSigmaReach : kSigmaReach);
    const Floats dx = j.x[0] * x + j.y[0] * y, dy = j.x[1] * x + j.y[1] * y, dz = j.x[2] * x + j.y[2] * y;
    d = {d.x + dx, d.y + dy, d.z + dz};
    const int k = i / 2;
    d_axes[k] = d_axes[k] + reach * dx;
    d_axes[3 + k] = d_axes[3 + k] + reach * dy;
    d_axes[6 + k] = d_axes[6 + k] + reach * dz;
    at_x = at_x - x;
    at_y = at_y - y;
  }
  const Jacobian j = O::jacobian(eye, centre_of(g));
  return {d.x + j.x[0] * at_x + j.y[0] * at_y, d.y + j.x[1] * at_x + j.y[1] * at_y,
          d.z + j.x[2] * at_x + j.y[2] * at_y};
}

}  // namespace diorama::DIORAMA_LEVEL
