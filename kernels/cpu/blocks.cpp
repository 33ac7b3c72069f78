#include "blocks.h"

#include <algorithm>
#include <cstddef>

namespace diorama {

// A block's 16 rows stay in the first cache while their columns are taken one by one; NumPy's transposed copy, an inner
// loop of its own per 16 values, took five times as long.
void put_columns(const float* table, int width, int first, const Splats& splats, Pool& pool) {
  constexpr int kChunk = 64;
  const int blocks = splats.block_count();
  pool.run((blocks + kChunk - 1) / kChunk, [&](int task, int) {
    for (int b = task * kChunk, end = std::min(blocks, b + kChunk); b < end; ++b) {
      const float* rows = table + static_cast<std::size_t>(b) * kLanes * width;
      float* block = splats.blocks + static_cast<std::size_t>(b) * kBlockFloats + first * kLanes;
      const int lanes = std::min(kLanes, splats.count - b * kLanes);
      for (int k = 0; k < width; ++k)
        for (int lane = 0; lane < lanes; ++lane) block[k * kLanes + lane] = rows[static_cast<std::size_t>(lane) * width + k];
    }
  });
}

}  // namespace diorama
