// Columns of a table with a row per splat, into the blocks that kernels read.
#pragma once
#include "pool.h"
#include "types.h"

namespace diorama {

// table (splats.count, width) becomes the parameters first .. first + width of `splats`; padding lanes are left alone.
void put_columns(const float* table, int width, int first, const Splats& splats, Pool& pool);

}  // namespace diorama
