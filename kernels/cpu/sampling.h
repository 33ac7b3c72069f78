// How finely a set of cameras samples each splat: what Mip-Splatting's 3D smoothing filter is made of.
#pragma once
#include "pool.h"
#include "geometry.h"
#include "project.h"

namespace diorama::DIORAMA_LEVEL {

constexpr float kUnseen = 3e38f;

template <Lens L>
inline Mask seen_through(const Eye& eye, Point p, Floats* depth) {
  const Mask sound = Optics<L>::sees(eye, p, depth);
  const Pixel at = Optics<L>::project(eye, p);
  const float margin_x = kMargin * .5f * eye.width, margin_y = kMargin * .5f * eye.height;
  const Floats px = at.x + eye.cx, py = at.y + eye.cy;
  return both(sound, both(within(px, all(-margin_x), all(eye.width + margin_x)),
                          within(py, all(-margin_y), all(eye.height + margin_y))));
}

inline Mask seen_by(const Eye& eye, Point p, Floats* depth) {
  switch (eye.lens) {
    case Lens::kOpenCv: return seen_through<Lens::kOpenCv>(eye, p, depth);
    case Lens::kFisheye: return seen_through<Lens::kFisheye>(eye, p, depth);
    case Lens::kEquirectangular: return seen_through<Lens::kEquirectangular>(eye, p, depth);
    case Lens::kPinhole: break;
  }
  const Mask seen = both(greater(p.z, all(kNear)), both(at_least(p.x, eye.u_low * p.z), at_least(eye.u_high * p.z, p.x)));
  return both(seen, both(at_least(p.y, eye.v_low * p.z), at_least(eye.v_high * p.z, p.y)));
}

// The least distance between neighbouring pixels' rays at a register of centres, over the cameras that see them: depth
// over focal length. A camera sees a little beyond its picture, as far as the Jacobian follows (kMargin).
inline Floats sampling_interval(const Parameters& p, const Eye* eyes, int cameras) {
  const Floats mx = p[kMean], my = p[kMean + 1], mz = p[kMean + 2];
  Floats least_interval = all(kUnseen);
  for (int i = 0; i < cameras; ++i) {
    const Eye& eye = eyes[i];
    const float *r = eye.rotation, *t = eye.translation;
    const Floats x = r[0] * mx + r[1] * my + r[2] * mz + t[0], y = r[3] * mx + r[4] * my + r[5] * mz + t[1];
    const Floats z = r[6] * mx + r[7] * my + r[8] * mz + t[2];
    Floats depth = z;
    const Mask seen = seen_by(eye, {x, y, z}, &depth);
    const float focal = eye.fx > eye.fy ? eye.fx : eye.fy;
    least_interval = choose(seen, minimum(least_interval, depth * (1.f / focal)), least_interval);
  }
  return least_interval;
}

// intervals: one per lane of every block.
void sampling_intervals(Pool& pool, const Splats& splats, const Camera* cameras, int camera_count,
                        Scratch<float>& intervals) {
  constexpr int kChunk = 16, kCameras = 64;   // so many eyes stay in the cache and on the stack
  const int blocks = splats.block_count();
  intervals.reserve(static_cast<std::size_t>(blocks) * kLanes);
  for (int i = 0; i < blocks * kLanes; ++i) intervals[i] = kUnseen;
  for (int from = 0; from < camera_count; from += kCameras) {
    Eye eyes[kCameras];
    const int count = least(kCameras, camera_count - from);
    for (int i = 0; i < count; ++i) eyes[i] = make_eye(cameras[from + i], false, kLowPass);
    pool.run((blocks + kChunk - 1) / kChunk, [&](int task, int) {
      for (int b = task * kChunk; b < least(blocks, (task + 1) * kChunk); ++b)
        for (int group = 0; group < kGroups; ++group) {
          float* block = splats.blocks + static_cast<std::size_t>(b) * kBlockFloats + group * kWidth;
          float* out = &intervals[b * kLanes + group * kWidth];
          store(out, minimum(sampling_interval(Parameters{block, nullptr}, eyes, count), load(out)));
        }
    });
  }
}

}  // namespace diorama::DIORAMA_LEVEL
