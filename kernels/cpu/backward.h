// The gradient of blending, near to far once more, a tile at a time.
//
// With G = d loss / d rgb, w_i = T_i alpha_i and R_i = sum of w_j (c_j G) over what lies behind splat i, background
// included:  d loss / d log alpha_i = alpha_i (T_i (c_i G) - R_i / (1 - alpha_i))
//                                   = alpha_i (T_i (c_i G) - R_i-1) / (1 - alpha_i),  as R_i-1 = R_i + T_i alpha_i (c_i G).
// R starts as the pixel's colour times G and loses each splat's share on the way, so nothing is stored per splat and
// pixel. Depth is a fourth colour z; alpha is a background of -1, as alpha = 1 - T.
#pragma once
#include "forward.h"

namespace diorama::DIORAMA_LEVEL {

template <bool Depth>
struct GradientCanvas {
  static constexpr int kChannels = Depth ? 4 : 3;
  struct Row {
    alignas(64) float left[kWidth], behind[kWidth], gradient[kChannels][kWidth];   // T, R, G
  };
  Row rows[kRows];

  GradientCanvas(const Workspace& ws, const Tile& tile) {
    const PlaneLayout& layout = ws.layout;
    for (int row = 0; row < kRows; ++row) {
      store(rows[row].left, keep(tile.inside(row), all(1.f)));
      Floats rest = zeros();
      for (int c = 0; c < 3; ++c) {
        const Floats g = get_row(tile, layout, row, ws.d_image.data() + c * layout.size);
        store(rows[row].gradient[c], g);
        rest = rest + g * get_row(tile, layout, row, ws.image.data() + c * layout.size);
      }
      if constexpr (Depth) {
        const Floats g = get_row(tile, layout, row, ws.d_depth.data());
        store(rows[row].gradient[3], g);
        rest = rest + g * get_row(tile, layout, row, ws.depth.data());
        rest = rest + get_row(tile, layout, row, ws.d_left.data()) * get_row(tile, layout, row, ws.left.data());
      }
      store(rows[row].behind, rest);
    }
  }
};

// A splat's sums over the tile, see GradientSum.
// Absolute: also those of AbsGS (Ye et al. 2024, eq. 5): what each pixel pulls at the centre, without its sign.
template <bool Depth, bool Absolute, class T>
[[gnu::always_inline]] inline void gather_gradient(GradientCanvas<Depth>& canvas, const T& tile, const Record& r,
                                                   float depth, const Start& start, std::uint32_t mask, float* totals) {
  const Floats red = all(r.color[0]), green = all(r.color[1]), blue = all(r.color[2]);
  auto moments = moments_of(r, tile);
  Floats d_red = zeros(), d_green = zeros(), d_blue = zeros(), d_depth = zeros(), abs_x = zeros(), abs_y = zeros();
  walk_down(r, tile, start, mask, [&](auto row, Floats raw) __attribute__((always_inline)) {
    auto& pixels = canvas.rows[row];
    const Floats before = load(pixels.left), rest = load(pixels.behind);
    const float(*g)[kWidth] = pixels.gradient;
    const Floats g0 = load(g[0]), g1 = load(g[1]), g2 = load(g[2]);
    Floats value = red * g0 + green * g1 + blue * g2;
    if constexpr (Depth) value = value + depth * load(g[3]);
    const Mask takes = both(at_least(raw, all(kMinAlpha)), greater(before, all(kStop)));
    const Floats alpha = minimum(raw, all(kMaxAlpha));
    const Floats weight = keep(takes, alpha * before);
    store(pixels.left, before - weight);
    store(pixels.behind, rest - weight * value);
    const Mask moves = both(takes, greater(all(kMaxAlpha), raw));   // at kMaxAlpha only the colour does
    const Floats e = keep(moves, alpha * (before * value - rest) * reciprocal(1.f - alpha));
    moments.add(row, e);
    d_red = d_red + weight * g0;
    d_green = d_green + weight * g1;
    d_blue = d_blue + weight * g2;
    if constexpr (Depth) d_depth = d_depth + weight * load(g[3]);
    if constexpr (Absolute) {
      Floats x, y;
      moments.pull(row, &x, &y);
      abs_x = abs_x + absolute(e * x);
      abs_y = abs_y + absolute(e * y);
    }
  });
  Floats eight[8];
  moments.put(mask, eight);
  eight[kRed] = d_red, eight[kGreen] = d_green;
  add_sums_of_eight(eight, totals);
  totals[kBlue] += sum(d_blue);
  if constexpr (Depth) totals[kDepth] += sum(d_depth);
  if constexpr (Absolute) {
    totals[kAbsX] += sum(abs_x);
    totals[kAbsY] += sum(abs_y);
  }
}

template <bool Depth, bool Absolute, class T>
[[gnu::noinline]] void gather_walks(const Workspace& ws, const T& tile, const Walks& walks,   // see blend_walks
                                    GradientCanvas<Depth>& canvas, GradientSlot& slot) {
  for (int k = 0; k < walks.count; ++k) {
    const std::uint32_t splat = ws.list[walks.at[k]];
    slot.touched[splat] = 1;
    gather_gradient<Depth, Absolute>(canvas, tile, ws.records[splat], Depth ? ws.depths[splat] : 0.f,
                                     walks.starts[k], walks.masks[k], &slot.sums[static_cast<std::size_t>(splat) * kGradientSums]);
  }
}

template <bool Depth, bool Absolute, class T>
void unblend_tile(const Workspace& ws, int number, GradientSlot& slot) {
  const T tile = tile_of<T>(ws, number);
  GradientCanvas<Depth> canvas(ws, tile);
  const std::uint32_t end = ws.ends[number];
  for (std::uint32_t at = ws.offsets[number]; at < end;) {
    Walks walks;
    for (; at < end && walks.count < kSplatsAtOnce; ++at) {
      const std::size_t soon = ws.list[at + kPrefetchAhead + kSplatsAtOnce];
      prefetch(&ws.records[soon]);
      prefetch(&slot.sums[soon * kGradientSums]);
      walks.add(at, ws.row_masks[at]);
    }
    walks.prepare(ws, tile);
    gather_walks<Depth, Absolute>(ws, tile, walks, canvas, slot);
  }
}

// The first tile of each of `slots` stretches of tiles with about equally many pairs.
inline void cut_by_pairs(const Workspace& ws, int slots, int* cuts) {
  const int tiles = ws.tiles_x * ws.tiles_y;
  int tile = 0;
  for (int i = 0; i <= slots; ++i) {
    const std::size_t wanted = i == slots ? ws.pairs + 1 : ws.pairs * i / slots;
    while (tile < tiles && ws.offsets[tile] < wanted) ++tile;
    cuts[i] = tile;
  }
  cuts[0] = 0;
}

constexpr int kFixedSlots = 8;   // where sums must not depend on the thread count

inline void fit_slots(Workspace& ws, int slots, int splat_count) {
  ws.slot_count = slots;
  for (int s = 0; s < slots; ++s) {
    ws.slots[s].sums.reserve(static_cast<std::size_t>(splat_count + kLanes) * kGradientSums);
    ws.slots[s].touched.reserve(splat_count + kLanes);
  }
}

// Fills the slots. Each thread adds into a slot of its own; deterministic, the slots belong to stretches of tiles, and
// whoever works on them, the same numbers are added in the same order.
template <class T>
inline void backward_through(Workspace& ws, Pool& pool, int splat_count, bool with_depth, bool absolute, bool deterministic) {
  const int tiles = ws.tiles_x * ws.tiles_y;
  fit_slots(ws, deterministic ? kFixedSlots : pool.threads(), splat_count);
  const auto unblend = with_depth ? (absolute ? unblend_tile<true, true, T> : unblend_tile<true, false, T>)
                                  : (absolute ? unblend_tile<false, true, T> : unblend_tile<false, false, T>);
  const auto work = [&](int from, int to, GradientSlot& slot) {
    for (int t = from; t < to; ++t) unblend(ws, t, slot);
  };
  if (deterministic) {
    int cuts[kFixedSlots + 1];
    cut_by_pairs(ws, kFixedSlots, cuts);
    pool.run(kFixedSlots, [&](int slot, int) { work(cuts[slot], cuts[slot + 1], ws.slots[slot]); });
  } else {
    pool.run((tiles + kTilesPerTask - 1) / kTilesPerTask, [&](int task, int thread) {
      work(task * kTilesPerTask, least(tiles, (task + 1) * kTilesPerTask), ws.slots[thread]);
    });
  }
}

inline void backward(Workspace& ws, Pool& pool, int splat_count, bool with_depth, bool absolute, bool deterministic) {
  const auto go = is_around(ws) ? backward_through<AroundTile> : backward_through<Tile>;
  go(ws, pool, splat_count, with_depth, absolute, deterministic);
}

}  // namespace diorama::DIORAMA_LEVEL
