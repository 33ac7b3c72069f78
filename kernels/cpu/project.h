// From splats to records: what each visible splat looks like in the picture.
#pragma once
#include "pool.h"
#include "workspace.h"
#include "sphere.h"
#include "unscented.h"
#include "tile.h"

namespace diorama::DIORAMA_LEVEL {

constexpr int kGroups = kLanes / kWidth;   // registers per block

template <Lens L>
struct GeometryOf {
  using Type = LensGeometry<L>;
};
template <>
struct GeometryOf<Lens::kPinhole> {
  using Type = Geometry;
};
template <>
struct GeometryOf<Lens::kEquirectangular> {
  using Type = SphereGeometry;
};

// What a Record says about an ellipse's shape, at the places of its fields.
inline void shape_fields(const Sight& g, const Eye&, Floats reach, Floats* fields) {
  constexpr float kH2 = static_cast<float>(kRowHeight * kRowHeight);
  const Floats rim = wider(reach);
  fields[kAtXx] = (-.5f * kLog2E) * g.conic_xx, fields[kAtXy] = -kLog2E * g.conic_xy, fields[kAtYy] = (-.5f * kLog2E) * g.conic_yy;
  fields[kAtExtentX] = square_root(rim * g.xx), fields[kAtExtentY] = square_root(rim * g.yy);
  fields[kAtSlopeX] = g.xy / g.yy, fields[kAtHalfX] = square_root(rim / g.conic_xx);
  fields[kAtSlopeY] = g.xy / g.xx, fields[kAtHalfY] = square_root(rim / g.conic_yy);
  fields[kAtBend] = exp2_approx<5>((-kLog2E * kH2) * g.conic_yy);
}

// In units of the plane at distance 1, and where the plane is: see Record.
inline void shape_fields(const SphereGeometry& g, const Eye& eye, Floats reach, Floats* fields) {
  const float focal = sphere_focal(eye.fx, eye.fy), scale = -.5f * kLog2E * focal * focal;
  const Floats rim = wider(reach);
  fields[kAtXx] = scale * g.conic_xx, fields[kAtXy] = 2.f * scale * g.conic_xy, fields[kAtYy] = scale * g.conic_yy;
  fields[kAtExtentX] = square_root(rim * g.xx) * (1.f / focal);
  fields[kAtExtentY] = square_root(rim * g.yy) * (1.f / focal);
  fields[kAtSinX] = g.sin_x, fields[kAtCosX] = g.cos_x, fields[kAtSinY] = g.sin_y, fields[kAtCosY] = g.cos_y;
  fields[kAtBend] = zeros();
}

// Writes the records of one register of splats; returns its visible lanes. `factors` of the opacities may be null; they
// need no backward pass, as it goes by the logarithm of alpha.
template <Lens L>
inline unsigned project_group(const Parameters& p, const float* factors, const Eye& eye, int degree, unsigned lanes,
                              Record* records, float* depths, float* order) {
  const auto g = look_at<typename GeometryOf<L>::Type>(p, eye);
  Floats log2_opacity = g.log2_fade - log2_approx(1.f + g.odds);
  Mask taken = mask_from_bits(lanes);
  if (factors) {
    const Floats factor = load(factors);
    taken = both(taken, both(greater(factor, zeros()), is_finite(factor)));
    log2_opacity = log2_opacity + log2_approx(maximum(factor, all(kTiny)));
  }
  const Floats reach = reach_of(log2_opacity);
  const Floats px = g.px, py = g.py;
  const Floats half_width = square_root(maximum(reach * g.xx, zeros()));
  const Floats half_height = square_root(maximum(reach * g.yy, zeros()));
  Mask ok = both(g.sound, greater(reach, zeros()));
  if constexpr (L != Lens::kEquirectangular) {   // which shows everything
    ok = both(ok, both(greater(px + half_width, zeros()), greater(all(eye.width), px - half_width)));
    ok = both(ok, both(greater(py + half_height, zeros()), greater(all(eye.height), py - half_height)));
  }
  ok = both(ok, both(greater(all(kMaxCovariance), g.xx), greater(all(kMaxCovariance), g.yy)));
  ok = both(ok, greater(g.det, zeros()));
  ok = both(ok, taken);
  if (!any(ok)) return 0;

  Floats basis[16], color[3];
  sh_basis(degree, g.direction[0], g.direction[1], g.direction[2], basis);
  raw_color(p, basis, coefficient_count(degree), color);
  for (int c = 0; c < 3; ++c) {
    ok = both(ok, is_finite(color[c]));
    color[c] = maximum(color[c], zeros());
  }

  Floats fields[16];
  fields[kAtMeanX] = px, fields[kAtMeanY] = py, fields[kAtLog2Opacity] = log2_opacity;
  for (int c = 0; c < 3; ++c) fields[kAtLog2Opacity + 1 + c] = color[c];
  shape_fields(g, eye, reach, fields);
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

// Sine and cosine of the angles of a panorama's pixel columns and lines, a tile beyond its borders.
inline void prepare_rays(Workspace& ws) {
  const Camera& c = ws.camera;
  if (ws.rays_width == c.width && ws.rays_height == c.height) return;
  const auto fill = [](Scratch<float>& table, int size, float focal, float middle) {
    table.reserve(2 * static_cast<std::size_t>(size));
    for (int i = 0; i < size; ++i) {
      const double angle = (i + .5 - static_cast<double>(middle)) / static_cast<double>(focal);
      table[2 * i] = static_cast<float>(__builtin_sin(angle));
      table[2 * i + 1] = static_cast<float>(__builtin_cos(angle));
    }
  };
  fill(ws.column_rays, c.width + kTileWidth, c.fx, c.cx);
  fill(ws.line_rays, c.height + kTileHeight, c.fy, c.cy);
  ws.rays_width = c.width, ws.rays_height = c.height;
}

template <Lens L>
void project_through(Workspace& ws, Pool& pool, const Splats& splats) {
  const int blocks = splats.block_count(), chunk = blocks <= 1024 ? 32 : 64;
  const std::size_t padded = static_cast<std::size_t>(blocks) * kLanes;
  ws.records.reserve(padded);
  ws.depths.reserve(padded);
  if (is_all_round(L)) ws.order.reserve(padded);
  ws.visible.reserve(padded);
  if constexpr (L == Lens::kEquirectangular) prepare_rays(ws);
  const Eye eye = make_eye(ws.camera, ws.antialiased, ws.low_pass);
  pool.run((blocks + chunk - 1) / chunk, [&](int task, int) {
    const int end = least(blocks, (task + 1) * chunk);
    for (int b = task * chunk; b < end; ++b) {
      float* block = splats.blocks + static_cast<std::size_t>(b) * kBlockFloats;
      if (b + 1 < blocks) prefetch_block(block + kBlockFloats);
      for (int group = 0; group < kGroups; ++group) {
        const int first = b * kLanes + group * kWidth;
        const unsigned lanes = real_lanes(first, splats.count);
        const unsigned visible = lanes ? project_group<L>(Parameters{block + group * kWidth, ws.smoothing_at(first)},
                                                          ws.factors_at(first), eye, splats.degree, lanes,
                                                          &ws.records[first], &ws.depths[first],
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
