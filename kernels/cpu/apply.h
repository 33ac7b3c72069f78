// Adam from gradients that were added up over several views; update.h does both at once for a single one.
#pragma once
#include "pool.h"
#include "update.h"

namespace diorama::DIORAMA_LEVEL {

struct ApplyContext {
  const Splats& splats;
  const GradientSink& sink;
  AdamConstants adam;
  int used;
  float each;   // one over the number of views
};

inline void apply_group(const ApplyContext& a, std::size_t offset, int first) {
  const std::uint32_t real = real_lanes(first, a.splats.count);
  const AdamOptions& o = a.sink.adam;
  const std::uint32_t moving = real & (o.dense ? ~0u : read_lanes(a.sink.seen + first));
  __builtin_memset(a.sink.seen + first, 0, kWidth);
  if (!moving) return;
  const Parameters p{a.splats.blocks + offset, nullptr};
  float *gradients = a.sink.gradients + offset;
  float *m = a.sink.first_moments + offset, *v = a.sink.second_moments + offset;
  Floats out[kParameters];
  for (int k = 0; k < a.used; ++k) {
    out[k] = a.each * load(gradients + k * kLanes);
    store(gradients + k * kLanes, zeros());
  }
  const Mask moving_mask = mask_from_bits(moving);
  add_regularizers(o, p, a.splats.count, moving_mask, out);
  const bool all_move = moving == (1u << kWidth) - 1;
  for (int k = 0; k < a.used; ++k)
    adam_step(a.adam, a.adam.rate(k), out[k], moving_mask, all_move, p.first + k * kLanes, m + k * kLanes,
              v + k * kLanes);
}

// Moves the splats by sink.gradients / views and leaves gradients and flags at zero for the next sum.
void apply(Pool& pool, const Splats& splats, const GradientSink& sink, int views) {
  constexpr int kChunk = 16;
  const int blocks = splats.block_count();
  const ApplyContext a{splats, sink, AdamConstants(sink.adam), kHarmonics + 3 * coefficient_count(splats.degree),
                       1.f / static_cast<float>(views)};
  pool.run((blocks + kChunk - 1) / kChunk, [&](int task, int) {
    for (int b = task * kChunk, end = least(blocks, b + kChunk); b < end; ++b)
      for (int group = 0; group < kGroups; ++group)
        apply_group(a, static_cast<std::size_t>(b) * kBlockFloats + group * kWidth, b * kLanes + group * kWidth);
  });
}

}  // namespace diorama::DIORAMA_LEVEL
