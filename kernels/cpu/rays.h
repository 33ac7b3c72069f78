// A splat's alpha down one tile of a panorama, along the pixels' rays.
//
// A ray r meets the plane that the splat is drawn on (sphere.h) at a = (r east) / (r out), b = (r south) / (r out); rays
// that point away from it miss it. With D the azimuth from the splat's to the pixel's, l and m their latitudes,
//   r east = cos m sin D,   r south = cos l sin m - sin l cos m cos D,   r out = sin l sin m + cos l cos m cos D.
#pragma once
#include <type_traits>
#include "column.h"
#include "lens.h"
#include "sphere.h"

namespace diorama::DIORAMA_LEVEL {

constexpr float kAhead = 1e-3f;   // r out, from which a ray is followed

// A tile of a panorama: with sine and cosine of the azimuths of the lanes, and of the latitudes of every row's.
struct AroundTile : Tile {
  alignas(64) float sin_x[kWidth], cos_x[kWidth], sin_y[kRows][kWidth], cos_y[kRows][kWidth];
  float focal, fy, cy;

  AroundTile(const Workspace& ws, int number)
      : Tile(number, ws.tiles_x, ws.camera),
        focal(sphere_focal(ws.camera.fx, ws.camera.fy)),
        fy(ws.camera.fy),
        cy(ws.camera.cy) {
    const float *columns = ws.column_rays.data() + 2 * x, *lines = ws.line_rays.data() + 2 * y;
    for (int l = 0; l < kWidth; ++l) {
      sin_x[l] = columns[2 * (l % kTileWidth)];
      cos_x[l] = columns[2 * (l % kTileWidth) + 1];
    }
    for (int row = 0; row < kRows; ++row)
      for (int l = 0; l < kWidth; ++l) {
        const int line = row * kRowHeight + l / kTileWidth;
        sin_y[row][l] = lines[2 * line];
        cos_y[row][l] = lines[2 * line + 1];
      }
  }
};

inline bool is_around(const Workspace& ws) { return ws.camera.lens == Lens::kEquirectangular; }

template <class T>
inline T tile_of(const Workspace& ws, int number) {
  if constexpr (std::is_same_v<T, AroundTile>)
    return AroundTile(ws, number);
  else
    return Tile(number, ws.tiles_x, ws.camera);
}

// Calls work(tile) with the picture's kind of tile.
template <class Work>
inline void on_tile(const Workspace& ws, int number, Work&& work) {
  if (is_around(ws))
    work(tile_of<AroundTile>(ws, number));
  else
    work(tile_of<Tile>(ws, number));
}

// A row of the tile, and where its rays meet the plane.
struct AroundRow {
  int row;
  Floats a, b;
  Mask ahead;
  Floats log2_alpha;   // where ahead
  operator int() const { return row; }
};

struct AroundColumn {
  Floats sin_turn, cos_turn;   // of D
  const Record& r;
  const AroundTile& tile;

  AroundColumn(const Record& record, const AroundTile& of) : r(record), tile(of) {
    const Floats s = load(of.sin_x), c = load(of.cos_x);
    sin_turn = s * r.half_x - c * r.slope_x;
    cos_turn = c * r.half_x + s * r.slope_x;
  }
  [[gnu::always_inline]] AroundRow meet(int row) const {
    const Floats s = load(tile.sin_y[row]), c = load(tile.cos_y[row]), level = c * cos_turn;
    const Floats out = r.slope_y * s + r.half_y * level;
    const Mask ahead = greater(out, all(kAhead));
    const Floats inv_out = reciprocal(maximum(out, all(kAhead)));
    const Floats a = c * sin_turn * inv_out, b = (r.half_y * s - r.slope_y * level) * inv_out;
    return {row, a, b, ahead, r.log2_opacity + a * (r.xx * a + r.xy * b) + r.yy * b * b};
  }
};

template <class Visit>
[[gnu::always_inline]] inline void walk_down(const Record& r, const AroundTile& tile, std::uint32_t mask, Visit&& visit) {
  const AroundColumn column(r, tile);
  const int first = __builtin_ctz(mask), last = 31 - __builtin_clz(mask);
  for (int row = first; row <= last; ++row) {
    const AroundRow at = column.meet(row);
    visit(at, keep(at.ahead, exp2_approx<4>(at.log2_alpha)));
  }
}
template <class Visit>   // no start is needed
[[gnu::always_inline]] inline void walk_down(const Record& r, const AroundTile& tile, const Start&, std::uint32_t mask,
                                             Visit&& visit) {
  walk_down(r, tile, mask, visit);
}

// The plane's moments of e, and the gradient by the splat's centre: as the plane rolls by t towards east, a changes by
// -(1 + a^2) t and b by -a b t, so log2 alpha = log2 opacity + p(a, b) by -(dp/da + 2 a p) t.
class AroundMoments {
 public:
  AroundMoments(const Record& r, const AroundTile& tile) : r_(r), focal_(tile.focal) {}
  [[gnu::always_inline]] void add(const AroundRow& at, Floats e) {
    const Floats e_a = e * at.a, e_b = e * at.b, e_p = e * (at.log2_alpha - r_.log2_opacity);
    e_ = e_ + e;
    a_ = a_ + e_a;
    b_ = b_ + e_b;
    aa_ = aa_ + e_a * at.a;
    ab_ = ab_ + e_a * at.b;
    bb_ = bb_ + e_b * at.b;
    pa_ = pa_ + e_p * at.a;
    pb_ = pb_ + e_p * at.b;
  }
  // d log alpha / d centre in pixels.
  [[gnu::always_inline]] void pull(const AroundRow& at, Floats* x, Floats* y) const {
    const Floats twice = 2.f * (at.log2_alpha - r_.log2_opacity);
    *x = pixels() * (2.f * r_.xx * at.a + r_.xy * at.b + twice * at.a);
    *y = pixels() * (r_.xy * at.a + 2.f * r_.yy * at.b + twice * at.b);
  }
  // kE to kEyy of GradientSum.
  [[gnu::always_inline]] void put(std::uint32_t, Floats* six) const {
    const float area = focal_ * focal_;
    six[kE] = e_;
    six[kEx] = pixels() * (2.f * r_.xx * a_ + r_.xy * b_ + 2.f * pa_);
    six[kEy] = pixels() * (r_.xy * a_ + 2.f * r_.yy * b_ + 2.f * pb_);
    six[kExx] = area * aa_, six[kExy] = area * ab_, six[kEyy] = area * bb_;
  }

 private:
  float pixels() const { return -1.f / (kLog2E * focal_); }
  const Record& r_;
  const float focal_;
  Floats e_ = zeros(), a_ = zeros(), b_ = zeros(), aa_ = zeros(), ab_ = zeros(), bb_ = zeros();
  Floats pa_ = zeros(), pb_ = zeros();
};
inline AroundMoments moments_of(const Record& r, const AroundTile& tile) { return {r, tile}; }

// What boxes |a| <= reach a, b0 <= b <= b1 on splats' planes span. A point lies in the direction out + a east + b south:
// at tan D = a / level, tan latitude = height / hypot(a, level) with height = sin l + b cos l, level = cos l - b sin l.
// Where no b of the box reaches over a pole (level > 0) the latitude grows with b, and |a| draws it to the horizon.
struct Box {
  Floats sin_y, cos_y, reach_a, reach_b;
  Floats least_level, most_level;
  Mask clear;   // of the poles

  explicit Box(const Floats* fields)
      : sin_y(fields[kAtSinY]), cos_y(fields[kAtCosY]), reach_a(fields[kAtExtentX]), reach_b(fields[kAtExtentY]) {
    const Floats one = level(reach_b), other = level(-reach_b);
    least_level = minimum(one, other);
    most_level = maximum(one, other);
    clear = greater(least_level, all(.05f));
  }
  Floats level(Floats b) const { return cos_y - b * sin_y; }
  Floats around() const { return angle_of(square_root(reach_a * reach_a + reach_b * reach_b), all(1.f)); }
  // Radians, down positive; a_near, a_far: least and largest |a|.
  Floats top(Floats b0, Floats a_near, Floats a_far) const {
    const Floats height = sin_y + b0 * cos_y, a = choose(greater(zeros(), height), a_near, a_far), l = level(b0);
    return choose(clear, angle_of(height, square_root(a * a + l * l)), angle_of(sin_y, cos_y) - around());
  }
  Floats bottom(Floats b1, Floats a_near, Floats a_far) const {
    const Floats height = sin_y + b1 * cos_y, a = choose(greater(height, zeros()), a_near, a_far), l = level(b1);
    return choose(clear, angle_of(height, square_root(a * a + l * l)), angle_of(sin_y, cos_y) + around());
  }
};

constexpr float kLineSlack = 5e-3f;   // for the angles' rounding, 4e-7 times 16,000 px

// The rows of the tile in which each of kWidth splats has pixels. The box around an ellipse is taken for it where it, or
// the tile, is too wide for tangents.
inline void rows_of_splats(const Workspace& ws, std::uint32_t place, const AroundTile& tile, int* low, int* high) {
  Floats fields[16];
  fields_of_lines([&](int l) { return &ws.records[ws.list[place + l]].mean_x; }, fields);
  const Box box(fields);
  const Floats sin_at = fields[kAtSinX], cos_at = fields[kAtCosX], reach_a = box.reach_a, reach_b = box.reach_b;
  const int end = tile.width - 1;
  const Floats cos0 = tile.cos_x[0] * cos_at + tile.sin_x[0] * sin_at;
  const Floats cos1 = tile.cos_x[end] * cos_at + tile.sin_x[end] * sin_at;
  Mask tight = both(box.clear, both(greater(cos0, all(.05f)), greater(cos1, all(.05f))));
  const Floats tan0 = (tile.sin_x[0] * cos_at - tile.cos_x[0] * sin_at) / choose(tight, cos0, all(1.f));
  const Floats tan1 = (tile.sin_x[end] * cos_at - tile.cos_x[end] * sin_at) / choose(tight, cos1, all(1.f));
  tight = both(tight, at_least(tan1, tan0));
  if (!ws.tight_tiles) tight = greater(zeros(), zeros());
  constexpr float kSlack = 1e-5f;
  const Floats from = tan0 * choose(greater(zeros(), tan0), box.most_level, box.least_level) - kSlack;
  const Floats to = tan1 * choose(greater(tan1, zeros()), box.most_level, box.least_level) + kSlack;
  const Mask hit = both(at_least(reach_a, from), at_least(to, -reach_a));
  const Floats a0 = choose(tight, clamp(from, -reach_a, reach_a), -reach_a);
  const Floats a1 = choose(tight, clamp(to, -reach_a, reach_a), reach_a);
  // The ellipse between a0 and a1, as columns_in_tile_rows in bin.h.
  const Floats xx = fields[kAtXx], xy = fields[kAtXy], yy = fields[kAtYy];
  const Floats slope_b = -.5f * xy / yy, tip = -.5f * xy / xx * reach_b;
  const Floats half_b = square_root((-.5f * kLog2E) * wider(reach_of(fields[kAtLog2Opacity])) / yy);
  const Floats at_bottom = clamp(tip, a0, a1), at_top = clamp(-tip, a0, a1), inv_reach = reciprocal(reach_a);
  const Floats s = at_bottom * inv_reach, t = at_top * inv_reach, slack = 1e-3f * reach_b;
  const Floats lowest = slope_b * at_bottom + half_b * square_root(maximum(1.f - s * s, zeros())) + slack;
  const Floats highest = slope_b * at_top - half_b * square_root(maximum(1.f - t * t, zeros())) - slack;
  const Floats b1 = choose(tight, minimum(lowest, reach_b), reach_b);
  const Floats b0 = choose(tight, maximum(highest, -reach_b), -reach_b);
  const Floats a_far = maximum(-a0, a1), a_near = maximum(maximum(a0, -a1), zeros());
  const Floats shift = all(tile.cy - .5f - static_cast<float>(tile.y));
  const Floats first = tile.fy * box.top(b0, a_near, a_far) + shift - kLineSlack;
  const Floats last = minimum(floor(tile.fy * box.bottom(b1, a_near, a_far) + shift + kLineSlack),
                              all(static_cast<float>(tile.height) - 1.f));
  store_ints(low, to_ints(clamp(ceil(first), zeros(), all(999.f))));
  store_ints(high, to_ints(maximum(choose(tight, choose(hit, last, all(-1.f)), last), all(-1.f))));
}

}  // namespace diorama::DIORAMA_LEVEL
