// The last phase of a step: every splat's gradients are put together and used up on the spot, while its parameters are
// in the cache anyway.
#pragma once
#include "pool.h"
#include "adam.h"
#include "project.h"
#include "project_backward.h"

namespace diorama::DIORAMA_LEVEL {

// Flags are bytes of 0 or 1; the product moves the lowest bit of byte i to bit 56 + i (little-endian).
inline std::uint32_t read_lanes(const std::uint8_t* flags) {
  std::uint32_t lanes = 0;
  for (int l = 0; l < kWidth; l += 8) {
    std::uint64_t eight = 0;
    __builtin_memcpy(&eight, flags + l, kWidth < 8 ? kWidth : 8);
    lanes |= static_cast<std::uint32_t>(eight * 0x0102040810204080u >> 56) << l;
  }
  return lanes;
}

// AbsGS's two sums per splat, out of the slots before `collect_sums` takes the rest. What few steps ask for is kept out
// of line.
[[gnu::noinline]] inline void collect_absolute(Workspace& ws, int first, float* x, float* y) {
  for (int l = 0; l < kWidth; ++l) x[l] = y[l] = 0;
  for (int s = 0; s < ws.slot_count; ++s)
    for (std::uint32_t m = read_lanes(&ws.slots[s].touched[first]); m; m &= m - 1) {
      const int lane = __builtin_ctz(m);
      float* mine = &ws.slots[s].sums[static_cast<std::size_t>(first + lane) * kGradientSums];
      x[lane] += mine[kAbsX];
      y[lane] += mine[kAbsY];
      mine[kAbsX] = mine[kAbsY] = 0;
    }
}

// Adds up the slots' sums of a register of splats, and leaves zeros behind for the next step. sums: kGradientSums.
inline void collect_sums(Workspace& ws, int first, Floats* sums) {
  alignas(64) float lines[kWidth][kGradientSums] = {};
  for (int s = 0; s < ws.slot_count; ++s) {
    std::uint8_t* touched = &ws.slots[s].touched[first];
    for (std::uint32_t m = read_lanes(touched); m; m &= m - 1) {
      const int lane = __builtin_ctz(m);
      float* mine = &ws.slots[s].sums[static_cast<std::size_t>(first + lane) * kGradientSums];
      for (int k = 0; k < kGradientSums; k += kWidth) {
        store(lines[lane] + k, load(lines[lane] + k) + load(mine + k));
        store(mine + k, zeros());
      }
    }
    __builtin_memset(touched, 0, kWidth);
  }
  fields_of_lines([&](int lane) { return lines[lane]; }, sums);
}

// The pull on the centre is counted in half pictures as gsplat does, so that its thresholds carry over.
inline void note_statistics(const GradientSink& sink, const Eye& eye, const Sight& g, const EllipseGradient& e,
                            std::uint32_t visible, int first) {
  const Floats x = e.px * (.5f * eye.width), y = e.py * (.5f * eye.height);
  const Floats half = .5f * (g.xx + g.yy);
  const Floats largest = half + square_root(maximum(half * half - g.det, zeros()));
  alignas(64) float norms[kWidth], radii[kWidth];
  store(norms, square_root(x * x + y * y));
  store(radii, 3.f * square_root(largest));
  for (std::uint32_t m = visible; m; m &= m - 1) {
    const int lane = __builtin_ctz(m), i = first + lane;
    sink.gradient_norms[i] += norms[lane];
    sink.views[i] += 1.f;
    if (radii[lane] > sink.max_radii[i]) sink.max_radii[i] = radii[lane];
  }
}

[[gnu::noinline]] inline void note_absolute(const GradientSink& sink, const Eye& eye, const float* x, const float* y,
                                            std::uint32_t visible, int first) {
  for (std::uint32_t m = visible; m; m &= m - 1) {
    const int lane = __builtin_ctz(m);
    const std::size_t i = static_cast<std::size_t>(first + lane);
    const float across = .5f * eye.width * x[lane], down = .5f * eye.height * y[lane];
    if (sink.abs_gradient_norms) sink.abs_gradient_norms[i] += __builtin_sqrtf(across * across + down * down);
    if (!sink.abs_centres) continue;
    sink.abs_centres[2 * i] = x[lane];
    sink.abs_centres[2 * i + 1] = y[lane];
  }
}

[[gnu::noinline]] inline void note_centres(const GradientSink& sink, const EllipseGradient& e, std::uint32_t visible,
                                           int first) {
  alignas(64) float x[kWidth], y[kWidth];
  store(x, e.px);
  store(y, e.py);
  for (std::uint32_t m = visible; m; m &= m - 1) {
    const int lane = __builtin_ctz(m);
    sink.centres[2 * static_cast<std::size_t>(first + lane)] = x[lane];
    sink.centres[2 * static_cast<std::size_t>(first + lane) + 1] = y[lane];
  }
}

// What longest over second longest axis has beyond the ratio that is free, in logarithms: slopes 1 and -1.
inline void pull_needles(const AdamOptions& o, const Parameters& p, int count, Mask real, Floats* out) {
  const Floats a = p[kLogScale], b = p[kLogScale + 1], c = p[kLogScale + 2];
  const Floats longest = maximum(maximum(a, b), c), second = maximum(minimum(a, b), minimum(maximum(a, b), c));
  const Mask needle = both(real, greater(longest - second, all(o.log_needle)));
  const Floats pull = keep(needle, all(o.needle_reg / static_cast<float>(count)));
  Floats rest = pull;   // of two equal second ones, the first is pulled
  for (int k = 0; k < 3; ++k) {
    const Floats length = p[kLogScale + k];
    const Mask is_second = both(at_least(length, second), greater(longest, length));
    out[kLogScale + k] = out[kLogScale + k] + keep(at_least(length, longest), pull) - keep(is_second, rest);
    rest = choose(is_second, zeros(), rest);
  }
}

// Mean opacity and mean scale are part of the loss for every splat, seen or not.
inline void add_regularizers(const AdamOptions& o, const Parameters& p, int count, Mask real, Floats* out) {
  if (o.opacity_reg != 0) {
    const Floats opacity = 1.f / (1.f + exponential(-p[kLogitOpacity]));
    const float each = o.opacity_reg / static_cast<float>(count);
    out[kLogitOpacity] = out[kLogitOpacity] + keep(real, each * opacity * (1.f - opacity));
  }
  if (o.scale_reg != 0) {
    const float each = o.scale_reg / (3.f * static_cast<float>(count));
    for (int k = 0; k < 3; ++k)
      out[kLogScale + k] = out[kLogScale + k] + keep(real, each * exponential(p[kLogScale + k]));
  }
  if (o.needle_reg != 0) pull_needles(o, p, count, real, out);
}

struct UpdateContext {
  Workspace& ws;
  const Splats& splats;
  const GradientSink& sink;
  Eye eye;
  AdamConstants adam;
  int used;   // parameters up to the last harmonic that is read; those beyond are not touched
};

// d_camera (6) is added to unless null.
template <Lens L>
inline void update_group(const UpdateContext& u, std::size_t offset, int first, Floats* d_camera) {
  const std::uint32_t real = real_lanes(first, u.splats.count);
  if (!real) return;
  const std::uint32_t visible = read_lanes(&u.ws.visible[first]);
  const AdamOptions& o = u.sink.adam;
  const bool moves = u.sink.moments.any() && (visible || o.dense);
  if (!moves && !visible && (!u.sink.gradients || u.sink.seen)) return;
  const Parameters p{u.splats.blocks + offset, u.ws.smoothing_at(first)};
  Floats out[kParameters];
  if (visible) {
    Floats sums[kGradientSums];
    if (u.sink.absolute()) {
      float x[kWidth], y[kWidth];
      collect_absolute(u.ws, first, x, y);
      note_absolute(u.sink, u.eye, x, y, visible, first);
    }
    collect_sums(u.ws, first, sums);
    const auto g = look_at<typename GeometryOf<L>::Type>(p, u.eye);
    EllipseGradient ellipse;
    project_group_backward(p, g, u.eye, u.splats.degree, mask_from_bits(visible), sums, out, &ellipse, d_camera);
    if (u.sink.gradient_norms) note_statistics(u.sink, u.eye, g, ellipse, visible, first);
    if (u.sink.centres) note_centres(u.sink, ellipse, visible, first);
  } else {
    for (int k = 0; k < u.used; ++k) out[k] = zeros();
  }
  if (u.sink.seen) {
    float* gradients = u.sink.gradients + offset;
    for (int k = 0; k < u.used; ++k) store(gradients + k * kLanes, load(gradients + k * kLanes) + out[k]);
    for (std::uint32_t m = visible; m; m &= m - 1) u.sink.seen[first + __builtin_ctz(m)] = 1;
  } else if (u.sink.gradients) {
    float* gradients = u.sink.gradients + offset;
    for (int k = 0; k < u.used; ++k) store(gradients + k * kLanes, out[k]);
    for (int k = u.used; k < kParameters; ++k) store(gradients + k * kLanes, zeros());
  }
  if (!moves) return;
  const std::uint32_t moving = o.dense ? real : visible;
  add_regularizers(o, p, u.splats.count, mask_from_bits(moving), out);
  const auto go = [&](const auto& moments) {
    adam_group(u.adam, u.used, out, moving, first, p.first, moments.first + offset, moments.second + offset, true);
  };
  u.sink.moments.half.first ? go(u.sink.moments.half) : go(u.sink.moments.full);
}

// A block's lines at once, 177 with moments of float32, are more than a processor can ask for: where every block moves,
// its last one asks for them between its own (adam_group).
inline void prefetch_update(const UpdateContext& u, std::size_t offset, int first) {
  const GradientSink& sink = u.sink;
  const bool asked_for = sink.moments.any() && sink.adam.dense;
  const auto ask_for = [&](const auto& moments) {
    prefetch_block(moments.first + offset);
    prefetch_block(moments.second + offset);
  };
  if (!asked_for) prefetch_block(u.splats.blocks + offset);
  if (!asked_for && sink.moments.full.first) ask_for(sink.moments.full);
  if (!asked_for && sink.moments.half.first) ask_for(sink.moments.half);
  for (int s = 0; s < u.ws.slot_count; ++s) {
    if (u.ws.slot_count > 4 && !read_lanes(&u.ws.slots[s].touched[first])) continue;
    for (int l = 0; l < kLanes; ++l) prefetch(&u.ws.slots[s].sums[static_cast<std::size_t>(first + l) * kGradientSums]);
  }
}

template <Lens L>
void update_through(Workspace& ws, Pool& pool, const Splats& splats, const GradientSink& sink) {
  constexpr int kChunk = 16;
  const int blocks = splats.block_count();
  const int tasks = (blocks + kChunk - 1) / kChunk;
  const UpdateContext u{ws, splats, sink, make_eye(ws.camera, ws.antialiased, ws.low_pass), AdamConstants(sink.adam),
                        kHarmonics + 3 * coefficient_count(splats.degree)};
  if (sink.pose_gradient) ws.partial_sums.reserve(6 * static_cast<std::size_t>(tasks));
  pool.run(tasks, [&](int task, int) {
    const int end = least(blocks, (task + 1) * kChunk);
    Floats sums[6] = {zeros(), zeros(), zeros(), zeros(), zeros(), zeros()};
    Floats* d_camera = sink.pose_gradient ? sums : nullptr;
    for (int b = task * kChunk; b < end; ++b) {
      const std::size_t offset = static_cast<std::size_t>(b) * kBlockFloats;
      if (b + 1 < blocks) prefetch_update(u, offset + kBlockFloats, (b + 1) * kLanes);
      for (int group = 0; group < kGroups; ++group)
        update_group<L>(u, offset + group * kWidth, b * kLanes + group * kWidth, d_camera);
    }
    for (int k = 0; d_camera && k < 6; ++k) ws.partial_sums[6 * static_cast<std::size_t>(task) + k] = sum(sums[k]);
  });
  for (int k = 0; sink.pose_gradient && k < 6; ++k) {   // in the order of tasks: the same on any number of threads
    ws.d_camera[k] = 0;
    for (int task = 0; task < tasks; ++task) ws.d_camera[k] += ws.partial_sums[6 * static_cast<std::size_t>(task) + k];
  }
}

void update(Workspace& ws, Pool& pool, const Splats& splats, const GradientSink& sink) {
  switch (ws.camera.lens) {
    case Lens::kPinhole: return update_through<Lens::kPinhole>(ws, pool, splats, sink);
    case Lens::kOpenCv: return update_through<Lens::kOpenCv>(ws, pool, splats, sink);
    case Lens::kFisheye: return update_through<Lens::kFisheye>(ws, pool, splats, sink);
    case Lens::kEquirectangular: return update_through<Lens::kEquirectangular>(ws, pool, splats, sink);
  }
}

}  // namespace diorama::DIORAMA_LEVEL
