// Multi-view stereo, per SIMD level like level.cpp and by the same rules.
#include <cstddef>
#include <cstdint>

#include "level.h"

#include "patchmatch.h"

namespace diorama::DIORAMA_LEVEL {

extern const LevelStereo level_stereo = {stereo_sweep};

}  // namespace diorama::DIORAMA_LEVEL
