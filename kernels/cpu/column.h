// A splat's alpha down one tile.
#pragma once
#include "workspace.h"
#include "tile.h"

namespace diorama::DIORAMA_LEVEL {

// log2 alpha is a parabola in y along a pixel column, so alpha's ratio from one row to the next changes by a constant
// factor: two multiplications per row replace an exponential. `bend` is that factor, 2^(2 yy h^2), h the row height.
// Where the first row's alpha would underflow the ratio could not bring it back, and each row takes its exponential.
constexpr float kRecurrenceFloor = -110.f;   // log2

constexpr int kPrefetchAhead = 6;   // records, by which loops over lists of splats run ahead of themselves

// From a splat's mean to the lanes of row 0 of a tile.
inline Floats column_dx(const Record& r, const Tile& tile) {
  return lane_x() + (static_cast<float>(tile.x) + .5f - r.mean_x);
}
inline Floats column_dy(const Record& r, const Tile& tile) {
  return lane_y() + (static_cast<float>(tile.y) + .5f - r.mean_y);
}

struct Column {
  Floats dy0;
  Floats at_zero, tilt;  // log2 alpha = at_zero + dy (tilt + yy dy)
  Floats yy;

  Column(const Record& r, const Tile& tile) : dy0(column_dy(r, tile)), yy(all(r.yy)) {
    const Floats dx = column_dx(r, tile);
    at_zero = r.xx * dx * dx + r.log2_opacity;
    tilt = r.xy * dx;
  }
  Floats dy(int row) const { return dy0 + static_cast<float>(row * kRowHeight); }
  Floats log2_alpha(Floats dy) const { return at_zero + dy * (tilt + yy * dy); }
};

// Where the recurrence starts: alpha of a splat's first row and its ratio to the second. A tile's starts are made some
// splats at a time before any of them is blended: one after the other, their long chains of instructions would each
// have to be waited for (a fifth of blending and a quarter of its gradient were such waits).
struct Start {
  alignas(64) float alpha[kWidth], ratio[kWidth];
  bool underflows;   // then each row takes its exponential

  void set(const Record& r, const Tile& tile, int first_row) {
    constexpr float h = static_cast<float>(kRowHeight);
    const Column column(r, tile);
    const Floats dy = column.dy(first_row), log2_alpha = column.log2_alpha(dy);
    underflows = any(greater(all(kRecurrenceFloor), log2_alpha));
    store(alpha, exp2_approx<5>(log2_alpha));
    store(ratio, exp2_approx<5>(h * column.tilt + h * (2.f * dy + h) * column.yy));
  }
};

// Calls visit(row, alpha) for all rows from the first to the last of `mask`.
template <class Visit>
[[gnu::always_inline]] inline void walk_down(const Record& r, const Tile& tile, const Start& start, std::uint32_t mask,
                                             Visit&& visit) {
  const int first = __builtin_ctz(mask), last = 31 - __builtin_clz(mask);
  if (!start.underflows) {
    Floats alpha = load(start.alpha), ratio = load(start.ratio);
    const Floats bend = all(r.bend);
    for (int row = first; row <= last; ++row) {
      const Floats now = alpha;
      alpha = alpha * ratio;
      ratio = ratio * bend;
      visit(row, now);
    }
  } else {
    const Column column(r, tile);
    for (int row = first; row <= last; ++row) visit(row, exp2_approx<4>(column.log2_alpha(column.dy(row))));
  }
}

// The same with a start of its own, where speed does not matter that much.
template <class Visit>
[[gnu::always_inline]] inline void walk_down(const Record& r, const Tile& tile, std::uint32_t mask, Visit&& visit) {
  Start start;
  start.set(r, tile, __builtin_ctz(mask));
  walk_down(r, tile, start, mask, visit);
}

// Moments of e = d loss / d log alpha over a splat's pixels in a tile. The x moments need no work per row: x is constant
// down a lane. Nor do the y moments need y: adding up the running sum of e, and that once more, weighs e by the number
// m = 1, 2, ... of rows from it to the last one, and by m (m + 1) / 2; y is linear in m.
class Moments {
 public:
  Moments(const Record& r, const Tile& tile) : r_(r), dx_(column_dx(r, tile)), dy_(column_dy(r, tile)) {}
  // For every row from the first to the last of the mask.
  [[gnu::always_inline]] void add(int, Floats e) {
    e0_ = e0_ + e;
    e1_ = e1_ + e0_;
    e2_ = e2_ + e1_;
  }
  // d log alpha / d centre in pixels.
  [[gnu::always_inline]] void pull(int row, Floats* x, Floats* y) const {
    const Floats dy = dy_ + static_cast<float>(row * kRowHeight);
    *x = (-1.f / kLog2E) * (2.f * r_.xx * dx_ + r_.xy * dy);
    *y = (-1.f / kLog2E) * (r_.xy * dx_ + 2.f * r_.yy * dy);
  }
  // kE to kEyy of GradientSum.
  [[gnu::always_inline]] void put(std::uint32_t mask, Floats* six) const {
    constexpr float h = static_cast<float>(kRowHeight);
    const int after = 32 - __builtin_clz(mask);   // the row after the last: y = its y - h m
    const Floats y = dy_ + static_cast<float>(after * kRowHeight);
    const Floats hm = h * e1_, hm_hm = h * h * (2.f * e2_ - e1_);
    six[kE] = e0_, six[kEx] = e0_ * dx_, six[kEy] = y * e0_ - hm;
    six[kExx] = six[kEx] * dx_, six[kExy] = six[kEy] * dx_, six[kEyy] = y * (six[kEy] - hm) + hm_hm;
  }

 private:
  const Record& r_;
  const Floats dx_, dy_;
  Floats e0_ = zeros(), e1_ = zeros(), e2_ = zeros();
};
inline Moments moments_of(const Record& r, const Tile& tile) { return {r, tile}; }

}  // namespace diorama::DIORAMA_LEVEL
