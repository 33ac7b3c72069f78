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
  Floats out[kParameters];
  for (int k = 0; k < a.used; ++k) {
    out[k] = a.each * load(gradients + k * kLanes);
    store(gradients + k * kLanes, zeros());
  }
  add_regularizers(o, p, a.splats.count, mask_from_bits(moving), out);
  const auto go = [&](const auto& moments) {
    adam_group(a.adam, a.used, out, moving, first, p.first, moments.first + offset, moments.second + offset, false);
  };
  a.sink.moments.half.first ? go(a.sink.moments.half) : go(a.sink.moments.full);
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
