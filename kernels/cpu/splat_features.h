// Any values per splat blended like colours, and the way back, from the lists of a picture that is already drawn.
//
// Channels are taken in groups, each a walk of its own; a picture of C channels is (C planes) of ws.layout.
#pragma once
#include "backward.h"

namespace diorama::DIORAMA_LEVEL {

constexpr int kFeatureGroup = 8;   // channels per walk; where few are left, half of it

// The values of one splat from channel `first` on; 0 beyond the last.
template <int Group>
struct FeatureGroup {
  Floats values[Group];
  FeatureGroup(const Features& f, std::uint32_t splat, int first) {
    const float* row = f.values + static_cast<std::size_t>(splat) * f.channels;
    for (int c = 0; c < Group; ++c) values[c] = all(first + c < f.channels ? row[first + c] : 0.f);
  }
};

// What a splat takes of a row's light, and the row's light behind it.
inline Floats take(float* left, Floats raw) {
  const Floats before = load(left);
  const Mask takes = both(at_least(raw, all(kMinAlpha)), greater(before, all(kStop)));
  const Floats weight = keep(takes, minimum(raw, all(kMaxAlpha)) * before);
  store(left, before - weight);
  return weight;
}

// Calls visit(splat, rows, place in the list) for what the tile shows, near to far.
template <class Visit>
[[gnu::always_inline]] inline void for_each_shown(const Workspace& ws, int tile, Visit&& visit) {
  for (std::uint32_t at = ws.offsets[tile]; at < ws.ends[tile]; ++at) {
    const std::uint32_t mask = ws.row_masks[at];
    if (!mask) continue;
    prefetch(&ws.records[ws.list[at + kPrefetchAhead]]);
    visit(ws.list[at], mask);
  }
}

struct Light {
  alignas(64) float left[kRows][kWidth];   // transmittance, 0 outside of the picture
  explicit Light(const Tile& tile) {
    for (int row = 0; row < kRows; ++row) store(left[row], keep(tile.inside(row), all(1.f)));
  }
};

template <int Group, class T>
void draw_features(const Workspace& ws, int number, const T& tile, const Features& f, int first, float* planes) {
  Light light(tile);
  alignas(64) float sums[kRows][Group][kWidth];
  __builtin_memset(sums, 0, sizeof sums);
  for_each_shown(ws, number, [&](std::uint32_t splat, std::uint32_t mask) {
    const Record& record = ws.records[splat];
    const FeatureGroup<Group> mine(f, splat, first);
    walk_down(record, tile, mask, [&](int row, Floats raw) __attribute__((always_inline)) {
      const Floats weight = take(light.left[row], raw);
      for (int c = 0; c < Group; ++c) store(sums[row][c], load(sums[row][c]) + weight * mine.values[c]);
    });
  });
  for (int row = 0; row * kRowHeight < tile.height; ++row)
    for (int c = 0; c < Group && first + c < f.channels; ++c)
      put_row(tile, ws.layout, row, load(sums[row][c]), planes + (first + c) * ws.layout.size);
}

// The gradient of one group: e as in backward.h with the features for colours, into the slot's first sums; the
// features' own from kRed on. A walk before it finds out what lies behind the first splat.
template <int Group>
struct FeatureGradient {
  alignas(64) float behind[kRows][kWidth];
  alignas(64) float gradient[kRows][Group][kWidth];

  FeatureGradient(const Workspace& ws, const Tile& tile, int channels, int first, const float* d_planes) {
    for (int row = 0; row < kRows; ++row) {
      store(behind[row], zeros());
      for (int c = 0; c < Group; ++c)
        store(gradient[row][c], first + c < channels
                                    ? get_row(tile, ws.layout, row, d_planes + (first + c) * ws.layout.size)
                                    : zeros());
    }
  }
  Floats value(int row, const FeatureGroup<Group>& f) const {
    Floats sum = zeros();
    for (int c = 0; c < Group; ++c) sum = sum + f.values[c] * load(gradient[row][c]);
    return sum;
  }
};

template <int Group, class T>
[[gnu::always_inline]] inline void gather_feature_gradient(FeatureGradient<Group>& d, Light& light, const T& tile,
                                                           const Record& record, const FeatureGroup<Group>& mine,
                                                           std::uint32_t mask, float* totals) {
  auto moments = moments_of(record, tile);
  Floats d_mine[Group];
  for (Floats& sum : d_mine) sum = zeros();
  walk_down(record, tile, mask, [&](auto row, Floats raw) __attribute__((always_inline)) {
    const Floats weight = take(light.left[row], raw), value = d.value(row, mine);
    const Floats alpha = minimum(raw, all(kMaxAlpha));
    const Floats rest = load(d.behind[row]) - weight * value;
    store(d.behind[row], rest);
    const Mask moves = both(greater(weight, zeros()), greater(all(kMaxAlpha), raw));
    const Floats e = keep(moves, weight * value - alpha * rest * reciprocal(1.f - alpha));
    moments.add(row, e);
    for (int c = 0; c < Group; ++c) d_mine[c] = d_mine[c] + weight * load(d.gradient[row][c]);
  });
  Floats eight[8];
  moments.put(mask, eight);
  eight[kRed] = d_mine[0], eight[kGreen] = d_mine[1];
  add_sums_of_eight(eight, totals);
  for (int c = 2; c < Group; ++c) totals[kRed + c] += sum(d_mine[c]);
}

template <int Group, class T>
void undraw_features(const Workspace& ws, int number, const T& tile, const Features& f, int first,
                     const float* d_planes, GradientSlot& slot) {
  static_assert(kRed + Group <= kGradientSums && kEyy + 1 == kRed);
  FeatureGradient<Group> d(ws, tile, f.channels, first, d_planes);
  Light light(tile);
  for_each_shown(ws, number, [&](std::uint32_t splat, std::uint32_t mask) {
    const Record& record = ws.records[splat];
    const FeatureGroup<Group> mine(f, splat, first);
    walk_down(record, tile, mask, [&](int row, Floats raw) __attribute__((always_inline)) {
      const Floats weight = take(light.left[row], raw);
      store(d.behind[row], load(d.behind[row]) + weight * d.value(row, mine));
    });
  });
  light = Light(tile);
  for_each_shown(ws, number, [&](std::uint32_t splat, std::uint32_t mask) {
    slot.touched[splat] = 1;
    const Record& record = ws.records[splat];
    gather_feature_gradient(d, light, tile, record, FeatureGroup<Group>(f, splat, first), mask,
                            &slot.sums[static_cast<std::size_t>(splat) * kGradientSums]);
  });
}

// Moves the features' gradients of one group out of the slots, and leaves zeros behind.
inline void collect_feature_gradients(Workspace& ws, Pool& pool, const Features& f, int first, int group,
                                      int splat_count, float* d_values) {
  constexpr int kSplatsPerTask = 1024;
  pool.run((splat_count + kSplatsPerTask - 1) / kSplatsPerTask, [&](int task, int) {
    const int end = least(splat_count, (task + 1) * kSplatsPerTask);
    for (int i = task * kSplatsPerTask; i < end; ++i)
      for (int s = 0; s < ws.slot_count; ++s) {
        if (!ws.slots[s].touched[i]) continue;
        float* mine = &ws.slots[s].sums[static_cast<std::size_t>(i) * kGradientSums + kRed];
        for (int c = 0; c < group && first + c < f.channels; ++c)
          d_values[static_cast<std::size_t>(i) * f.channels + first + c] += mine[c];
        __builtin_memset(mine, 0, sizeof(float) * group);
      }
  });
}

// Groups of channels: calls work(first channel, whether it is a whole group).
template <class Work>
inline void for_each_group(int channels, Work&& work) {
  int first = 0;
  for (; channels - first > kFeatureGroup / 2; first += kFeatureGroup) work(first, true);
  if (first < channels) work(first, false);
}

void features(Workspace& ws, Pool& pool, const Features& f, float* planes) {
  const int tiles = ws.tiles_x * ws.tiles_y;
  for_each_group(f.channels, [&](int first, bool whole) {
    pool.run(tiles, [&](int t, int) {
      on_tile(ws, t, [&](const auto& tile) {
        whole ? draw_features<kFeatureGroup>(ws, t, tile, f, first, planes)
              : draw_features<kFeatureGroup / 2>(ws, t, tile, f, first, planes);
      });
    });
  });
}

void features_backward(Workspace& ws, Pool& pool, const Features& f, int splat_count, const float* d_planes,
                       float* d_values) {
  fit_slots(ws, kFixedSlots, splat_count);
  int cuts[kFixedSlots + 1];
  cut_by_pairs(ws, kFixedSlots, cuts);
  for_each_group(f.channels, [&](int first, bool whole) {
    pool.run(kFixedSlots, [&](int slot, int) {
      for (int t = cuts[slot]; t < cuts[slot + 1]; ++t)
        on_tile(ws, t, [&](const auto& tile) {
          whole ? undraw_features<kFeatureGroup>(ws, t, tile, f, first, d_planes, ws.slots[slot])
                : undraw_features<kFeatureGroup / 2>(ws, t, tile, f, first, d_planes, ws.slots[slot]);
        });
    });
    collect_feature_gradients(ws, pool, f, first, whole ? kFeatureGroup : kFeatureGroup / 2, splat_count, d_values);
  });
}

}  // namespace diorama::DIORAMA_LEVEL
