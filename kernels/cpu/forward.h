// Alpha blending, near to far, a tile at a time.
#pragma once
#include "pool.h"
#include "workspace.h"
#include "rays.h"

namespace diorama::DIORAMA_LEVEL {

constexpr int kTilesPerTask = 4;

// The tile's pixels; `left` is the transmittance, 0 outside of the picture.
template <bool Depth>
struct Canvas {
  static constexpr int kChannels = Depth ? 4 : 3;
  struct Row {
    alignas(64) float left[kWidth], sums[kChannels][kWidth];
  };
  Row rows[kRows];
  std::uint32_t open = 0;   // rows with a pixel that is not full

  explicit Canvas(const Tile& tile) {
    __builtin_memset(rows, 0, sizeof rows);
    for (int row = 0; row < kRows; ++row) {
      const Mask inside = tile.inside(row);
      store(rows[row].left, keep(inside, all(1.f)));
      if (any(inside)) open |= 1u << row;
    }
  }
  void close_full_rows() {
    for (std::uint32_t m = open; m; m &= m - 1) {
      const int row = __builtin_ctz(m);
      if (!any(greater(load(rows[row].left), all(kStop)))) open &= ~(1u << row);
    }
  }
};

// Up to kSplatsAtOnce splats of a tile's list that have rows in it, ready to be walked down.
constexpr int kSplatsAtOnce = 16;
struct Walks {
  int count = 0;
  std::uint32_t at[kSplatsAtOnce], masks[kSplatsAtOnce];   // places in the list, rows
  Start starts[kSplatsAtOnce];

  // Splats without rows are overwritten by the next one.
  void add(std::uint32_t place, std::uint32_t mask) {
    at[count] = place;
    masks[count] = mask;
    count += mask != 0;
  }
  [[gnu::noinline]] void prepare(const Workspace& ws, const Tile& tile) {
    for (int k = 0; k < count; ++k)
      starts[k].set(ws.records[ws.list[at[k]]], tile, __builtin_ctz(masks[k]));
  }
  void prepare(const Workspace&, const AroundTile&) {}   // every pixel takes its exponential
};

// The rows of the tile in which each of kWidth splats has pixels: columns_per_tile_row (bin.h) with x and y exchanged.
inline void rows_of_splats(const Workspace& ws, std::uint32_t place, const Tile& tile, int* low, int* high) {
  Floats fields[16];
  fields_of_lines([&](int l) { return &ws.records[ws.list[place + l]].mean_x; }, fields);
  const Floats mean_x = fields[kAtMeanX];
  const Floats mean_y = fields[kAtMeanY];
  const Floats extent_x = fields[kAtExtentX], extent_y = fields[kAtExtentY];
  const Floats slope_x = fields[kAtSlopeX];
  const Floats slope_y = fields[kAtSlopeY], half_y = fields[kAtHalfY];
  const Floats inv_extent = reciprocal(extent_x), tip = slope_x * extent_y;
  const Floats shift = mean_y - (static_cast<float>(tile.y) + .5f);
  Floats x0 = static_cast<float>(tile.x) + .5f - mean_x, x1 = x0 + (kTileWidth - 1.f);
  const Mask hit = both(at_least(extent_x, x0), at_least(x1, -extent_x));
  x0 = maximum(x0, -extent_x);
  x1 = minimum(x1, extent_x);
  const Floats at_bottom = clamp(tip, x0, x1), at_top = clamp(-tip, x0, x1);
  const Floats a = at_bottom * inv_extent, b = at_top * inv_extent;
  Floats bottom = slope_y * at_bottom + half_y * square_root(maximum(1.f - a * a, zeros()));
  Floats top = slope_y * at_top - half_y * square_root(maximum(1.f - b * b, zeros()));
  if (!ws.tight_tiles) bottom = extent_y, top = -extent_y;
  constexpr float kSlack = 1e-3f;   // for the reciprocal's rounding
  const Floats first = clamp(ceil(top + shift - kSlack), zeros(), all(999.f));
  const Floats last = clamp(floor(bottom + shift + kSlack), all(-1.f), all(static_cast<float>(tile.height) - 1.f));
  store_ints(low, to_ints(first));
  store_ints(high, to_ints(choose(hit, last, all(-1.f))));
}

// Blends one splat into the rows of `mask`; returns the rows where a pixel took of it.
template <bool Depth, class T>
[[gnu::always_inline]] inline std::uint32_t blend(Canvas<Depth>& canvas, const T& tile, const Record& r, float depth,
                                                  const Start& start, std::uint32_t mask) {
  const Floats red = all(r.color[0]), green = all(r.color[1]), blue = all(r.color[2]);
  std::uint32_t touched = 0;
  walk_down(r, tile, start, mask, [&](int row, Floats raw) __attribute__((always_inline)) {
    auto& pixels = canvas.rows[row];
    const Floats before = load(pixels.left);
    const Mask takes = both(at_least(raw, all(kMinAlpha)), greater(before, all(kStop)));
    const Floats weight = keep(takes, minimum(raw, all(kMaxAlpha)) * before);
    store(pixels.left, before - weight);
    float(*sums)[kWidth] = pixels.sums;
    store(sums[0], load(sums[0]) + weight * red);
    store(sums[1], load(sums[1]) + weight * green);
    store(sums[2], load(sums[2]) + weight * blue);
    if constexpr (Depth) store(sums[3], load(sums[3]) + weight * depth);
    touched |= static_cast<std::uint32_t>(any(takes)) << row;
  });
  return touched;
}

// The two pixel lines of a row (one, where registers are that short); null where the picture has none.
template <class T>
struct Lines {
  T *upper, *lower;
  Lines(const Tile& tile, const PlaneLayout& layout, int row, T* plane) {
    const int y = row * kRowHeight;
    T* first = plane + layout.at(tile.x, tile.y + y);
    upper = y < tile.height ? first : nullptr;
    lower = kRowHeight > 1 && y + 1 < tile.height ? first + layout.stride : nullptr;
  }
};
inline void put_row(const Tile& tile, const PlaneLayout& layout, int row, Floats values, float* plane) {
  const Lines<float> lines(tile, layout, row, plane);
  store_lines(lines.upper, lines.lower, values);
}
inline Floats get_row(const Tile& tile, const PlaneLayout& layout, int row, const float* plane) {
  const Lines<const float> lines(tile, layout, row, plane);
  return load_lines(lines.upper, lines.lower);
}

// Adds the background and writes the tile out. `kept` (or null) hides pixels from the loss: they become 0 like the
// photo's.
template <bool Depth>
inline void finish(Workspace& ws, const Tile& tile, const Canvas<Depth>& canvas, const float* background,
                   const float* kept) {
  for (int row = 0; row * kRowHeight < tile.height; ++row) {
    const Floats left = load(canvas.rows[row].left);
    put_row(tile, ws.layout, row, left, ws.left.data());
    for (int c = 0; c < 3; ++c) {
      Floats value = load(canvas.rows[row].sums[c]) + left * background[c];
      if (kept) value = value * get_row(tile, ws.layout, row, kept);
      put_row(tile, ws.layout, row, value, ws.image.data() + c * ws.layout.size);
    }
    if constexpr (Depth) put_row(tile, ws.layout, row, load(canvas.rows[row].sums[3]), ws.depth.data());
  }
}

// A function of its own, so that the loop over rows has all registers to itself: inlined, GCC keeps alpha on the stack.
template <bool Depth, class T>
[[gnu::noinline]] void blend_walks(Workspace& ws, const T& tile, const Walks& walks, Canvas<Depth>& canvas) {
  for (int k = 0; k < walks.count; ++k) {
    const std::uint32_t place = walks.at[k], splat = ws.list[place];
    ws.row_masks[place] = blend<Depth>(canvas, tile, ws.records[splat], Depth ? ws.depths[splat] : 0.f,
                                       walks.starts[k], walks.masks[k]);
  }
}

template <bool Depth, class T>
void draw_tile(Workspace& ws, int number, const float* background, const float* kept) {
  const T tile = tile_of<T>(ws, number);
  Canvas<Depth> canvas(tile);
  std::uint32_t at = ws.offsets[number];
  const std::uint32_t end = ws.offsets[number + 1];
  alignas(64) int low[kSplatsAtOnce], high[kSplatsAtOnce];
  for (; at < end && canvas.open; at += kSplatsAtOnce) {
    const int n = least(kSplatsAtOnce, static_cast<int>(end - at));
    for (int j = 0; j < kSplatsAtOnce; ++j) prefetch(&ws.records[ws.list[at + kSplatsAtOnce + j]]);
    for (int j = 0; j < n; j += kWidth) rows_of_splats(ws, at + j, tile, low + j, high + j);
    Walks walks;
    for (int j = 0; j < n; ++j) {
      walks.add(at + j, row_bits(low[j], high[j]) & canvas.open);
      ws.row_masks[at + j] = 0;
    }
    walks.prepare(ws, tile);
    blend_walks<Depth>(ws, tile, walks, canvas);
    canvas.close_full_rows();   // once per chunk
  }
  ws.ends[number] = at < end ? at : end;
  finish<Depth>(ws, tile, canvas, background, kept);
}

inline void forward(Workspace& ws, Pool& pool, bool with_depth, const float* background, const float* kept) {
  const int tiles = ws.tiles_x * ws.tiles_y;
  const auto draw = is_around(ws) ? (with_depth ? draw_tile<true, AroundTile> : draw_tile<false, AroundTile>)
                                  : (with_depth ? draw_tile<true, Tile> : draw_tile<false, Tile>);
  pool.run((tiles + kTilesPerTask - 1) / kTilesPerTask, [&](int task, int) {
    const int end = least(tiles, (task + 1) * kTilesPerTask);
    for (int t = task * kTilesPerTask; t < end; ++t) draw(ws, t, background, kept);
  });
}

}  // namespace diorama::DIORAMA_LEVEL
