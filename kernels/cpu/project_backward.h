// From a splat's sums over its pixels to the gradients of its 59 parameters: project.h backwards.
#pragma once
#include "workspace.h"
#include "sphere.h"
#include "unscented.h"

namespace diorama::DIORAMA_LEVEL {

// log alpha = log opacity - d^T K d / 2 with K the conic: its moments give the gradients of the mean and of K, and
// d loss / d Sigma = -K (d loss / d K) K.
inline EllipseGradient ellipse_gradient(const Sight& g, const Floats* sums) {
  const Floats a = g.conic_xx, b = g.conic_xy, c = g.conic_yy;
  const Floats k_xx = -.5f * sums[kExx], k_xy = -.5f * sums[kExy], k_yy = -.5f * sums[kEyy];
  const Floats m00 = a * k_xx + b * k_xy, m01 = a * k_xy + b * k_yy;
  const Floats m10 = b * k_xx + c * k_xy, m11 = b * k_xy + c * k_yy;
  return {a * sums[kEx] + b * sums[kEy], b * sums[kEx] + c * sums[kEy], -(m00 * a + m01 * b),
          -2.f * (m00 * b + m01 * c), -(m10 * b + m11 * c)};
}

inline EllipseGradient ellipse_gradient(const SphereGeometry& g, const Floats* sums) {
  EllipseGradient e = ellipse_gradient(static_cast<const Sight&>(g), sums);
  e.px = sums[kEx];
  e.py = sums[kEy];
  return e;
}

struct JacobianGradient {
  Floats j00, j02, j11, j12;
};

// By the rows, of the 2D Mip filter's factor f = sqrt(|c|^2 / det), c = a x b: with b x c and c x a the gradients of
// |c|^2 / 2, that of log f is (b x c) (1 / |c|^2 - 1 / det) - low-pass a / det. The difference is taken as one quotient.
inline void fade_gradient(const Flat& g, Floats d_log_fade, Floats* d_x, Floats* d_y) {
  const Floats *a = g.row_x, *b = g.row_y, *c = g.cross;
  const Floats spread = d_log_fade * g.low_pass * g.inv_det;
  const Floats sharp = spread * (g.xx + g.yy - g.low_pass) / g.sharp_det;
  for (int k = 0; k < 3; ++k) {
    const int i = (k + 1) % 3, j = (k + 2) % 3;
    d_x[k] = sharp * (b[i] * c[j] - b[j] * c[i]) - spread * a[k];
    d_y[k] = sharp * (c[i] * a[j] - c[j] * a[i]) - spread * b[k];
  }
}

// Through the flattened covariance to its rows.
inline void rows_backward(const Flat& g, const Eye& eye, const EllipseGradient& e, Floats d_log_fade, Floats* d_x,
                          Floats* d_y) {
  for (int k = 0; k < 3; ++k) d_x[k] = d_y[k] = zeros();
  if (eye.antialiased) fade_gradient(g, d_log_fade, d_x, d_y);
  for (int k = 0; k < 3; ++k) {
    d_x[k] = d_x[k] + 2.f * e.xx * g.row_x[k] + e.xy * g.row_y[k];
    d_y[k] = d_y[k] + 2.f * e.yy * g.row_y[k] + e.xy * g.row_x[k];
  }
}

// Through the flattened covariance to the Jacobian and to the splat's axes in the camera (d_axes, 9).
inline JacobianGradient covariance_backward(const Geometry& g, const Eye& eye, const EllipseGradient& e,
                                            Floats d_log_fade, Floats* d_axes) {
  JacobianGradient d = {zeros(), zeros(), zeros(), zeros()};
  Floats d_x[3], d_y[3];
  rows_backward(g, eye, e, d_log_fade, d_x, d_y);
  for (int k = 0; k < 3; ++k) {
    d.j00 = d.j00 + d_x[k] * g.axes[k];
    d.j02 = d.j02 + d_x[k] * g.axes[6 + k];
    d.j11 = d.j11 + d_y[k] * g.axes[3 + k];
    d.j12 = d.j12 + d_y[k] * g.axes[6 + k];
    d_axes[k] = g.j00 * d_x[k];
    d_axes[3 + k] = g.j11 * d_y[k];
    d_axes[6 + k] = g.j02 * d_x[k] + g.j12 * d_y[k];
  }
  return d;
}

// Adds the 2D Mip filter's part: scaling axis k scales a_k and b_k, and a_k (b x c)_k + b_k (c x a)_k = |c|^2 - c_k^2.
inline void fade_by_log_scale(const Flat& g, Floats d_log_fade, Floats* out) {
  const Floats *a = g.row_x, *b = g.row_y, *c = g.cross;
  const Floats spread = d_log_fade * g.low_pass * g.inv_det, sharp = (g.xx + g.yy - g.low_pass) / g.sharp_det;
  for (int k = 0; k < 3; ++k) {
    const int i = (k + 1) % 3, j = (k + 2) % 3;
    out[kLogScale + k] =
        out[kLogScale + k] + spread * (sharp * (c[i] * c[i] + c[j] * c[j]) - (a[k] * a[k] + b[k] * b[k]));
  }
}

// log alpha = -d^T K d / 2 + ... grows by (d^T K a_k)^2 with log scale k, a_k being axis k in the picture. K a is taken
// as (b x (a x b) + low-pass a) / det and its like, not from the rounded K: for a needle that would lose its length.
inline void log_scale_gradient(const Flat& g, const Eye& eye, const Floats* sums, Floats* out) {
  const Floats *a = g.row_x, *b = g.row_y, *c = g.cross;
  for (int k = 0; k < 3; ++k) {
    const int i = (k + 1) % 3, j = (k + 2) % 3;
    const Floats x = (b[i] * c[j] - b[j] * c[i] + g.low_pass * a[k]) * g.inv_det;
    const Floats y = (c[i] * a[j] - c[j] * a[i] + g.low_pass * b[k]) * g.inv_det;
    out[kLogScale + k] = x * x * sums[kExx] + 2.f * x * y * sums[kExy] + y * y * sums[kEyy];
  }
  if (eye.antialiased) fade_by_log_scale(g, sums[kE], out);
}

// log f = sum_k log(scale_k / smoothed scale_k), and kept = d log smoothed scale / d log scale
inline void smoothing_backward(const Sight& g, const Floats* sums, Floats* out) {
  for (int k = 0; k < 3; ++k)
    out[kLogScale + k] = g.kept[k] * out[kLogScale + k] + (1.f - g.kept[k]) * sums[kE];
}

// Axes = camera rotation * splat rotation * scale: to the quaternion as it is stored, unnormalised.
inline void axes_backward(const Sight& g, const Eye& eye, const Floats* d_axes, Floats* out) {
  Floats d_turn[9], d[9];
  for (int k = 0; k < 3; ++k)
    for (int i = 0; i < 3; ++i) d_turn[i * 3 + k] = d_axes[i * 3 + k] * g.scale[k];
  const float* c = eye.rotation;
  for (int i = 0; i < 3; ++i)
    for (int k = 0; k < 3; ++k) d[i * 3 + k] = c[i] * d_turn[k] + c[3 + i] * d_turn[3 + k] + c[6 + i] * d_turn[6 + k];
  const Floats w = g.w, x = g.qx, y = g.qy, z = g.qz;
  const Floats dw = 2.f * (z * (d[3] - d[1]) + y * (d[2] - d[6]) + x * (d[7] - d[5]));
  const Floats dx = 2.f * (y * (d[1] + d[3]) + z * (d[2] + d[6]) + w * (d[7] - d[5]) - 2.f * x * (d[4] + d[8]));
  const Floats dy = 2.f * (x * (d[1] + d[3]) + z * (d[5] + d[7]) + w * (d[2] - d[6]) - 2.f * y * (d[0] + d[8]));
  const Floats dz = 2.f * (x * (d[2] + d[6]) + y * (d[5] + d[7]) + w * (d[3] - d[1]) - 2.f * z * (d[0] + d[4]));
  const Floats along = dw * w + dx * x + dy * y + dz * z;   // the length does not matter to the picture
  out[kQuaternion] = (dw - along * w) * g.inv_norm;
  out[kQuaternion + 1] = (dx - along * x) * g.inv_norm;
  out[kQuaternion + 2] = (dy - along * y) * g.inv_norm;
  out[kQuaternion + 3] = (dz - along * z) * g.inv_norm;
}

// Colour to coefficients and to the direction of sight, which turns as the centre moves in the world (d_sight).
inline void color_backward(const Parameters& p, const Sight& g, int degree, const Floats* sums, Floats* out,
                           Floats* d_sight) {
  const int count = coefficient_count(degree);
  const Floats *n = g.direction;
  Floats basis[16], raw[3], d_color[3], d_basis[16], d[3];
  sh_basis(degree, n[0], n[1], n[2], basis);
  raw_color(p, basis, count, raw);
  for (int c = 0; c < 3; ++c) d_color[c] = keep(greater(raw[c], zeros()), sums[kRed + c]);
  for (int j = 0; j < count; ++j) {
    d_basis[j] = zeros();
    for (int c = 0; c < 3; ++c) {
      out[kHarmonics + 3 * j + c] = basis[j] * d_color[c];
      d_basis[j] = d_basis[j] + p[kHarmonics + 3 * j + c] * d_color[c];
    }
  }
  sh_gradient(degree, n[0], n[1], n[2], d_basis, d);
  const Floats along = d[0] * n[0] + d[1] * n[1] + d[2] * n[2];
  for (int k = 0; k < 3; ++k) d_sight[k] = (d[k] - along * n[k]) * g.inv_distance;
}

// Where the Jacobian is not held, j02 = -fx x / z^2 moves with x and z; where it is, with z only.
// d_point: by the centre in the camera.
inline void centre_backward(const Geometry& g, const Eye& eye, const EllipseGradient& e, const JacobianGradient& j,
                            Floats d_z, Floats* d_point) {
  const Mask free_x = within(g.u, all(eye.u_low), all(eye.u_high));
  const Mask free_y = within(g.v, all(eye.v_low), all(eye.v_high));
  const Floats fx_z2 = g.j00 * g.inv_z, fy_z2 = g.j11 * g.inv_z;
  d_point[0] = g.j00 * e.px - keep(free_x, fx_z2 * j.j02);
  d_point[1] = g.j11 * e.py - keep(free_y, fy_z2 * j.j12);
  d_point[2] = d_z - (fx_z2 * g.x * e.px + fy_z2 * g.y * e.py) - fx_z2 * j.j00 - fy_z2 * j.j11 +
               fx_z2 * g.u_held * j.j02 + fy_z2 * g.v_held * j.j12 + keep(free_x, fx_z2 * g.u * j.j02) +
               keep(free_y, fy_z2 * g.v * j.j12);
}

// Adds what a register of splats has to say about the camera: with exp((v, w)) before cam_from_world a point x and an
// axis a in the camera move by v + w x x and w x a, and directions of sight turn as if the splat had moved by v alone.
inline void pose_backward(const Sight& g, const Eye& eye, Mask visible, const Floats* d_point, const Floats* d_axes,
                          const Floats* d_sight, Floats* d_camera) {
  const float* r = eye.rotation;
  const Floats point[3] = {g.x, g.y, g.z};
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3, k = (i + 2) % 3;
    const Floats moved = d_point[i] + r[3 * i] * d_sight[0] + r[3 * i + 1] * d_sight[1] + r[3 * i + 2] * d_sight[2];
    Floats turned = point[j] * d_point[k] - point[k] * d_point[j];
    for (int axis = 0; axis < 3; ++axis)
      turned = turned + g.axes[3 * j + axis] * d_axes[3 * k + axis] - g.axes[3 * k + axis] * d_axes[3 * j + axis];
    d_camera[i] = d_camera[i] + keep(visible, moved);
    d_camera[3 + i] = d_camera[3 + i] + keep(visible, turned);
  }
}

// From the ellipse to the axes and the centre in the camera (d_axes 9, d_point 3), and `out` for the log scales.
inline void sight_backward(const Geometry& g, const Eye& eye, const EllipseGradient& e, const Floats* sums,
                           Floats* d_axes, Floats* d_point, Floats* out) {
  const JacobianGradient j = covariance_backward(g, eye, e, sums[kE], d_axes);
  log_scale_gradient(g, eye, sums, out);
  centre_backward(g, eye, e, j, sums[kDepth], d_point);
}

inline void sight_backward(const SphereGeometry& g, const Eye& eye, const EllipseGradient& e, const Floats* sums,
                           Floats* d_axes, Floats* d_point, Floats* out) {
  Floats d_x[3], d_y[3];
  rows_backward(g, eye, e, sums[kE], d_x, d_y);
  flatten_backward(g, eye, e.px, e.py, sums[kDepth], d_x, d_y, d_axes, d_point);
  log_scale_gradient(g, eye, sums, out);
}

template <Lens L>
inline void sight_backward(const LensGeometry<L>& g, const Eye& eye, EllipseGradient e, const Floats* sums,
                           Floats* d_axes, Floats* d_point, Floats* out) {
  if (eye.antialiased) add_fade_gradient(g, sums[kE], e);
  const LensGradient d = flatten_backward(eye, g, e, d_axes);
  const Floats by_size = d.share / maximum(g.size * g.size, all(kTiny));   // share is depth over size, where below 1
  for (int k = 0; k < 3; ++k)
    out[kLogScale + k] = d_axes[k] * g.axes[k] + d_axes[3 + k] * g.axes[3 + k] + d_axes[6 + k] * g.axes[6 + k] -
                         by_size * g.scale[k] * g.scale[k];
  const Point by_depth = Optics<L>::depth_gradient(centre_of(g), g.depth, sums[kDepth] + d.share / g.depth);
  d_point[0] = d.centre.x + by_depth.x;
  d_point[1] = d.centre.y + by_depth.y;
  d_point[2] = d.centre.z + by_depth.z;
}

// All gradients of one register of splats into out[0 .. 11 + 3 (degree + 1)^2), lanes outside of `visible` 0; and the
// pixels' pull on the centre, which densification watches. d_camera (6) is added to unless null.
template <class Seen>
inline void project_group_backward(const Parameters& p, const Seen& g, const Eye& eye, int degree, Mask visible,
                                   const Floats* sums, Floats* out, EllipseGradient* ellipse, Floats* d_camera) {
  *ellipse = ellipse_gradient(g, sums);
  Floats d_axes[9], d_point[3], d_sight[3];
  sight_backward(g, eye, *ellipse, sums, d_axes, d_point, out);
  if (p.smoothing) smoothing_backward(g, sums, out);
  axes_backward(g, eye, d_axes, out);
  color_backward(p, g, degree, sums, out, d_sight);
  if (d_camera) pose_backward(g, eye, visible, d_point, d_axes, d_sight, d_camera);
  const float* r = eye.rotation;
  for (int k = 0; k < 3; ++k)
    out[kMean + k] = d_sight[k] + r[k] * d_point[0] + r[3 + k] * d_point[1] + r[6 + k] * d_point[2];
  out[kLogitOpacity] = sums[kE] * (1.f - g.opacity);   // e is by log alpha
  if (bits(visible) != (1u << kWidth) - 1)
    for (int k = 0; k < kHarmonics + 3 * coefficient_count(degree); ++k) out[k] = keep(visible, out[k]);
}

}  // namespace diorama::DIORAMA_LEVEL
