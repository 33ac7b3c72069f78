// From splats to records: what each visible splat looks like in the picture.
#pragma once
#include "pool.h"
#include "workspace.h"
#include "unscented.h"
#include "tile.h"

namespace diorama::DIORAMA_LEVEL {

constexpr int kGroups = kLanes / kWidth;   // registers per block

// d^T conic d at which alpha is kMinAlpha; at most 0 where it never is.
inline Floats reach_of(Floats log2_opacity) {
  constexpr float kLog2MinAlpha = -7.99435344f;
  return (2.f / kLog2E) * (log2_opacity - kLog2MinAlpha);
}

template <Lens L>
struct GeometryOf {
  using Type = LensGeometry<L>;
};
template <>
struct GeometryOf<Lens::kPinhole> {
  using Type = Geometry;
};

// Writes the records of one register of splats; returns its visible lanes.
template <Lens L>
inline unsigned project_group(const Parameters& p, const Eye& eye, int degree, unsigned lanes, Record* records,
                              float* depths, float* order) {
  const auto g = look_at<typename GeometryOf<L>::Type>(p, eye);
  const Floats log2_opacity = g.log2_fade - log2_approx(1.f + g.odds), reach = reach_of(log2_opacity);
  const Floats px = g.px, py = g.py;
  const Floats half_width = square_root(maximum(reach * g.xx, zeros()));
  const Floats half_height = square_root(maximum(reach * g.yy, zeros()));
  Mask ok = both(g.sound, greater(reach, zeros()));
  if constexpr (L != Lens::kEquirectangular)   // which is seen whatever the azimuth
    ok = both(ok, both(greater(px + half_width, zeros()), greater(all(eye.width), px - half_width)));
  ok = both(ok, both(greater(py + half_height, zeros()), greater(all(eye.height), py - half_height)));
  ok = both(ok, both(greater(all(kMaxCovariance), g.xx), greater(all(kMaxCovariance), g.yy)));
  ok = both(ok, greater(g.det, zeros()));
  ok = both(ok, mask_from_bits(lanes));
  if (!any(ok)) return 0;

  Floats basis[16], color[3];
  sh_basis(degree, g.direction[0], g.direction[1], g.direction[2], basis);
  raw_color(p, basis, coefficient_count(degree), color);
  for (int c = 0; c < 3; ++c) {
    ok = both(ok, is_finite(color[c]));
    color[c] = maximum(color[c], zeros());
  }

  const Floats wider = reach * 1.0002f + 1e-4f;   // the ellipse is searched a little beyond its rim
  constexpr float kH2 = static_cast<float>(kRowHeight * kRowHeight);
  Floats fields[16] = {px, py,
                       (-.5f * kLog2E) * g.conic_xx, -kLog2E * g.conic_xy, (-.5f * kLog2E) * g.conic_yy,
                       log2_opacity, color[0], color[1], color[2],
                       square_root(wider * g.xx), square_root(wider * g.yy),
                       g.xy / g.yy, square_root(wider / g.conic_xx),
                       g.xy / g.xx, square_root(wider / g.conic_yy),
                       exp2_approx<5>((-kLog2E * kH2) * g.conic_yy)};
  lines_of_fields(fields, [&](int lane) { return &records[lane].mean_x; });
  store(depths, g.depth);
  if constexpr (is_all_round(L)) store(order, maximum(maximum(absolute(g.x), absolute(g.y)), absolute(g.z)));
  return bits(ok);
}

// Lanes of the register that starts at splat `first` and are splats, not padding.
inline unsigned real_lanes(int first, int count) {
  const int n = count - first;
  return n >= kWidth ? (1u << kWidth) - 1 : n <= 0 ? 0u : (1u << n) - 1;
}

template <class T>
inline void prefetch_block(const T* block) {
  for (int k = 0; k < kBlockFloats; k += 64 / static_cast<int>(sizeof(T))) prefetch(block + k);
}

template <Lens L>
void project_through(Workspace& ws, Pool& pool, const Splats& splats) {
  const int blocks = splats.block_count(), chunk = blocks <= 1024 ? 32 : 64;
  const std::size_t padded = static_cast<std::size_t>(blocks) * kLanes;
  ws.records.reserve(padded);
  ws.depths.reserve(padded);
  if (is_all_round(L)) ws.order.reserve(padded);
  ws.visible.reserve(padded);
  const Eye eye = make_eye(ws.camera, ws.antialiased, ws.low_pass);
  pool.run((blocks + chunk - 1) / chunk, [&](int task, int) {
    const int end = least(blocks, (task + 1) * chunk);
    for (int b = task * chunk; b < end; ++b) {
      float* block = splats.blocks + static_cast<std::size_t>(b) * kBlockFloats;
      if (b + 1 < blocks) prefetch_block(block + kBlockFloats);
      for (int group = 0; group < kGroups; ++group) {
        const int first = b * kLanes + group * kWidth;
        const unsigned lanes = real_lanes(first, splats.count);
        const unsigned visible = lanes ? project_group<L>(Parameters{block + group * kWidth, ws.smoothing_at(first)}, eye,
                                                          splats.degree, lanes, &ws.records[first], &ws.depths[first],
                                                          is_all_round(L) ? &ws.order[first] : nullptr)
                                       : 0u;
        for (int l = 0; l < kWidth; ++l) ws.visible[first + l] = visible >> l & 1;
      }
    }
  });
}

void project(Workspace& ws, Pool& pool, const Splats& splats) {
  switch (ws.camera.lens) {
    case Lens::kPinhole: return project_through<Lens::kPinhole>(ws, pool, splats);
    case Lens::kOpenCv: return project_through<Lens::kOpenCv>(ws, pool, splats);
    case Lens::kFisheye: return project_through<Lens::kFisheye>(ws, pool, splats);
    case Lens::kEquirectangular: return project_through<Lens::kEquirectangular>(ws, pool, splats);
  }
}

}  // namespace diorama::DIORAMA_LEVEL
