// How finely a set of cameras samples each splat: what Mip-Splatting's 3D smoothing filter is made of.
#pragma once
#include "pool.h"
#include "geometry.h"
#include "project.h"

namespace diorama::DIORAMA_LEVEL {

constexpr float kUnseen = 3e38f;

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
    Mask seen = greater(z, all(kNear));
    seen = both(seen, both(at_least(x, eye.u_low * z), at_least(eye.u_high * z, x)));
    seen = both(seen, both(at_least(y, eye.v_low * z), at_least(eye.v_high * z, y)));
    const float focal = eye.fx > eye.fy ? eye.fx : eye.fy;
    least_interval = choose(seen, minimum(least_interval, z * (1.f / focal)), least_interval);
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
    for (int i = 0; i < count; ++i) eyes[i] = make_eye(cameras[from + i], false);
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
