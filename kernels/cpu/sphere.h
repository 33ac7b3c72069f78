// A splat in a panorama: the ellipse is drawn where it is flat, on the plane that touches the sphere around the camera at
// the splat's own direction, and pixels look at it along their rays (rays.h). So a splat at a pole is as round as one at
// the horizon: the same picture that a pinhole takes which looks straight at it (Zwicker et al. 2001, EWA).
//
// The plane's axes are east and south at the splat's place. One pixel on it is one of the finer of the panorama's two
// sides: 1 / focal radians.
#pragma once
#include "lens.h"

namespace diorama::DIORAMA_LEVEL {

constexpr float kAtPole = 1e-7f;   // of the distance; nearer to the vertical axis any direction is east

inline float sphere_focal(float fx, float fy) { return fx > fy ? fx : fy; }

struct SphereGeometry : Flat {
  Floats inv_depth, stretch;                  // 1 / distance; pixels by camera units there
  Floats sin_x, cos_x, sin_y, cos_y;          // of its azimuth and its latitude, down being positive
  Floats east[3], south[3], out[3];           // unit vectors in the camera
};

inline void see(const Eye& eye, SphereGeometry& g) {
  g.sound = Optics<Lens::kEquirectangular>::sees(eye, {g.x, g.y, g.z}, &g.depth);
  g.x = keep(g.sound, g.x);
  g.y = keep(g.sound, g.y);
  g.z = choose(g.sound, g.z, all(1.f));
  g.depth = choose(g.sound, g.depth, all(1.f));
  g.inv_depth = 1.f / g.depth;
}

inline void place_plane(SphereGeometry& g) {
  const Floats level = square_root(g.x * g.x + g.z * g.z), inv_level = 1.f / maximum(level, all(kTiny));
  const Mask at_pole = greater(kAtPole * g.depth, level);
  g.sin_x = choose(at_pole, zeros(), g.x * inv_level);
  g.cos_x = choose(at_pole, all(1.f), g.z * inv_level);
  g.sin_y = g.y * g.inv_depth;
  g.cos_y = level * g.inv_depth;
  g.east[0] = g.cos_x, g.east[1] = zeros(), g.east[2] = -g.sin_x;
  g.south[0] = -g.sin_y * g.sin_x, g.south[1] = g.cos_y, g.south[2] = -g.sin_y * g.cos_x;
  g.out[0] = g.cos_y * g.sin_x, g.out[1] = g.sin_y, g.out[2] = g.cos_y * g.cos_x;
}

inline void flatten(const Eye& eye, SphereGeometry& g) {
  place_plane(g);
  g.stretch = sphere_focal(eye.fx, eye.fy) * g.inv_depth;
  for (int k = 0; k < 3; ++k) {
    const Floats x = g.axes[k], y = g.axes[3 + k], z = g.axes[6 + k];
    g.row_x[k] = g.stretch * (g.east[0] * x + g.east[2] * z);
    g.row_y[k] = g.stretch * (g.south[0] * x + g.south[1] * y + g.south[2] * z);
  }
  multiply_rows(g);
  const Pixel at = Optics<Lens::kEquirectangular>::project(eye, {g.x, g.y, g.z});
  g.px = at.x + eye.cx;
  g.py = at.y + eye.cy;
}

// From the rows (d_x, d_y) and the centre on the plane to the axes (d_axes, 9) and to the centre in the camera (d_point).
// As the centre moves, the plane rolls along without turning: east by -out (east moved). That it could be turned makes
// no difference to the picture.
inline void flatten_backward(const SphereGeometry& g, const Eye& eye, Floats px, Floats py, Floats d_depth,
                             const Floats* d_x, const Floats* d_y, Floats* d_axes, Floats* d_point) {
  const float focal = sphere_focal(eye.fx, eye.fy);
  Floats along_x = focal * px, along_y = focal * py, grows = zeros();   // by moves of the direction, and by log stretch
  for (int k = 0; k < 3; ++k) {
    Floats depth = zeros();
    for (int i = 0; i < 3; ++i) {
      d_axes[3 * i + k] = g.stretch * (g.east[i] * d_x[k] + g.south[i] * d_y[k]);
      depth = depth + g.out[i] * g.axes[3 * i + k];
    }
    along_x = along_x - g.stretch * depth * d_x[k];
    along_y = along_y - g.stretch * depth * d_y[k];
    grows = grows + d_x[k] * g.row_x[k] + d_y[k] * g.row_y[k];
  }
  const Floats outward = d_depth - grows * g.inv_depth;
  for (int i = 0; i < 3; ++i)
    d_point[i] = (g.east[i] * along_x + g.south[i] * along_y) * g.inv_depth + g.out[i] * outward;
}

}  // namespace diorama::DIORAMA_LEVEL
