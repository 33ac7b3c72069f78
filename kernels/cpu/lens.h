// Lenses beyond the pinhole: where a point in the camera is seen, and the derivative of that.
//
// Every function is total: points that a lens cannot see are not handed to it, or are far outside of the picture and
// stay there (see `hold` in kernels/_lens.py). Results are pixels from the principal point.
#pragma once
#include "geometry.h"

namespace diorama::DIORAMA_LEVEL {

constexpr float kTiny = 1e-30f;   // keeps a length from being zero; every length that matters is far larger

struct Pixel {
  Floats x, y;
};
struct Jacobian {   // rows: pixel x and y by point x, y, z
  Floats x[3], y[3];
};

// The angle of (x, y) in -pi to pi, relative error 2e-7: atan on [0, tan(pi/8)] as a minimax polynomial, two folds.
inline Floats angle_of(Floats y, Floats x) {
  const Floats ax = absolute(x), ay = absolute(y);
  const Floats low = minimum(ax, ay), high = maximum(maximum(ax, ay), all(kTiny));
  const Mask steep = greater(low, .41421356f * high);
  const Floats t = choose(steep, low - high, low) / choose(steep, low + high, high);
  const Floats s = t * t;
  Floats p = 0.0806026755f * s - 0.138798359f;
  p = p * s + 0.199779246f;
  p = p * s - 0.333329552f;
  Floats a = t + t * s * p + keep(steep, all(.785398163f));
  a = choose(greater(ay, ax), 1.57079633f - a, a);
  a = choose(greater(zeros(), x), 3.14159265f - a, a);
  return choose(greater(zeros(), y), -a, a);
}

// OpenCV's radial and tangential distortion of (u, v) = (x/z, y/z). Beyond r = hold the radial factor stays and the
// tangential shift grows with r instead of r^2.
struct OpenCvTerms {
  Floats u, v, r2;
  Mask free;                     // within hold
  Floats factor, factor_slope;   // of the radius squared
  Floats share;                  // hold / r where held, else 1
  Floats tu, tv;                 // tangential shift before `share`
};

inline OpenCvTerms opencv_terms(const Eye& eye, Point p) {
  const float* k = eye.k;
  const Floats inv_z = 1.f / p.z;
  OpenCvTerms t;
  t.u = p.x * inv_z;
  t.v = p.y * inv_z;
  t.r2 = t.u * t.u + t.v * t.v;
  const float hold2 = eye.hold * eye.hold;
  t.free = greater(all(hold2), t.r2);
  const Floats s = minimum(t.r2, all(hold2));
  const Floats below = 1.f / (1.f + s * (k[5] + s * (k[6] + s * k[7])));
  t.factor = (1.f + s * (k[0] + s * (k[1] + s * k[4]))) * below;
  t.factor_slope = (k[0] + s * (2.f * k[1] + s * (3.f * k[4])) -
                    t.factor * (k[5] + s * (2.f * k[6] + s * (3.f * k[7])))) * below;
  t.share = choose(t.free, all(1.f), eye.hold / square_root(t.r2 + kTiny));
  t.tu = 2.f * k[2] * t.u * t.v + k[3] * (t.r2 + 2.f * t.u * t.u);
  t.tv = 2.f * k[3] * t.u * t.v + k[2] * (t.r2 + 2.f * t.v * t.v);
  return t;
}

template <Lens L>
struct Optics;

template <>
struct Optics<Lens::kOpenCv> {
  static Mask sees(const Eye& eye, Point p, Floats* depth) {
    *depth = p.z;
    const float limit2 = eye.limit * eye.limit;   // infinite where nothing folds
    return both(greater(p.z, all(kNear)), greater(all(limit2) * p.z * p.z, p.x * p.x + p.y * p.y));
  }
  static Point depth_gradient(Point, Floats, Floats d) { return {zeros(), zeros(), d}; }

  static Pixel project(const Eye& eye, Point p) {
    const OpenCvTerms t = opencv_terms(eye, p);
    return {eye.fx * (t.u * t.factor + t.share * t.tu), eye.fy * (t.v * t.factor + t.share * t.tv)};
  }
  static Pixel offset(const Eye& eye, Point, Pixel at_centre, Point p) {
    const Pixel q = project(eye, p);
    return {q.x - at_centre.x, q.y - at_centre.y};
  }
  static Jacobian jacobian(const Eye& eye, Point p) {
    const OpenCvTerms t = opencv_terms(eye, p);
    const float p1 = eye.k[2], p2 = eye.k[3];
    const Floats slope = 2.f * keep(t.free, t.factor_slope);           // of the factor, by u: slope u
    const Floats fall = choose(t.free, zeros(), t.share / (t.r2 + kTiny));   // of the share, by u: -fall u
    const Floats xu = t.factor + t.u * t.u * slope + t.share * (2.f * p1 * t.v + 6.f * p2 * t.u) - fall * t.u * t.tu;
    const Floats xv = t.u * t.v * slope + t.share * (2.f * p1 * t.u + 2.f * p2 * t.v) - fall * t.v * t.tu;
    const Floats yu = t.u * t.v * slope + t.share * (2.f * p2 * t.v + 2.f * p1 * t.u) - fall * t.u * t.tv;
    const Floats yv = t.factor + t.v * t.v * slope + t.share * (2.f * p2 * t.u + 6.f * p1 * t.v) - fall * t.v * t.tv;
    const Floats fx = eye.fx / p.z, fy = eye.fy / p.z;
    return {{fx * xu, fx * xv, -fx * (xu * t.u + xv * t.v)}, {fy * yu, fy * yv, -fy * (yu * t.u + yv * t.v)}};
  }
  // The point at the same depth that is `hold` from the axis at most, and the way back.
  static Point held(const Eye& eye, Point p) {
    const Floats factor = minimum(eye.hold * p.z / square_root(p.x * p.x + p.y * p.y + kTiny), all(1.f));
    return {p.x * factor, p.y * factor, p.z};
  }
  static Point held_gradient(const Eye& eye, Point p, Point d) {
    const Floats inv_r = 1.f / square_root(p.x * p.x + p.y * p.y + kTiny), factor = eye.hold * p.z * inv_r;
    const Mask is_held = greater(all(1.f), factor);
    const Floats nx = p.x * inv_r, ny = p.y * inv_r, outward = nx * d.x + ny * d.y;
    return {choose(is_held, factor * (d.x - outward * nx), d.x), choose(is_held, factor * (d.y - outward * ny), d.y),
            d.z + keep(is_held, eye.hold * outward)};
  }
};

// Lenses whose depth is the distance from the camera.
struct AllRound {
  static Point held(const Eye&, Point p) { return p; }
  static Point held_gradient(const Eye&, Point, Point d) { return d; }
  static Point depth_gradient(Point centre, Floats depth, Floats d) {
    const Floats share = d / depth;
    return {share * centre.x, share * centre.y, share * centre.z};
  }
};

template <>
struct Optics<Lens::kFisheye> : AllRound {
  static Mask sees(const Eye& eye, Point p, Floats* depth) {
    const Floats r2 = p.x * p.x + p.y * p.y;
    *depth = square_root(r2 + p.z * p.z);
    return both(greater(*depth, all(kNear)), greater(all(eye.limit), angle_of(square_root(r2), p.z)));
  }

  // Distorted radius of an angle, and its slope.
  static Floats radius(const Eye& eye, Floats angle, Floats* slope) {
    const float* k = eye.k;
    const Floats held = minimum(angle, all(eye.hold)), s = held * held;
    const Floats factor = 1.f + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3])));
    const Floats grows = 2.f * s * (k[0] + s * (2.f * k[1] + s * (3.f * k[2] + s * (4.f * k[3]))));
    *slope = factor + keep(greater(all(eye.hold), angle), grows);
    return angle * factor;
  }
  static Pixel project(const Eye& eye, Point p) {
    const Floats r = square_root(p.x * p.x + p.y * p.y + kTiny);
    Floats slope;
    const Floats stretch = radius(eye, angle_of(r, p.z), &slope) / r;
    return {eye.fx * p.x * stretch, eye.fy * p.y * stretch};
  }
  static Pixel offset(const Eye& eye, Point, Pixel at_centre, Point p) {
    const Pixel q = project(eye, p);
    return {q.x - at_centre.x, q.y - at_centre.y};
  }
  static Jacobian jacobian(const Eye& eye, Point p) {
    const Floats r2 = p.x * p.x + p.y * p.y + kTiny, r = square_root(r2), inv_d2 = 1.f / (r2 + p.z * p.z);
    Floats slope;
    const Floats stretch = radius(eye, angle_of(r, p.z), &slope) / r;
    const Floats by_r = (slope * p.z * inv_d2 - stretch) / r2, by_z = -slope * inv_d2;   // of stretch; by_r over r
    return {{eye.fx * (stretch + p.x * p.x * by_r), eye.fx * p.x * p.y * by_r, eye.fx * p.x * by_z},
            {eye.fy * p.x * p.y * by_r, eye.fy * (stretch + p.y * p.y * by_r), eye.fy * p.y * by_z}};
  }
};

template <>
struct Optics<Lens::kEquirectangular> : AllRound {
  static Mask sees(const Eye&, Point p, Floats* depth) {
    *depth = square_root(p.x * p.x + p.y * p.y + p.z * p.z);
    return greater(*depth, all(kNear));
  }
  static Pixel project(const Eye& eye, Point p) {
    const Floats level = square_root(p.x * p.x + p.z * p.z);
    return {eye.fx * angle_of(p.x, p.z), eye.fy * angle_of(p.y, level)};
  }
};

}  // namespace diorama::DIORAMA_LEVEL
