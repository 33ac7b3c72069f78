// One sweep of PatchMatch stereo over a picture: each pixel tries its neighbours' planes and random steps from its own.
//
// After Bleyer et al. 2011 (slanted windows), Galliani et al. 2015 (propagation in parallel), Schoenberger et al. 2016
// (bilateral NCC, geometric consistency) and Xu and Tao 2019 (the best of a region's planes, views weighed per pixel).
// All pixels read the sweep before and write the next one, so neither order nor threads matter. A register holds as many
// neighbouring pixels of a row. The twin is kernels/twin_stereo.py, function by function.
#pragma once
#include "pool.h"
#include "simd.h"
#include "stereo_types.h"

namespace diorama::DIORAMA_LEVEL {

constexpr float kMissing = 1.f;          // cost of a view that does not see the place
constexpr float kMostDisagreement = 3.f; // pixels
constexpr float kViewSigma = 0.3f;       // cost at which a view's say has fallen to exp(-1/2)
constexpr float kLeastSay = 1e-3f;
constexpr float kTooLittle = 0.03f;      // a smaller share of the say is none: the view need not be looked at
constexpr float kSteepest = 6.f;         // tangent of the angle between a plane's normal and the axis, about

struct SlantedPlane {
  Floats rho, gx, gy;
};

// The reference's side of the correlation, computed once for all planes that are tried at a register of pixels.
struct StereoWindow {
  alignas(64) float weight[kMaxStereoSamples][kWidth];
  alignas(64) float detail[kMaxStereoSamples][kWidth];   // weight times (grey - mean)
  Floats per_weight, variance;
};

inline void open_window(const StereoJob& job, int x, int y, StereoWindow& window) {
  const auto at = [&](int dx, int dy) {
    return load(job.gray + static_cast<std::ptrdiff_t>(y + job.pad + dy) * job.stride + job.pad + x + dx);
  };
  const StereoOptions& o = job.options;
  const Floats centre = at(0, 0);
  const float by_color = -kLog2E / o.color_sigma, by_space = -.5f * kLog2E / (o.space_sigma * o.space_sigma);
  Floats total = zeros(), mean = zeros(), square = zeros();
  for (int k = 0; k < job.sample_count; ++k) {
    const int dx = job.samples[2 * k], dy = job.samples[2 * k + 1];
    const Floats gray = at(dx, dy);
    const float apart = static_cast<float>(dx * dx + dy * dy);
    const Floats raw = exp2_approx<4>(absolute(gray - centre) * by_color + by_space * apart);
    const Floats weight = choose(greater(gray, zeros()), raw, zeros());
    store(window.weight[k], weight);
    total = total + weight;
    mean = mean + weight * gray;
    square = square + weight * gray * gray;
  }
  window.per_weight = 1.f / maximum(total, all(1e-6f));
  mean = mean * window.per_weight;
  window.variance = maximum(square * window.per_weight - mean * mean, zeros());
  for (int k = 0; k < job.sample_count; ++k) {
    const Floats gray = at(job.samples[2 * k], job.samples[2 * k + 1]);
    store(window.detail[k], load(window.weight[k]) * (gray - mean));
  }
}

struct Sight {
  Floats u, v, per_z;
  Mask seen;
};

inline Sight look(const float* warp, const float* shift, Floats x, Floats y, Floats rho, float width, float height) {
  const Floats z = warp[6] * x + warp[7] * y + warp[8] + shift[2] * rho;
  Sight s;
  s.per_z = 1.f / z;
  s.u = (warp[0] * x + warp[1] * y + warp[2] + shift[0] * rho) * s.per_z;
  s.v = (warp[3] * x + warp[4] * y + warp[5] + shift[1] * rho) * s.per_z;
  const Mask inside = both(within(s.u, all(-.5f), all(width - .5f)), within(s.v, all(-.5f), all(height - .5f)));
  s.seen = both(inside, greater(z, all(1e-6f)));
  return s;
}

// Grey of a view between its pixels.
inline Floats sample(const StereoView& view, Floats u, Floats v) {
  u = clamp(u, zeros(), all(static_cast<float>(view.width - 1)));
  v = clamp(v, zeros(), all(static_cast<float>(view.height - 1)));
  const Floats u0 = floor(u), v0 = floor(v);
  const Ints quad = gather_words(view.quads, to_ints(v0 * static_cast<float>(view.width) + u0));
  const Floats right = u - u0, down = v - v0;
  const Floats above_left = byte_of<0>(quad), below_left = byte_of<2>(quad);
  const Floats above = above_left + right * (byte_of<1>(quad) - above_left);
  const Floats below = below_left + right * (byte_of<3>(quad) - below_left);
  return above + down * (below - above);
}

// Pixels between a reference pixel and where it comes back to from the view's own depth at the place it is seen at.
inline Floats disagreement(const StereoView& view, const Sight& s, Floats x, Floats y) {
  const Floats u = clamp(round_nearest(s.u), zeros(), all(static_cast<float>(view.width - 1)));
  const Floats v = clamp(round_nearest(s.v), zeros(), all(static_cast<float>(view.height - 1)));
  const Floats rho = gather(view.inverse_depth, to_ints(v * static_cast<float>(view.width) + u));
  const Sight back = look(view.back_warp, view.back_shift, s.u, s.v, rho, 3e7f, 3e7f);
  const Floats dx = back.u - x, dy = back.v - y;
  const Floats apart = minimum(square_root(dx * dx + dy * dy), all(kMostDisagreement));
  return choose(both(greater(rho, zeros()), greater(back.per_z, zeros())), apart, all(kMostDisagreement));
}

// 1 - NCC (0 to 2) of the window under the plane's homography, linear around its centre.
inline Floats view_cost(const StereoJob& job, const StereoView& view, const StereoWindow& window, const SlantedPlane& p,
                        Floats x, Floats y) {
  const float *m = view.warp, *t = view.shift;
  const Sight s = look(m, t, x, y, p.rho, static_cast<float>(view.width), static_cast<float>(view.height));
  const bool with_depth = view.inverse_depth && job.options.geometric_weight > 0.f;
  const Floats missing = all(kMissing + (with_depth ? job.options.geometric_weight * kMostDisagreement : 0.f));
  if (!any(s.seen)) return missing;
  const Floats zx = m[6] + t[2] * p.gx, zy = m[7] + t[2] * p.gy;
  const Floats ux = (m[0] + t[0] * p.gx - s.u * zx) * s.per_z, uy = (m[1] + t[0] * p.gy - s.u * zy) * s.per_z;
  const Floats vx = (m[3] + t[1] * p.gx - s.v * zx) * s.per_z, vy = (m[4] + t[1] * p.gy - s.v * zy) * s.per_z;
  Floats mean = zeros(), square = zeros(), product = zeros();
  for (int k = 0; k < job.sample_count; ++k) {
    const float dx = static_cast<float>(job.samples[2 * k]), dy = static_cast<float>(job.samples[2 * k + 1]);
    const Floats gray = sample(view, s.u + dx * ux + dy * uy, s.v + dx * vx + dy * vy);
    const Floats weighed = load(window.weight[k]) * gray;
    mean = mean + weighed;
    square = square + weighed * gray;
    product = product + load(window.detail[k]) * gray;
  }
  mean = mean * window.per_weight;
  const Floats variance = maximum(square * window.per_weight - mean * mean, zeros());
  const float noise = job.options.noise * job.options.noise;
  const Floats ncc =
      product * window.per_weight / square_root((window.variance + noise) * (variance + noise));
  Floats cost = 1.f - clamp(ncc, all(-1.f), all(1.f));
  if (with_depth) cost = cost + job.options.geometric_weight * disagreement(view, s, x, y);
  return choose(s.seen, cost, missing);
}

struct Tried {
  SlantedPlane plane;
  Floats cost;
  Floats views[kMaxStereoViews];
};

// One random number in [-1, 1) per pixel, place and sweep: murmur's last mix of a counter.
inline Floats random_lanes(const StereoJob& job, int x, int y, int place) {
  const StereoOptions& o = job.options;
  alignas(64) float lanes[kWidth];
  const std::uint32_t row = o.seed + static_cast<std::uint32_t>(y) * 0x85EBCA77u +
                            (o.sweep * 64u + static_cast<std::uint32_t>(place)) * 0xC2B2AE3Du;
  for (int l = 0; l < kWidth; ++l) {
    std::uint32_t h = row + static_cast<std::uint32_t>(x + l) * 0x9E3779B1u;
    h ^= h >> 16, h *= 0x85EBCA6Bu, h ^= h >> 13, h *= 0xC2B2AE35u, h ^= h >> 16;
    lanes[l] = static_cast<float>(static_cast<std::int32_t>(h >> 8)) * 0x1p-23f - 1.f;
  }
  return load(lanes);
}

class StereoSweep {
 public:
  StereoSweep(const StereoJob& job, int x, int y)
      : job_(job), x_(x), y_(y), px_(lane_numbers() + static_cast<float>(x)), py_(all(static_cast<float>(y))) {}

  // `count`: pixels from x on that are in the picture.
  void run(int count) {
    const unsigned wanted = wanted_lanes(count);
    if (!wanted) return copy(count);
    open_window(job_, x_, y_, window_);
    weigh_views();
    Tried best;
    start(best);
    for (int r = 0; r < job_.region_count; ++r) attempt(taken_over(r), best);
    for (int k = 0; k < job_.options.refinements; ++k) attempt(stepped(best.plane, k), best);
    ask_the_others(best);
    write(best, wanted, count);
  }

 private:
  unsigned wanted_lanes(int count) const {
    unsigned lanes = 0;
    const std::uint8_t* keep = job_.keep ? job_.keep + pixel() : nullptr;
    for (int l = 0; l < count; ++l) lanes |= static_cast<unsigned>(!keep || keep[l]) << l;
    return lanes;
  }
  std::ptrdiff_t pixel() const { return static_cast<std::ptrdiff_t>(y_) * job_.width + x_; }
  std::ptrdiff_t size() const { return static_cast<std::ptrdiff_t>(job_.width) * job_.height; }

  // Index of the pixels at an offset, held inside the picture, and by how far they really are away.
  Floats at_offset(int dx, int dy, Floats* ox, Floats* oy) const {
    const Floats x = clamp(px_ + static_cast<float>(dx), zeros(), all(static_cast<float>(job_.width - 1)));
    const Floats y = clamp(py_ + static_cast<float>(dy), zeros(), all(static_cast<float>(job_.height - 1)));
    *ox = x - px_, *oy = y - py_;
    return y * static_cast<float>(job_.width) + x;
  }
  Floats own_index() const {
    Floats ox, oy;
    return at_offset(0, 0, &ox, &oy);
  }

  // How much each view may say here: by what it cost at the pixel and the four around it.
  void weigh_views() {
    constexpr int around[5][2] = {{0, 0}, {-1, 0}, {1, 0}, {0, -1}, {0, 1}};
    constexpr float by_cost = -.5f * kLog2E / (kViewSigma * kViewSigma);
    Floats total = zeros(), ox, oy;
    for (int v = 0; v < job_.view_count; ++v) {
      Floats say = zeros();
      for (const auto& offset : around) {
        const Ints index = to_ints(at_offset(offset[0], offset[1], &ox, &oy));
        const Floats cost = gather(job_.from.view_costs + v * size(), index);
        say = say + exp2_approx<4>(cost * cost * by_cost);
      }
      say_[v] = say * .2f + kLeastSay;
      total = total + say_[v];
    }
    Floats kept = zeros();
    for (int v = 0; v < job_.view_count; ++v) {
      say_[v] = keep(at_least(say_[v], kTooLittle * total), say_[v]);
      kept = kept + say_[v];
    }
    for (int v = 0; v < job_.view_count; ++v) {
      say_[v] = say_[v] / kept;
      asked_[v] = any(greater(say_[v], zeros()));
    }
  }

  void evaluate(Tried& t) const {
    t.cost = zeros();
    for (int v = 0; v < job_.view_count; ++v) {
      if (!asked_[v]) continue;
      t.views[v] = view_cost(job_, job_.views[v], window_, t.plane, px_, py_);
      t.cost = t.cost + say_[v] * t.views[v];
    }
  }

  // Views that were not asked about each try are asked about the best: one day they may have a say.
  void ask_the_others(Tried& best) const {
    for (int v = 0; v < job_.view_count; ++v)
      if (!asked_[v]) best.views[v] = view_cost(job_, job_.views[v], window_, best.plane, px_, py_);
  }

  SlantedPlane held(SlantedPlane p) const {
    const StereoOptions& o = job_.options;
    p.rho = clamp(p.rho, all(o.rho_low), all(o.rho_high));
    const Floats slope = square_root(p.gx * p.gx + p.gy * p.gy);
    const Floats factor = minimum(kSteepest * p.rho / (maximum(slope, all(1e-20f)) * o.focal), all(1.f));
    p.gx = p.gx * factor, p.gy = p.gy * factor;
    return p;
  }

  SlantedPlane plane_at(Ints index) const {
    const float* planes = job_.from.planes;
    return {gather(planes, index), gather(planes + size(), index), gather(planes + 2 * size(), index)};
  }

  void start(Tried& best) const {
    const Ints own = to_ints(own_index());
    best.plane = held(plane_at(own));
    if (job_.options.fresh) return evaluate(best);
    best.cost = zeros();
    for (int v = 0; v < job_.view_count; ++v) {
      best.views[v] = gather(job_.from.view_costs + v * size(), own);
      best.cost = best.cost + say_[v] * best.views[v];
    }
  }

  // The plane of the region's pixel that is best off, continued to this one.
  SlantedPlane taken_over(int region) const {
    const std::int32_t* offsets = job_.regions + static_cast<std::ptrdiff_t>(region) * job_.region_size * 2;
    Floats least_cost = all(3e38f), index = zeros(), ox = zeros(), oy = zeros();
    for (int k = 0; k < job_.region_size; ++k) {
      Floats dx, dy;
      const Floats there = at_offset(offsets[2 * k], offsets[2 * k + 1], &dx, &dy);
      const Floats cost = gather(job_.from.cost, to_ints(there));
      const Mask better = greater(least_cost, cost);
      least_cost = choose(better, cost, least_cost);
      index = choose(better, there, index);
      ox = choose(better, dx, ox), oy = choose(better, dy, oy);
    }
    SlantedPlane p = plane_at(to_ints(index));
    p.rho = p.rho - p.gx * ox - p.gy * oy;
    return held(p);
  }

  // 0: another depth, 1: another slope, 2: both, 3: any depth and slope at all; then again.
  SlantedPlane stepped(SlantedPlane p, int k) const {
    const StereoOptions& o = job_.options;
    const int kind = k & 3;
    const Floats a = random_lanes(job_, x_, y_, 3 * k), b = random_lanes(job_, x_, y_, 3 * k + 1);
    const Floats c = random_lanes(job_, x_, y_, 3 * k + 2);
    if (kind == 3) {
      p.rho = o.rho_low + (o.rho_high - o.rho_low) * (.5f * a + .5f);
      p.gx = b * p.rho * (1.f / o.focal), p.gy = c * p.rho * (1.f / o.focal);
      return held(p);
    }
    if (kind != 1) p.rho = p.rho + o.step_rho * a;
    if (kind != 0) p.gx = p.gx + o.step_slope * b, p.gy = p.gy + o.step_slope * c;
    return held(p);
  }

  void attempt(const SlantedPlane& plane, Tried& best) const {
    Tried t;
    t.plane = plane;
    evaluate(t);
    const Mask better = greater(best.cost, t.cost);
    best.cost = choose(better, t.cost, best.cost);
    best.plane.rho = choose(better, t.plane.rho, best.plane.rho);
    best.plane.gx = choose(better, t.plane.gx, best.plane.gx);
    best.plane.gy = choose(better, t.plane.gy, best.plane.gy);
    for (int v = 0; v < job_.view_count; ++v)
      if (asked_[v]) best.views[v] = choose(better, t.views[v], best.views[v]);
  }

  // Lanes that are not wanted keep what the sweep before said.
  void write(const Tried& best, unsigned wanted, int count) const {
    const auto put = [&](float* to, const float* from, Floats values) {
      alignas(64) float lanes[kWidth];
      store(lanes, values);
      for (int l = 0; l < count; ++l) to[pixel() + l] = wanted >> l & 1 ? lanes[l] : from[pixel() + l];
    };
    const StereoField &to = job_.to, &from = job_.from;
    put(to.planes, from.planes, best.plane.rho);
    put(to.planes + size(), from.planes + size(), best.plane.gx);
    put(to.planes + 2 * size(), from.planes + 2 * size(), best.plane.gy);
    put(to.cost, from.cost, best.cost);
    for (int v = 0; v < job_.view_count; ++v)
      put(to.view_costs + v * size(), from.view_costs + v * size(), best.views[v]);
  }

  void copy(int count) const {
    const auto put = [&](float* to, const float* from) {
      __builtin_memcpy(to + pixel(), from + pixel(), sizeof(float) * static_cast<std::size_t>(count));
    };
    const StereoField &to = job_.to, &from = job_.from;
    for (int k = 0; k < 3; ++k) put(to.planes + k * size(), from.planes + k * size());
    put(to.cost, from.cost);
    for (int v = 0; v < job_.view_count; ++v) put(to.view_costs + v * size(), from.view_costs + v * size());
  }

  const StereoJob& job_;
  int x_, y_;
  Floats px_, py_;
  StereoWindow window_;
  Floats say_[kMaxStereoViews];
  bool asked_[kMaxStereoViews];
};

void stereo_sweep(Pool& pool, const StereoJob& job) {
  pool.run(job.height, [&](int y, int) {
    for (int x = 0; x < job.width; x += kWidth) StereoSweep(job, x, y).run(least(kWidth, job.width - x));
  });
}

}  // namespace diorama::DIORAMA_LEVEL
