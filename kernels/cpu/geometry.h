// A register of splats as one camera sees them: what projection and its gradient both need.
#pragma once
#include "types.h"
#include "sh.h"
#include "simd.h"

namespace diorama::DIORAMA_LEVEL {

// The camera, with what is derived from it once per picture, and whether opacities make up for the low-pass.
struct Eye {
  float rotation[9], translation[3], position[3];   // cam_from_world; the camera's place in the world
  float fx, fy, cx, cy, width, height;
  float u_low, u_high, v_low, v_high;               // x/z and y/z at which the Jacobian is held
  Lens lens;
  float k[8], limit, hold;                          // its distortion, see Camera
  bool antialiased;
  float low_pass;                                   // px^2
};

inline Eye make_eye(const Camera& c, bool antialiased, float low_pass) {
  Eye e;
  e.antialiased = antialiased;
  e.low_pass = low_pass;
  for (int k = 0; k < 9; ++k) e.rotation[k] = c.rotation[k];
  for (int k = 0; k < 3; ++k) {
    e.translation[k] = c.translation[k];
    e.position[k] = -(c.rotation[k] * c.translation[0] + c.rotation[3 + k] * c.translation[1] +
                      c.rotation[6 + k] * c.translation[2]);
  }
  e.fx = c.fx, e.fy = c.fy, e.cx = c.cx, e.cy = c.cy;
  e.width = static_cast<float>(c.width), e.height = static_cast<float>(c.height);
  const float margin_x = kMargin * .5f * e.width / c.fx, margin_y = kMargin * .5f * e.height / c.fy;
  e.u_low = -c.cx / c.fx - margin_x, e.u_high = (e.width - c.cx) / c.fx + margin_x;
  e.v_low = -c.cy / c.fy - margin_y, e.v_high = (e.height - c.cy) / c.fy + margin_y;
  for (int i = 0; i < 8; ++i) e.k[i] = c.distortion[i];
  e.lens = c.lens, e.limit = c.limit, e.hold = c.hold;
  return e;
}

// Parameter k of a register of splats.
struct Parameters {
  float* first;             // lane 0 of parameter 0
  const float* smoothing;   // of the same splats, or null (see smooth_scale)
  Floats operator[](int k) const { return load(first + k * kLanes); }
};

struct Point {
  Floats x, y, z;
};

// What a pinhole and any other lens have in common.
struct Sight {
  Mask sound;                        // seen by the lens, all parameters finite
  Floats x, y, z;                    // centre in the camera
  Floats depth;                      // what splats are sorted by: z, or the distance
  Floats px, py;                     // centre in the picture
  Floats w, qx, qy, qz, inv_norm;    // unit quaternion, one over its length before
  Floats turn[9];                    // camera_from_splat rotation
  Floats scale[3];                   // smoothing included
  Floats kept[3];                    // share of each squared scale that is the splat's own; set when smoothed
  Floats axes[9];                    // turn * scale: the splat's axes in the camera, as columns
  float low_pass;                    // of the eye
  Floats xx, xy, yy;                 // covariance in pixels, low-pass included
  Floats det, inv_det;               // the covariance's determinant
  Floats sharp_det;                  // determinant before the low-pass
  Floats log2_fade;                  // log2 of the share of opacity that both filters leave
  Floats conic_xx, conic_xy, conic_yy;
  Floats odds;                       // exp(-logit): opacity is 1 / (1 + odds)
  Floats opacity;
  Floats direction[3], inv_distance; // unit, from the camera to the splat in the world
};

struct Flat : Sight {                // through a linear map
  Floats row_x[3], row_y[3];         // Jacobian * axes; the picture's covariance is their Gram matrix
  Floats cross[3];                   // row_x x row_y
};

struct Geometry : Flat {             // of a pinhole
  Floats inv_z;
  Floats u, v, u_held, v_held;       // x/z, y/z, and both held within the picture and its margin
  Floats j00, j11, j02, j12;         // Jacobian of pixels by camera coordinates
};

// d loss / d (centre in pixels, covariance xx, xy counted once, yy).
struct EllipseGradient {
  Floats px, py, xx, xy, yy;
};

// d^T conic d at which alpha is kMinAlpha; at most 0 where it never is.
inline Floats reach_of(Floats log2_opacity) {
  constexpr float kLog2MinAlpha = -7.99435344f;
  return (2.f / kLog2E) * (log2_opacity - kLog2MinAlpha);
}
inline Floats wider(Floats reach) { return reach * 1.0002f + 1e-4f; }   // ellipses are searched a little beyond their rims

inline void splat_rotation(const Sight& g, Floats* r) {
  r[0] = 1.f - 2.f * (g.qy * g.qy + g.qz * g.qz);
  r[1] = 2.f * (g.qx * g.qy - g.w * g.qz);
  r[2] = 2.f * (g.qx * g.qz + g.w * g.qy);
  r[3] = 2.f * (g.qx * g.qy + g.w * g.qz);
  r[4] = 1.f - 2.f * (g.qx * g.qx + g.qz * g.qz);
  r[5] = 2.f * (g.qy * g.qz - g.w * g.qx);
  r[6] = 2.f * (g.qx * g.qz - g.w * g.qy);
  r[7] = 2.f * (g.qy * g.qz + g.w * g.qx);
  r[8] = 1.f - 2.f * (g.qx * g.qx + g.qy * g.qy);
}

inline void place_centre(const Parameters& p, const Eye& eye, Sight& g) {
  const Floats mx = p[kMean], my = p[kMean + 1], mz = p[kMean + 2];
  const float *r = eye.rotation, *t = eye.translation;
  g.x = r[0] * mx + r[1] * my + r[2] * mz + t[0];
  g.y = r[3] * mx + r[4] * my + r[5] * mz + t[1];
  g.z = r[6] * mx + r[7] * my + r[8] * mz + t[2];
  const Floats dx = mx - eye.position[0], dy = my - eye.position[1], dz = mz - eye.position[2];
  g.inv_distance = 1.f / square_root(dx * dx + dy * dy + dz * dz);
  g.direction[0] = dx * g.inv_distance;
  g.direction[1] = dy * g.inv_distance;
  g.direction[2] = dz * g.inv_distance;
}

// Mip-Splatting's 3D smoothing filter (Yu et al. 2024, eq. 9): a splat is drawn as if blurred in the world by a ball of
// standard deviation `smoothing`, its opacity falling as its volume grows.
inline void smooth_scale(Floats smoothing, int k, Sight& g) {
  g.sound = both(g.sound, is_finite(smoothing));
  const Mask some = greater(smoothing, all(1e-15f));   // less would be lost when squared
  const Floats own = g.scale[k] * g.scale[k], whole = own + smoothing * smoothing;
  g.kept[k] = choose(some, own / whole, all(1.f));
  g.scale[k] = choose(some, square_root(whole), g.scale[k]);
}

inline void fade_smoothed(Sight& g) { g.log2_fade = .5f * log2_approx(g.kept[0] * g.kept[1] * g.kept[2]); }

// Mip-Splatting's 2D Mip filter (eq. 10): what the low-pass adds to the ellipse's area it takes from the opacity.
inline void fade_flattened(Sight& g) { g.log2_fade = g.log2_fade + .5f * log2_approx(g.sharp_det * g.inv_det); }

inline void place_axes(const Parameters& p, const Eye& eye, Sight& g) {
  g.w = p[kQuaternion], g.qx = p[kQuaternion + 1], g.qy = p[kQuaternion + 2], g.qz = p[kQuaternion + 3];
  g.inv_norm = 1.f / square_root(g.w * g.w + g.qx * g.qx + g.qy * g.qy + g.qz * g.qz);
  g.w = g.w * g.inv_norm, g.qx = g.qx * g.inv_norm, g.qy = g.qy * g.inv_norm, g.qz = g.qz * g.inv_norm;
  Floats r[9];
  splat_rotation(g, r);
  const float* c = eye.rotation;
  for (int k = 0; k < 3; ++k) {
    const Floats log_scale = p[kLogScale + k];
    g.sound = both(g.sound, is_finite(log_scale));   // the exponential would hide a NaN
    g.scale[k] = exponential(log_scale);
    if (p.smoothing) smooth_scale(load(p.smoothing), k, g);
    for (int i = 0; i < 3; ++i) {
      g.turn[i * 3 + k] = c[i * 3] * r[k] + c[i * 3 + 1] * r[3 + k] + c[i * 3 + 2] * r[6 + k];
      g.axes[i * 3 + k] = g.turn[i * 3 + k] * g.scale[k];
    }
  }
}

// In front of the camera; x/z and y/z.
inline void see(const Eye&, Geometry& g) {
  g.sound = greater(g.z, all(kNear));
  g.z = choose(g.sound, g.z, all(1.f));
  g.depth = g.z;
  g.inv_z = 1.f / g.z;
  g.u = g.x * g.inv_z;
  g.v = g.y * g.inv_z;
}

// The covariance from the rows.
inline void multiply_rows(Flat& g) {
  const Floats *a = g.row_x, *b = g.row_y;
  const Floats aa = a[0] * a[0] + a[1] * a[1] + a[2] * a[2], bb = b[0] * b[0] + b[1] * b[1] + b[2] * b[2];
  g.xy = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  g.xx = aa + g.low_pass;
  g.yy = bb + g.low_pass;
  // xx yy - xy^2 would lose a thin splat's digits; |a|^2 |b|^2 - (a b)^2 = |a x b|^2 (Lagrange) keeps them.
  Floats* c = g.cross;
  c[0] = a[1] * b[2] - a[2] * b[1];
  c[1] = a[2] * b[0] - a[0] * b[2];
  c[2] = a[0] * b[1] - a[1] * b[0];
  g.sharp_det = c[0] * c[0] + c[1] * c[1] + c[2] * c[2];
  g.det = g.sharp_det + g.low_pass * (aa + bb) + g.low_pass * g.low_pass;
}

inline void flatten(const Eye& eye, Geometry& g) {
  g.u_held = clamp(g.u, all(eye.u_low), all(eye.u_high));
  g.v_held = clamp(g.v, all(eye.v_low), all(eye.v_high));
  g.j00 = eye.fx * g.inv_z;
  g.j11 = eye.fy * g.inv_z;
  g.j02 = -g.j00 * g.u_held;
  g.j12 = -g.j11 * g.v_held;
  for (int k = 0; k < 3; ++k) {
    g.row_x[k] = g.j00 * g.axes[k] + g.j02 * g.axes[6 + k];
    g.row_y[k] = g.j11 * g.axes[3 + k] + g.j12 * g.axes[6 + k];
  }
  multiply_rows(g);
  g.px = g.j00 * g.x + eye.cx;
  g.py = g.j11 * g.y + eye.cy;
}

inline void invert_covariance(Sight& g) {
  g.inv_det = 1.f / g.det;
  g.conic_xx = g.yy * g.inv_det;
  g.conic_xy = -g.xy * g.inv_det;
  g.conic_yy = g.xx * g.inv_det;
}

// Seen is Geometry, or another lens's LensGeometry (unscented.h) or SphereGeometry (sphere.h).
template <class Seen>
inline Seen look_at(const Parameters& p, const Eye& eye) {
  Seen g;
  g.low_pass = eye.low_pass;
  place_centre(p, eye, g);
  see(eye, g);
  place_axes(p, eye, g);
  flatten(eye, g);
  invert_covariance(g);
  g.log2_fade = zeros();
  if (p.smoothing) fade_smoothed(g);
  if (eye.antialiased) fade_flattened(g);
  const Floats logit = p[kLogitOpacity];
  g.sound = both(g.sound, is_finite(logit));
  g.odds = exponential(-logit);
  g.opacity = 1.f / (1.f + g.odds);
  return g;
}

// 0.5 + sum_j b[j] sh[j] for the three channels, before it is held above 0.
inline void raw_color(const Parameters& p, const Floats* basis, int count, Floats* color) {
  for (int c = 0; c < 3; ++c) color[c] = all(.5f);
  for (int j = 0; j < count; ++j)
    for (int c = 0; c < 3; ++c) color[c] = color[c] + basis[j] * p[kHarmonics + 3 * j + c];
}

}  // namespace diorama::DIORAMA_LEVEL
