// What the loss needs of a photo and can be computed ahead of training.
#pragma once
#include "pool.h"
#include "workspace.h"
#include "window.h"

namespace diorama::DIORAMA_LEVEL {

inline void fill_values(const PhotoBytes& photo, PhotoPlanes& out, int y) {
  const std::uint8_t* rgb = photo.rgb + static_cast<std::size_t>(y) * photo.width * 3;
  const std::uint8_t* mask = photo.mask ? photo.mask + static_cast<std::size_t>(y) * photo.width : nullptr;
  const std::size_t row = out.layout.at(0, y);
  for (int c = 0; c < 3; ++c) {
    float* values = out.values.data() + c * out.layout.size + row;
    for (int x = 0; x < photo.width; ++x) values[x] = static_cast<float>(rgb[x * 3 + c]) * (1.f / 255.f);
    if (mask)
      for (int x = 0; x < photo.width; ++x) values[x] = mask[x] ? values[x] : 0.f;
  }
  if (mask)
    for (int x = 0; x < photo.width; ++x) out.kept[row + x] = mask[x] ? 1.f : 0.f;
}

// Blurred values and squares of one row, a block of columns at a time: down the columns into a buffer, then across.
inline void blur_row(const PlaneLayout& layout, const float* values, int y, float* mean, float* square) {
  constexpr int kBlock = 256, kSide = 16, kBuffer = kBlock + 2 * kSide;
  const Taps w;
  alignas(64) float means[kBuffer], squares[kBuffer], lanes[2][kWidth];
  for (int x0 = 0; x0 < layout.width; x0 += kBlock) {
    const int columns = least(kBlock, (layout.width - x0 + kWidth - 1) / kWidth * kWidth);
    const float* centre = values + layout.at(x0 - kSide, y);
    for (int x = 0; x < columns + 2 * kSide; x += kWidth) {
      Floats a = w[0] * load(centre + x), b = a * load(centre + x);
      for (int j = 1; j <= kRadius; ++j) {
        const Floats above = load(centre + x - j * layout.stride), below = load(centre + x + j * layout.stride);
        a = a + w[j] * (above + below);
        b = b + w[j] * (above * above + below * below);
      }
      store(means + x, a);
      store(squares + x, b);
    }
    RowWalk m(means + kSide), s(squares + kSide);
    for (int x = 0; x < columns; x += kWidth) {
      store(lanes[0], blur_across(m, w));
      store(lanes[1], blur_across(s, w));
      const std::size_t n = sizeof(float) * least(kWidth, layout.width - x0 - x);   // the border stays 0
      __builtin_memcpy(mean + layout.at(x0 + x, y), lanes[0], n);
      __builtin_memcpy(square + layout.at(x0 + x, y), lanes[1], n);
      m.advance();
      s.advance();
    }
  }
}

inline void clear_planes(Scratch<float>& planes, std::size_t floats) {
  planes.reserve(floats);
  __builtin_memset(planes.data(), 0, floats * sizeof(float));
}

inline bool is_weight(float x) { return x > 1e-12f && x < 1e12f; }   // false for NaN too

inline void fill_depth(const PhotoBytes& photo, PhotoPlanes& out) {
  out.depth_count = 0;
  if (!photo.depth) return;
  clear_planes(out.depth, out.layout.size);
  clear_planes(out.depth_weight, out.layout.size);
  for (int y = 0; y < photo.height; ++y)
    for (int x = 0; x < photo.width; ++x) {
      const std::size_t i = static_cast<std::size_t>(y) * photo.width + x, at = out.layout.at(x, y);
      const float weight = photo.confidence ? photo.confidence[i] : 1.f;
      if (!is_weight(photo.depth[i]) || !is_weight(weight) || (photo.mask && !photo.mask[i])) continue;
      out.depth[at] = photo.depth[i];
      out.depth_weight[at] = weight;
      ++out.depth_count;
    }
}

inline void fill_empty(const PhotoBytes& photo, PhotoPlanes& out) {
  out.empty_count = 0;
  if (!photo.empty) return;
  clear_planes(out.empty, out.layout.size);
  for (int y = 0; y < photo.height; ++y)
    for (int x = 0; x < photo.width; ++x) {
      if (!photo.empty[static_cast<std::size_t>(y) * photo.width + x]) continue;
      out.empty[out.layout.at(x, y)] = 1.f;
      ++out.empty_count;
    }
}

// Weights of rows, and their sum over the kept pixels.
inline void weigh_rows(const PhotoBytes& photo, PhotoPlanes& out) {
  out.weighted = photo.row_weights != nullptr;
  out.row_weights.reserve(photo.height);
  out.kept_weight = 0;
  for (int y = 0; y < photo.height; ++y) {
    const std::uint8_t* mask = photo.mask ? photo.mask + static_cast<std::size_t>(y) * photo.width : nullptr;
    int kept = photo.width;
    for (int x = 0; mask && x < photo.width; ++x) kept -= mask[x] == 0;
    const float weight = photo.row_weights ? photo.row_weights[y] : 1.f;
    out.row_weights[y] = weight;
    out.kept_weight += static_cast<double>(weight) * kept;
  }
}

void prepare_photo(const PhotoBytes& photo, PhotoPlanes& out, Pool& pool) {
  out.layout = PlaneLayout::of(photo.width, photo.height);
  const std::size_t size = out.layout.size;
  clear_planes(out.values, 3 * size);
  clear_planes(out.mean, 3 * size);
  clear_planes(out.square, 3 * size);
  out.masked = photo.mask != nullptr;
  if (photo.mask) clear_planes(out.kept, size);
  weigh_rows(photo, out);
  fill_depth(photo, out);
  fill_empty(photo, out);
  constexpr int kChunk = 16;
  const int strips = (photo.height + kChunk - 1) / kChunk;
  pool.run(strips, [&](int strip, int) {
    for (int y = strip * kChunk; y < least(photo.height, (strip + 1) * kChunk); ++y) fill_values(photo, out, y);
  });
  pool.run(strips * 3, [&](int task, int) {
    const int c = task % 3, strip = task / 3;
    for (int y = strip * kChunk; y < least(photo.height, (strip + 1) * kChunk); ++y)
      blur_row(out.layout, out.values.data() + c * size, y, out.mean.data() + c * size, out.square.data() + c * size);
  });
}

}  // namespace diorama::DIORAMA_LEVEL
