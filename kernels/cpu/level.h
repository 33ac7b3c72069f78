// One set of kernels per SIMD level, behind plain function pointers.
#pragma once
#include "pool.h"
#include "stereo_types.h"
#include "workspace.h"

namespace diorama {

// What works on a picture that is already drawn.
struct LevelOutputs {
  void (*features)(Workspace&, Pool&, const Features&, float* planes);
  void (*features_backward)(Workspace&, Pool&, const Features&, int splat_count, const float* d_planes, float* d_values);
  void (*contribution)(Workspace&, Pool&, int splat_count, const float* map, const ContributionSink&);
  void (*median_depth)(Workspace&, Pool&, float* plane);
};

// What finds depth in posed photos.
struct LevelStereo {
  void (*sweep)(Pool&, const StereoJob&);
};

struct Level {
  const char* name;
  int tile_width, tile_height;
  void (*project)(Workspace&, Pool&, const Splats&);
  void (*bin)(Workspace&, Pool&);
  void (*forward)(Workspace&, Pool&, bool with_depth, const float* background, const float* kept);
  void (*prepare_photo)(const PhotoBytes&, PhotoPlanes&, Pool&);
  Loss (*photo_loss)(Workspace&, Pool&, const PhotoPlanes&, float ssim_weight);
  void (*geometry_loss)(Workspace&, Pool&, const PhotoPlanes&, float depth_weight, float empty_weight, Loss&);
  void (*backward)(Workspace&, Pool&, int splat_count, bool with_depth, bool absolute, bool deterministic);
  void (*update)(Workspace&, Pool&, const Splats&, const GradientSink&);
  void (*sampling_intervals)(Pool&, const Splats&, const Camera*, int camera_count, Scratch<float>& intervals);
  void (*apply)(Pool&, const Splats&, const GradientSink&, int views);
  void (*expose)(Workspace&, Pool&, const float* matrix, const float* kept);
  void (*expose_backward)(Workspace&, Pool&, const float* matrix, double* d_matrix);
  const LevelOutputs& outputs;
  const LevelStereo& stereo;
};

#if defined(DIORAMA_X86_LEVELS)
namespace avx512 {
extern const Level level;
}
namespace avx2 {
extern const Level level;
}
#endif
namespace portable {
extern const Level level;
}

[[noreturn]] void throw_too_many_pairs();   // std::length_error; out of line, see memory.h

}  // namespace diorama
