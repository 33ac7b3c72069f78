// A splat through a lens that bends lines, panoramas aside (sphere.h): its sigma points are projected, and their mean and covariance are the ellipse.
//
// The unscented transform of 3DGUT (Wu et al. 2025, "3DGUT: Enabling Distorted Cameras and Secondary Rays in Gaussian
// Splatting", section 4.1) with its alpha = 1, beta = 2, kappa = 0, hence lambda = 0: the centre and the six points
// centre +- sqrt(3) scale_k axis_k. With d_i from the projected centre to the projected point i,
//   mean = centre + m, m = sum d_i / 6,   covariance = sum d_i d_i^T / 6 + (beta - alpha^2) m m^T.
// Unlike there the ellipse is all that is drawn, so it must not be led astray by sigma points beside or behind the
// camera: a splat that is large for its depth is projected as if it were `share` of its size, and the covariance grown
// again by 1 / share^2; and as with the pinhole offsets are taken where the lens is `hold` from its axis at most.
#pragma once
#include "lens.h"

namespace diorama::DIORAMA_LEVEL {

constexpr float kMaxScale = 1e9f;             // of an axis; what is longer is dropped before float32 overflows
constexpr float kSigmaReach = 1.73205081f;    // sqrt(3 + lambda)

template <Lens L>
struct LensGeometry : Sight {
  Floats size, share;      // length of the three scales; 1, or less where they are large for the depth
  Point base;              // what sigma points are set around: the centre, held
  Floats d_x[6], d_y[6];   // offsets of the sigma points, + and - of each axis in turn
  Floats m_x, m_y;
};

template <Lens L>
inline Point centre_of(const LensGeometry<L>& g) {
  return {g.x, g.y, g.z};
}

template <Lens L>
inline Point sigma_point(const LensGeometry<L>& g, int i) {
  const Floats reach = g.share * (i % 2 ? -kSigmaReach : kSigmaReach);
  const int k = i / 2;
  return {g.base.x + reach * g.axes[k], g.base.y + reach * g.axes[3 + k], g.base.z + reach * g.axes[6 + k]};
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
  for (int k = 0; k < 3; ++k) g.sound = both(g.sound, greater(all(kMaxScale), g.scale[k]));
  g.size = square_root(g.scale[0] * g.scale[0] + g.scale[1] * g.scale[1] + g.scale[2] * g.scale[2]);
  g.share = minimum(kSigmaShare * g.depth / maximum(g.size, all(kTiny)), all(1.f));
  g.base = O::held(eye, centre_of(g));
  const Pixel at = O::project(eye, centre_of(g)), from = O::project(eye, g.base);
  g.m_x = g.m_y = zeros();
  for (int i = 0; i < 6; ++i) {
    const Pixel d = O::offset(eye, g.base, from, sigma_point(g, i));
    g.d_x[i] = d.x;
    g.d_y[i] = d.y;
    g.m_x = g.m_x + (1.f / 6) * d.x;
    g.m_y = g.m_y + (1.f / 6) * d.y;
  }
  g.px = at.x + eye.cx + g.m_x;
  g.py = at.y + eye.cy + g.m_y;

  Floats aa = g.m_x * g.m_x, ab = g.m_x * g.m_y, bb = g.m_y * g.m_y;
  for (int i = 0; i < 6; ++i) {
    aa = aa + (1.f / 6) * g.d_x[i] * g.d_x[i];
    ab = ab + (1.f / 6) * g.d_x[i] * g.d_y[i];
    bb = bb + (1.f / 6) * g.d_y[i] * g.d_y[i];
  }
  // aa bb - ab^2 would lose a thin splat's digits; what y does not share with x keeps them.
  const Floats slope = ab / maximum(aa, all(kTiny));
  const Floats own_m = g.m_y - slope * g.m_x;
  Floats own = own_m * own_m;
  for (int i = 0; i < 6; ++i) {
    const Floats y = g.d_y[i] - slope * g.d_x[i];
    own = own + (1.f / 6) * y * y;
  }
  const Floats grown = 1.f / (g.share * g.share);
  aa = aa * grown;
  bb = bb * grown;
  g.xx = aa + g.low_pass;
  g.xy = ab * grown;
  g.yy = bb + g.low_pass;
  g.sharp_det = aa * (own * grown);
  g.det = g.sharp_det + g.low_pass * (aa + bb) + g.low_pass * g.low_pass;
}

// Adds the 2D Mip filter's part: by the covariance S before the low-pass, log sqrt(det S / det Sigma) has the gradient
// (S^-1 - Sigma^-1) / 2 = low-pass / 2 S^-1 Sigma^-1.
inline void add_fade_gradient(const Sight& g, Floats d_log_fade, EllipseGradient& e) {
  const Floats aa = g.xx - g.low_pass, bb = g.yy - g.low_pass;
  const Floats half = .5f * g.low_pass * d_log_fade * g.inv_det / g.sharp_det;
  e.xx = e.xx + half * (bb * g.yy + g.xy * g.xy);
  e.xy = e.xy - 2.f * half * (bb * g.xy + g.xy * g.xx);
  e.yy = e.yy + half * (g.xy * g.xy + aa * g.xx);
}

inline Point transposed(const Jacobian& j, Pixel d) {
  return {j.x[0] * d.x + j.y[0] * d.y, j.x[1] * d.x + j.y[1] * d.y, j.x[2] * d.x + j.y[2] * d.y};
}
inline Point sum_of(Point a, Point b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }

struct LensGradient {
  Point centre;
  Floats share;   // by log share
};

// From d loss / d (centre and covariance in the picture) to that by the centre in the camera, the axes (9) and share.
template <Lens L>
inline LensGradient flatten_backward(const Eye& eye, const LensGeometry<L>& g, const EllipseGradient& e,
                                     Floats* d_axes) {
  using O = Optics<L>;
  const Floats grown = 1.f / (g.share * g.share);
  const Floats xx = e.xx * grown, xy = e.xy * grown, yy = e.yy * grown;   // by the covariance before it is grown
  const Floats mean_x = (1.f / 6) * (e.px + 2.f * xx * g.m_x + xy * g.m_y);
  const Floats mean_y = (1.f / 6) * (e.py + 2.f * yy * g.m_y + xy * g.m_x);
  Floats share = -2.f * (e.xx * (g.xx - g.low_pass) + e.xy * g.xy + e.yy * (g.yy - g.low_pass));
  Point base = {zeros(), zeros(), zeros()};
  Pixel from = {zeros(), zeros()};
  for (int k = 0; k < 9; ++k) d_axes[k] = zeros();
  for (int i = 0; i < 6; ++i) {
    const Pixel p = {mean_x + (1.f / 6) * (2.f * xx * g.d_x[i] + xy * g.d_y[i]),
                     mean_y + (1.f / 6) * (2.f * yy * g.d_y[i] + xy * g.d_x[i])};
    from = {from.x - p.x, from.y - p.y};
    const Point d = transposed(O::jacobian(eye, sigma_point(g, i)), p);
    base = sum_of(base, d);
    const Floats reach = g.share * (i % 2 ? -kSigmaReach : kSigmaReach);
    const int k = i / 2;
    d_axes[k] = d_axes[k] + reach * d.x;
    d_axes[3 + k] = d_axes[3 + k] + reach * d.y;
    d_axes[6 + k] = d_axes[6 + k] + reach * d.z;
    share = share + reach * (g.axes[k] * d.x + g.axes[3 + k] * d.y + g.axes[6 + k] * d.z);
  }
  base = sum_of(base, transposed(O::jacobian(eye, g.base), from));
  const Point centre = transposed(O::jacobian(eye, centre_of(g)), {e.px, e.py});
  return {sum_of(centre, O::held_gradient(eye, centre_of(g), base)), keep(greater(all(1.f), g.share), share)};
}

}  // namespace diorama::DIORAMA_LEVEL
