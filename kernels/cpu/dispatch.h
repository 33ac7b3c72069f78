// Which SIMD level runs: the best that the processor has, or the one asked for.
#pragma once
#include <string>
#include <vector>

#include "level.h"

namespace diorama {

std::vector<const Level*> available_levels();   // best first; never empty
const Level& current_level();                   // at first the best, or DIORAMA_SIMD's
void set_level(const std::string& name);        // throws std::invalid_argument where it is not available

}  // namespace diorama
