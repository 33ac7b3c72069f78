// What is known of a photo besides its colours: how far away things are, and where there is nothing.
//
// Where a depth z is known and alpha is at least kKnownAlpha, with the picture's depth plane D (sum of weight times z):
// |log(D / alpha) - log(z)|, weighted and averaged over the known pixels. It has no unit, takes twice too far and half
// as far for the same, and to first order is the relative error. Where nothing is to be seen: alpha, averaged likewise.
#pragma once
#include "pool.h"
#include "workspace.h"
#include "simd.h"

namespace diorama::DIORAMA_LEVEL {

struct GeometrySlopes {
  float depth, empty;   // gradient per unit of either term and pixel
};

// Sums of one row's two terms; its gradients by depth and by `left` = 1 - alpha.
inline void lose_row(Workspace& ws, const PhotoPlanes& photo, const GeometrySlopes& slopes, int y, double* sums) {
  constexpr float kLog2 = 0.693147181f;
  Floats depth_sum = zeros(), empty_sum = zeros();
  for (int x = 0; x < ws.layout.width; x += kWidth) {   // the planes' borders are unknown pixels
    const std::size_t at = ws.layout.at(x, y);
    const Floats alpha = 1.f - load(ws.left.data() + at), depth = load(ws.depth.data() + at);
    Floats d_left = zeros();
    if (slopes.depth != 0) {
      const Floats known = load(photo.depth.data() + at), weight = load(photo.depth_weight.data() + at);
      const Mask counts = both(greater(weight, zeros()), both(at_least(alpha, all(kKnownAlpha)), greater(depth, zeros())));
      const Floats ratio = choose(counts, depth / (alpha * known), all(1.f));
      depth_sum = depth_sum + weight * absolute(log2_approx(ratio)) * kLog2;
      const Floats slope = slopes.depth * weight;
      const Floats gradient = keep(greater(ratio, all(1.f)), slope) - keep(greater(all(1.f), ratio), slope);
      store(ws.d_depth.data() + at, keep(counts, gradient / depth));
      d_left = keep(counts, gradient / alpha);
    }
    if (slopes.empty != 0) {
      const Floats empty = load(photo.empty.data() + at);
      empty_sum = empty_sum + empty * alpha;
      d_left = d_left - slopes.empty * empty;
    }
    store(ws.d_left.data() + at, d_left);
  }
  sums[0] += sum(depth_sum);
  sums[1] += sum(empty_sum);
}

// Fills ws.d_depth and ws.d_left, both zero before, from ws.depth and ws.left.
void geometry_loss(Workspace& ws, Pool& pool, const PhotoPlanes& photo, float depth_weight, float empty_weight,
                   Loss& loss) {
  constexpr int kChunk = 16;
  const float depths = static_cast<float>(photo.depth_count), empties = static_cast<float>(photo.empty_count);
  const GeometrySlopes slopes{photo.depth_count ? depth_weight / depths : 0.f,
                              photo.empty_count ? empty_weight / empties : 0.f};
  const int strips = (ws.layout.height + kChunk - 1) / kChunk;
  ws.partial_sums.reserve(static_cast<std::size_t>(strips) * 2);
  pool.run(strips, [&](int strip, int) {
    double sums[2] = {};
    for (int y = strip * kChunk; y < least(ws.layout.height, (strip + 1) * kChunk); ++y)
      lose_row(ws, photo, slopes, y, sums);
    ws.partial_sums[static_cast<std::size_t>(strip) * 2] = sums[0];
    ws.partial_sums[static_cast<std::size_t>(strip) * 2 + 1] = sums[1];
  });
  for (int strip = 0; strip < strips; ++strip) {
    loss.depth += ws.partial_sums[static_cast<std::size_t>(strip) * 2];
    loss.empty += ws.partial_sums[static_cast<std::size_t>(strip) * 2 + 1];
  }
  if (photo.depth_count) loss.depth /= static_cast<double>(photo.depth_count);
  if (photo.empty_count) loss.empty /= static_cast<double>(photo.empty_count);
}

}  // namespace diorama::DIORAMA_LEVEL
