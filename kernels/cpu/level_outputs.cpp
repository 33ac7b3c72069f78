// The kernels that read what a drawn picture left behind, per SIMD level like level.cpp and by the same rules. Apart
// from it, so that the compiler's budget for inlining in a training step does not depend on them.
#include <cstddef>
#include <cstdint>

#include "level.h"

#include "contribution.h"
#include "splat_features.h"

namespace diorama::DIORAMA_LEVEL {

extern const LevelOutputs level_outputs = {features, features_backward, contribution, median_depth};

}  // namespace diorama::DIORAMA_LEVEL
