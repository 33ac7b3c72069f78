// All kernels of one SIMD level. Compiled once per level, each time with other flags and another DIORAMA_LEVEL.
//
// Nothing here may instantiate a template of the standard library: the linker keeps one copy of such a function for the
// whole program, and it could be the one with instructions that the processor at hand lacks (the build checks it, see
// check_level_symbols.py).
#include <cstddef>
#include <cstdint>

#include "level.h"

#include "apply.h"
#include "backward.h"
#include "bin.h"
#include "exposure.h"
#include "forward.h"
#include "geometry_loss.h"
#include "loss.h"
#include "photo.h"
#include "project.h"
#include "sampling.h"
#include "update.h"

#define DIORAMA_TEXT_OF(x) #x
#define DIORAMA_TEXT(x) DIORAMA_TEXT_OF(x)

namespace diorama::DIORAMA_LEVEL {

extern const LevelOutputs level_outputs;   // level_outputs.cpp
extern const LevelStereo level_stereo;     // level_stereo.cpp

extern const Level level = {DIORAMA_TEXT(DIORAMA_LEVEL),
                            kTileWidth,
                            kTileHeight,
                            project,
                            bin,
                            forward,
                            prepare_photo,
                            photo_loss,
                            geometry_loss,
                            backward,
                            update,
                            sampling_intervals,
                            apply,
                            expose,
                            expose_backward,
                            level_outputs,
                            level_stereo};

}  // namespace diorama::DIORAMA_LEVEL
