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

// Row numbers times the row height: a table costs less than converting the number in every row.
struct RowOffsets {
  float y[kRows] = {};
  constexpr RowOffsets() {
    for (int row = 0; row < kRows; ++row) y[row] = static_cast<float>(row * kRowHeight);
  }
};
constexpr RowOffsets kRowOffsets;

struct Column {
  Floats dx, dy0;        // from the splat's mean to the lanes of row 0
  Floats at_zero, tilt;  // log2 alpha = at_zero + dy (tilt + yy dy)
  Floats yy;
  float bend;

  Column(const Record& r, const Tile& tile)
      : dx(lane_x() + (static_cast<float>(tile.x) + .5f - r.mean_x)),
        dy0(lane_y() + (static_cast<float>(tile.y) + .5f - r.mean_y)),
        at_zero(r.xx * dx * dx + r.log2_opacity),
        tilt(r.xy * dx),
        yy(all(r.yy)),
        bend(r.bend) {}

  Floats dy(int row) const { return dy0 + kRowOffsets.y[row]; }
  Floats log2_alpha(Floats dy) const { return at_zero + dy * (tilt + yy * dy); }
};

// Alpha of every row of `mask` by its own exponential.
struct ByExponential {
  const Column& column;
  explicit ByExponential(const Column& c) : column(c) {}
  Floats next(int row) { return exp2_approx<4>(column.log2_alpha(column.dy(row))); }
};

// Alpha of consecutive rows from `first` on.
struct ByRecurrence {
  Floats alpha, ratio, bend;
  ByRecurrence(const Column& c, Floats dy, Floats log2_alpha) : bend(all(c.bend)) {
    constexpr float h = static_cast<float>(kRowHeight);
    alpha = exp2_approx<5>(log2_alpha);
    ratio = exp2_approx<5>(h * c.tilt + h * (2.f * dy + h) * c.yy);
  }
  Floats next(int) {
    const Floats now = alpha;
    alpha = alpha * ratio;
    ratio = ratio * bend;
    return now;
  }
};

// Calls visit(row, alpha) for the rows of `mask`, and, where the recurrence is used, for those between them.
template <class Visit>
[[gnu::always_inline]] inline void walk_down(const Column& column, std::uint32_t mask, Visit&& visit) {
  const int first = __builtin_ctz(mask);
  const Floats dy = column.dy(first), start = column.log2_alpha(dy);
  if (!any(greater(all(kRecurrenceFloor), start))) {
    ByRecurrence alpha(column, dy, start);
    const int last = 31 - __builtin_clz(mask);
    for (int row = first; row <= last; ++row) visit(row, alpha.next(row));
  } else {
    ByExponential alpha(column);
    for (; mask; mask &= mask - 1) {
      const int row = __builtin_ctz(mask);
      visit(row, alpha.next(row));
    }
  }
}

}  // namespace diorama::DIORAMA_LEVEL
