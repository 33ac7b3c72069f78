// One set of kernels per SIMD level, behind plain function pointers.
#pragma once
#include "pool.h"
#include "workspace.h"

namespace diorama {

struct Level {
  const char* name;
  int tile_width, tile_height;
  void (*project)(Workspace&, Pool&, const Splats&);
  void (*bin)(Workspace&, Pool&);
  void (*forward)(Workspace&, Pool&, bool with_depth, const float* background, const float* kept);
  void (*prepare_photo)(const PhotoBytes&, PhotoPlanes&, Pool&);
  Loss (*photo_loss)(Workspace&, Pool&, const PhotoPlanes&, float ssim_weight);
  void (*backward)(Workspace&, Pool&, int splat_count, bool with_depth, bool deterministic);
  void (*update)(Workspace&, Pool&, const Splats&, const GradientSink&);
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
