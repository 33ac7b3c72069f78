// What each splat of a drawn picture has to say in it, and the depth at which half of the light is taken.
#pragma once
#include "splat_features.h"

namespace diorama::DIORAMA_LEVEL {

// Sums over a splat's pixels, in its line of a gradient slot. The count is an integer in a float's place.
enum ContributionSum { kTotal, kMost, kPixels, kContributionSums };

inline void add_count(float* place, int count) {
  std::uint32_t so_far;
  __builtin_memcpy(&so_far, place, sizeof so_far);
  so_far += static_cast<std::uint32_t>(count);
  __builtin_memcpy(place, &so_far, sizeof so_far);
}

inline float largest_lane(Floats v) {
  alignas(64) float lanes[kWidth];
  store(lanes, v);
  float most = lanes[0];
  for (int l = 1; l < kWidth; ++l) most = lanes[l] > most ? lanes[l] : most;
  return most;
}

// `map`: (a plane) what a pixel counts for, null for 1 each; pixels of 0 are passed over but take their light.
template <class T>
void weigh_tile(const Workspace& ws, int number, const T& tile, const float* map, GradientSlot& slot) {
  Light light(tile);
  alignas(64) float counts_for[kRows][kWidth];
  for (int row = 0; row < kRows; ++row)
    store(counts_for[row], map ? get_row(tile, ws.layout, row, map) : all(1.f));
  for_each_shown(ws, number, [&](std::uint32_t splat, std::uint32_t mask) {
    const Record& record = ws.records[splat];
    Floats total = zeros(), most = zeros();
    int pixels = 0;
    walk_down(record, tile, mask, [&](int row, Floats raw) __attribute__((always_inline)) {
      const Floats weight = take(light.left[row], raw), factor = load(counts_for[row]);
      const Mask counts = both(greater(weight, zeros()), greater(absolute(factor), zeros()));
      total = total + keep(counts, weight * factor);
      most = maximum(most, keep(counts, weight));
      pixels += __builtin_popcount(bits(counts));
    });
    if (!pixels) return;
    float* mine = &slot.sums[static_cast<std::size_t>(splat) * kGradientSums];
    slot.touched[splat] = 1;
    mine[kTotal] += sum(total);
    const float largest = largest_lane(most);
    if (largest > mine[kMost]) mine[kMost] = largest;
    add_count(mine + kPixels, pixels);
  });
}

inline void collect_contribution(Workspace& ws, int i, const ContributionSink& out) {
  for (int s = 0; s < ws.slot_count; ++s) {
    if (!ws.slots[s].touched[i]) continue;
    float* mine = &ws.slots[s].sums[static_cast<std::size_t>(i) * kGradientSums];
    std::int32_t pixels;
    __builtin_memcpy(&pixels, mine + kPixels, sizeof pixels);
    out.total[i] += mine[kTotal];
    if (mine[kMost] > out.most[i]) out.most[i] = mine[kMost];
    out.pixels[i] += pixels;
    __builtin_memset(mine, 0, sizeof(float) * kContributionSums);
    ws.slots[s].touched[i] = 0;
  }
}

// Fixed stretches of tiles: the same bytes whatever the thread count.
void contribution(Workspace& ws, Pool& pool, int splat_count, const float* map, const ContributionSink& out) {
  constexpr int kSplatsPerTask = 1024;
  fit_slots(ws, kFixedSlots, splat_count);
  int cuts[kFixedSlots + 1];
  cut_by_pairs(ws, kFixedSlots, cuts);
  pool.run(kFixedSlots, [&](int slot, int) {
    for (int t = cuts[slot]; t < cuts[slot + 1]; ++t)
      on_tile(ws, t, [&](const auto& tile) { weigh_tile(ws, t, tile, map, ws.slots[slot]); });
  });
  pool.run((splat_count + kSplatsPerTask - 1) / kSplatsPerTask, [&](int task, int) {
    const int end = least(splat_count, (task + 1) * kSplatsPerTask);
    for (int i = task * kSplatsPerTask; i < end; ++i) collect_contribution(ws, i, out);
  });
}

// The depth of the splat behind which half of a pixel's light or less is left, 0 where none is.
template <class T>
void find_median(Workspace& ws, int number, const T& tile, float* plane) {
  Light light(tile);
  alignas(64) float median[kRows][kWidth];
  __builtin_memset(median, 0, sizeof median);
  for_each_shown(ws, number, [&](std::uint32_t splat, std::uint32_t mask) {
    const Floats depth = all(ws.depths[splat]);
    walk_down(ws.records[splat], tile, mask, [&](int row, Floats raw) __attribute__((always_inline)) {
      const Mask open = greater(load(light.left[row]), all(.5f));
      take(light.left[row], raw);
      const Mask crosses = both(open, at_least(all(.5f), load(light.left[row])));
      store(median[row], choose(crosses, depth, load(median[row])));
    });
  });
  for (int row = 0; row * kRowHeight < tile.height; ++row) put_row(tile, ws.layout, row, load(median[row]), plane);
}

void median_depth(Workspace& ws, Pool& pool, float* plane) {
  pool.run(ws.tiles_x * ws.tiles_y, [&](int number, int) {
    on_tile(ws, number, [&](const auto& tile) { find_median(ws, number, tile, plane); });
  });
}

}  // namespace diorama::DIORAMA_LEVEL
