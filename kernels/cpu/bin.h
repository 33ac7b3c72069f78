// Which tiles each splat touches, exactly, and from that each tile's splats near to far.
#pragma once
#include "level.h"
#include "pool.h"
#include "workspace.h"
#include "rays.h"

namespace diorama::DIORAMA_LEVEL {

constexpr std::size_t kMaxPairs = std::size_t{1} << 31;

// Pixel columns that count.
struct Limits {
  float first, last;
};

// Ellipses as searched by columns; one per lane, or the same one in all.
struct Ellipses {
  Floats mean_x, mean_y, extent_x, extent_y, slope_x, half_x, slope_y;
  Ellipses() = default;
  explicit Ellipses(const Record& r)
      : mean_x(all(r.mean_x)), mean_y(all(r.mean_y)), extent_x(all(r.extent_x)), extent_y(all(r.extent_y)),
        slope_x(all(r.slope_x)), half_x(all(r.half_x)), slope_y(all(r.slope_y)) {}
};

// First and last pixel column of ellipses in tile rows, last before first where none.
// Within a strip y0 <= y <= y1 an ellipse is widest at the height of its tip, or at the strip's border next to it.
inline void columns_in_tile_rows(const Ellipses& r, Floats tile_row, Limits limits, bool tight, int* low, int* high) {
  const Floats inv_extent = 1.f / r.extent_y, tip = r.slope_y * r.extent_x;
  Floats y0 = tile_row * static_cast<float>(kTileHeight) + (.5f - r.mean_y);
  const Floats y1 = minimum(y0 + (kTileHeight - 1.f), r.extent_y);
  y0 = maximum(y0, -r.extent_y);
  const Floats at_right = clamp(tip, y0, y1), at_left = clamp(-tip, y0, y1);
  const Floats a = at_right * inv_extent, b = at_left * inv_extent;
  Floats right = r.slope_x * at_right + r.half_x * square_root(maximum(1.f - a * a, zeros()));
  Floats left = r.slope_x * at_left - r.half_x * square_root(maximum(1.f - b * b, zeros()));
  if (!tight) right = r.extent_x, left = -r.extent_x;
  const Floats first = maximum(ceil(left + (r.mean_x - .5f)), all(limits.first));
  const Floats last = minimum(floor(right + (r.mean_x - .5f)), all(limits.last));
  const Mask hit = both(at_least(last, first), at_least(y1, y0));
  store_ints(low, to_ints(choose(hit, first, zeros())));
  store_ints(high, to_ints(choose(hit, last, all(-1e6f))));
}

// Appends a span of tiles, and notes its begin (+1) and end (-1) in `changes`, one row of tiles_x + 1 per tile row.
inline void add_span(const Workspace& ws, std::uint32_t splat, int row, int first, int last, SpanList& out,
                     std::uint32_t* changes) {
  out.spans[out.count++] = {splat, static_cast<std::uint16_t>(row), static_cast<std::uint16_t>(first),
                            static_cast<std::uint16_t>(last)};
  std::uint32_t* row_changes = changes + static_cast<std::size_t>(row) * (ws.tiles_x + 1);
  ++row_changes[first];
  --row_changes[last + 1];
}

// The same for pixel columns low..high of a picture whose borders meet: what lies over one appears at the other.
inline void add_wrapped_span(const Workspace& ws, std::uint32_t splat, int row, int low, int high, SpanList& out,
                             std::uint32_t* changes) {
  const int width = ws.camera.width, last_tile = ws.tiles_x - 1;
  const int turn = high < 0 ? width : low >= width ? -width : 0;
  low += turn;
  high += turn;
  if (low >= 0 && high < width) return add_span(ws, splat, row, low / kTileWidth, high / kTileWidth, out, changes);
  const int from = low < 0 ? low + width : low, to = high >= width ? high - width : high;
  const int first = from / kTileWidth, last = to / kTileWidth;
  const bool all_round = from < 0 || to >= width || high - low + 1 >= width || first <= last;
  if (all_round) return add_span(ws, splat, row, 0, last_tile, out, changes);
  add_span(ws, splat, row, 0, last, out, changes);
  add_span(ws, splat, row, first, last_tile, out, changes);
}

// Appends a splat's spans.
inline void find_spans(const Workspace& ws, std::uint32_t splat, SpanList& out, std::uint32_t* changes) {
  const Record& r = ws.records[splat];
  const float inv_height = 1.f / kTileHeight;
  const int first_row = most(0, static_cast<int>((r.mean_y - r.extent_y) * inv_height) - 1);
  const int last_row = least(ws.tiles_y - 1, static_cast<int>((r.mean_y + r.extent_y) * inv_height));
  out.spans.extend(out.count + static_cast<std::size_t>(ws.tiles_y) + 1, out.count);
  const Limits limits = {0.f, static_cast<float>(ws.camera.width) - 1.f};
  alignas(64) int low[kWidth], high[kWidth];
  for (int base = first_row; base <= last_row; base += kWidth) {
    const Floats rows = lane_numbers() + static_cast<float>(base);
    columns_in_tile_rows(Ellipses(r), rows, limits, ws.tight_tiles, low, high);
    for (int j = 0; j < kWidth && base + j <= last_row; ++j)
      if (high[j] >= low[j]) add_span(ws, splat, base + j, low[j] / kTileWidth, high[j] / kTileWidth, out, changes);
  }
}

// The same for up to kWidth splats of a panorama: the columns and lines that the boxes around their ellipses span.
inline void find_spans_around(const Workspace& ws, const std::uint32_t* ids, int count, SpanList& out,
                              std::uint32_t* changes) {
  Floats fields[16];
  fields_of_lines([&](int l) { return &ws.records[ids[l]].mean_x; }, fields);
  const Camera& c = ws.camera;
  const Box box(fields);
  const float width = static_cast<float>(c.width);
  const Floats turn = choose(box.clear, c.fx * angle_of(box.reach_a, box.least_level) + kLineSlack, all(width));
  const Floats left = fields[kAtMeanX] - .5f - turn, right = fields[kAtMeanX] - .5f + turn;
  const Floats top = c.fy * box.top(-box.reach_b, zeros(), box.reach_a) + (c.cy - .5f - kLineSlack);
  const Floats bottom = c.fy * box.bottom(box.reach_b, zeros(), box.reach_a) + (c.cy - .5f + kLineSlack);
  const Floats none = zeros(), lines = all(static_cast<float>(c.height - 1));
  alignas(64) int low[kWidth], high[kWidth], first[kWidth], last[kWidth];
  store_ints(low, to_ints(ceil(left)));
  store_ints(high, to_ints(floor(right)));
  store_ints(first, to_ints(clamp(ceil(top), none, lines)));
  store_ints(last, to_ints(clamp(floor(bottom), none, lines)));
  for (int l = 0; l < count; ++l) {
    if (high[l] < low[l]) continue;
    const int first_row = first[l] / kTileHeight, last_row = last[l] / kTileHeight;
    out.spans.extend(out.count + 2 * static_cast<std::size_t>(last_row - first_row + 1), out.count);
    for (int row = first_row; row <= last_row; ++row) add_wrapped_span(ws, ids[l], row, low[l], high[l], out, changes);
  }
}

// The same for the splats ids[0 .. count), count up to kWidth, in a picture that does not wrap around: all of them at
// once a tile row at a time, as most reach into one or two. (One splat at a time took three times as long.)
inline void find_spans_of_some(const Workspace& ws, const std::uint32_t* ids, int count, SpanList& out,
                               std::uint32_t* changes) {
  constexpr int kRowsAtOnce = 4;   // splats that reach into more go by themselves
  Floats fields[16];
  fields_of_lines([&](int l) { return &ws.records[ids[l]].mean_x; }, fields);
  Ellipses r;
  r.mean_x = fields[kAtMeanX], r.mean_y = fields[kAtMeanY];
  r.extent_x = fields[kAtExtentX], r.extent_y = fields[kAtExtentY];
  r.slope_x = fields[kAtSlopeX], r.half_x = fields[kAtHalfX];
  r.slope_y = fields[kAtSlopeY];
  constexpr float kInvHeight = 1.f / kTileHeight;
  const Floats first = maximum(floor((r.mean_y - r.extent_y - .5f) * kInvHeight), zeros());
  const Floats last = minimum(floor((r.mean_y + r.extent_y) * kInvHeight), all(static_cast<float>(ws.tiles_y - 1)));
  const Limits limits = {0.f, static_cast<float>(ws.camera.width) - 1.f};
  alignas(64) int low[kRowsAtOnce][kWidth], high[kRowsAtOnce][kWidth], first_row[kWidth], last_row[kWidth];
  store_ints(first_row, to_ints(first));
  store_ints(last_row, to_ints(last));
  for (int k = 0; k < kRowsAtOnce && any(at_least(last, first + static_cast<float>(k))); ++k)
    columns_in_tile_rows(r, first + static_cast<float>(k), limits, ws.tight_tiles, low[k], high[k]);
  out.spans.extend(out.count + kRowsAtOnce * kWidth, out.count);
  for (int l = 0; l < count; ++l) {
    if (last_row[l] - first_row[l] >= kRowsAtOnce) {
      find_spans(ws, ids[l], out, changes);
      out.spans.extend(out.count + kRowsAtOnce * kWidth, out.count);
      continue;
    }
    for (int row = first_row[l]; row <= last_row[l]; ++row) {
      const int from = low[row - first_row[l]][l], to = high[row - first_row[l]][l];
      if (to >= from) add_span(ws, ids[l], row, from / kTileWidth, to / kTileWidth, out, changes);
    }
  }
}

// Turns begin and end marks into where each part writes its first entry of each tile, and sets the tiles' offsets.
inline void place_parts(Workspace& ws, int parts) {
  const std::size_t marks = static_cast<std::size_t>(ws.tiles_y) * (ws.tiles_x + 1);
  std::size_t next = 0;
  std::uint32_t tile = 0;
  std::uint32_t open[Workspace::kMaxSlots];
  for (int ty = 0; ty < ws.tiles_y; ++ty) {
    for (int part = 0; part < parts; ++part) open[part] = 0;
    for (int tx = 0; tx < ws.tiles_x; ++tx) {
      ws.offsets[tile++] = static_cast<std::uint32_t>(next);
      for (int part = 0; part < parts; ++part) {
        std::uint32_t& mark = ws.counts[part * marks + static_cast<std::size_t>(ty) * (ws.tiles_x + 1) + tx];
        open[part] += mark;
        mark = static_cast<std::uint32_t>(next);
        next += open[part];
      }
      if (next > kMaxPairs) throw_too_many_pairs();
    }
  }
  ws.offsets[tile] = static_cast<std::uint32_t>(next);
  ws.pairs = next;
}

// Fills ws.list and ws.offsets. Each part of the depth order is scattered by one task in order, and the parts' places
// follow each other, so every tile's list stays sorted.
void bin(Workspace& ws, Pool& pool) {
  const int n = ws.visible_count, parts = pool.threads(), per_part = (n + parts - 1) / parts;
  const int tiles = ws.tiles_x * ws.tiles_y;
  const std::size_t marks = static_cast<std::size_t>(ws.tiles_y) * (ws.tiles_x + 1);
  ws.counts.reserve(marks * parts);
  ws.offsets.reserve(tiles + 1);
  ws.ends.reserve(tiles);
  __builtin_memset(ws.counts.data(), 0, marks * parts * sizeof(std::uint32_t));
  pool.run(parts, [&](int part, int) {
    SpanList& spans = ws.spans[part];
    spans.count = 0;
    const int end = least(n, (part + 1) * per_part);
    std::uint32_t* changes = &ws.counts[part * marks];
    const auto find = is_around(ws) ? find_spans_around : find_spans_of_some;
    for (int i = part * per_part; i < end; i += kWidth) {
      const int count = least(kWidth, end - i);
      for (int l = 0; l < kWidth; ++l) prefetch(&ws.records[ws.ids[i + kWidth + l]]);
      find(ws, &ws.ids[i], count, spans, changes);
    }
  });
  place_parts(ws, parts);
  ws.list.reserve(ws.pairs + 64);   // the forward pass reads and prefetches beyond a tile's end
  ws.row_masks.reserve(ws.pairs + 64);
  __builtin_memset(ws.list.data() + ws.pairs, 0, 64 * sizeof(std::uint32_t));
  pool.run(parts, [&](int part, int) {
    std::uint32_t* places = &ws.counts[part * marks];
    const SpanList& spans = ws.spans[part];
    for (std::size_t i = 0; i < spans.count; ++i) {
      const Span span = spans.spans[i];
      std::uint32_t* row = places + static_cast<std::size_t>(span.row) * (ws.tiles_x + 1);
      for (unsigned tx = span.first; tx <= span.last; ++tx) ws.list[row[tx]++] = span.splat;
    }
  });
}

}  // namespace diorama::DIORAMA_LEVEL
