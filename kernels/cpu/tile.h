// Tiles: the pieces of the picture that are drawn at a time.
#pragma once
#include "types.h"
#include "simd.h"

namespace diorama::DIORAMA_LEVEL {

// Tall and narrow: the work per splat and tile (set-up, sums, a missed branch) is shared by a whole column of pixels.
// A tile is one column of 32 registers ("rows"), each 8 pixels wide (4 where registers are that narrow) and, with
// AVX-512, 2 pixels high; which rows a splat has a say in is one 32-bit word.
constexpr int kTileWidth = kWidth < 8 ? kWidth : 8;
constexpr int kRows = 32;
constexpr int kRowHeight = kWidth / kTileWidth;
constexpr int kTileHeight = kRows * kRowHeight;

// Pixel offsets of the lanes within a row.
inline Floats lane_x() {
  alignas(64) float x[kWidth];
  for (int l = 0; l < kWidth; ++l) x[l] = static_cast<float>(l % kTileWidth);
  return load(x);
}
inline Floats lane_y() {
  alignas(64) float y[kWidth];
  for (int l = 0; l < kWidth; ++l) y[l] = static_cast<float>(l / kTileWidth);
  return load(y);
}

// Rows that hold pixel lines first..last of the tile, as bits.
inline std::uint32_t row_bits(int first, int last) {
  if (first > last) return 0;
  return (2u << (last / kRowHeight)) - (1u << (first / kRowHeight));
}

struct Tile {
  int x, y;        // first pixel
  int width, height;   // that lie in the picture
  Tile(int number, int tiles_x, const Camera& camera)
      : x(number % tiles_x * kTileWidth),
        y(number / tiles_x * kTileHeight),
        width(least(kTileWidth, camera.width - x)),
        height(least(kTileHeight, camera.height - y)) {}
  // Which lanes of a row are pixels of the picture.
  Mask inside(int row) const {
    return both(greater(all(static_cast<float>(width)), lane_x()),
                greater(all(static_cast<float>(height - row * kRowHeight)), lane_y()));
  }
};

}  // namespace diorama::DIORAMA_LEVEL
