// (1 - weight) L1 + weight (1 - SSIM) between ws.image and a photo, and its gradient into ws.d_image.
//
// SSIM (Wang et al. 2004, eq. 13) per pixel is s1 s2 with s1 = n1 / d1 of the means and s2 = n2 / d2 of the spreads. Its
// gradient by the picture x is the window over three maps (g, f, e):  blur(g) + 2 x blur(f) + y blur(e).
//
// One streaming pass per (channel, block of columns, strip of rows): picture row -> window across into ring `across` ->
// (11 rows) window down, the maps of one row -> window across into ring `maps` -> (11 rows) window down -> gradient
// row. The maps never reach memory; the halo of 10 rows and 8 columns a side is computed again.
#pragma once
#include <type_traits>
#include "pool.h"
#include "workspace.h"
#include "window.h"

namespace diorama::DIORAMA_LEVEL {

// The halo of a block is computed again: in blocks of 64 columns with 16 to a side the loss took a fifth longer. Blocks of
// 128 have rings of 50 kB, which is what a first cache holds. (Two rows down at once, which share ten of their eleven
// rows, gained nothing: the loop has loads to spare.)
constexpr int kBlockWidth = 128, kStripHeight = 120, kHalo = 8;
constexpr int kWideBlock = kBlockWidth + 2 * kHalo;
constexpr int kRing = 16;
constexpr int kRowsAhead = 3;   // by which memory is asked for, a line at a time between the arithmetic
constexpr float kSsimC1 = 1e-4f, kSsimC2 = 9e-4f;

struct LossRings {
  alignas(64) float across[kRing][3][kWideBlock];   // blurred across: x, x^2, x y
  alignas(64) float maps[kRing][3][kBlockWidth];    // g, f, e blurred across
  static constexpr int kSide = 16;                  // a walk along a row looks a register to both sides
  alignas(64) float row[3][kSide + kWideBlock + kSide];   // g, f, e of one row
};

template <bool Masked, bool Weighted>
class LossBlock {
 public:
  LossBlock(Workspace& ws, const PhotoPlanes& photo, float ssim_weight, int channel, int x0, int y0, LossRings& rings)
      : layout_(ws.layout),
        picture_(ws.image.data() + channel * layout_.size),
        photo_(photo.values.data() + channel * layout_.size),
        mean_(photo.mean.data() + channel * layout_.size),
        square_(photo.square.data() + channel * layout_.size),
        kept_(photo.kept.data()),
        row_weights_(photo.row_weights.data()),
        gradient_(ws.d_image.data() + channel * layout_.size),
        rings_(rings),
        x0_(x0),
        y0_(y0),
        y1_(least(layout_.height, y0 + kStripHeight)),
        columns_(least(kBlockWidth, (layout_.width - x0 + kWidth - 1) / kWidth * kWidth)) {
    const float each = static_cast<float>(1.0 / (3.0 * photo.kept_weight));
    l1_slope_ = (1.f - ssim_weight) * each;
    ssim_slope_ = -ssim_weight * each;
  }

  // Sums of |x - y| and of SSIM over the block's kept pixels, by their rows' weights.
  void run(double* l1, double* ssim) {
    l1_ = ssim_ = zeros();
    for (int y = y0_ - 2 * kRadius; y < y1_ + 2 * kRadius; ++y) {
      blur_picture_row(y);
      if (y - kRadius < y0_ - kRadius) continue;
      make_maps(y - kRadius);
      if (y - 2 * kRadius >= y0_) write_gradient(y - 2 * kRadius);
    }
    *l1 = sum(l1_);
    *ssim = sum(ssim_);
  }

 private:
  bool in_picture(int y) const { return y >= 0 && y < layout_.height; }
  Floats weight_of(int y) const { return all(Weighted ? row_weights_[y] : 1.f); }

  // w times both neighbours at distance J, for x, x^2 and x y.
  template <int J>
  [[gnu::always_inline]] static void tap(const Taps& w, const RowWalk& x, const RowWalk& y, Floats& a, Floats& b,
                                         Floats& c) {
    const Floats left = x.at<-J>(), right = x.at<J>();
    a = a + w[J] * (left + right);
    b = b + w[J] * (left * left + right * right);
    c = c + w[J] * (left * y.at<-J>() + right * y.at<J>());
  }

  void blur_picture_row(int y) {
    auto* out = rings_.across[y & (kRing - 1)];
    if (!in_picture(y)) {
      __builtin_memset(out, 0, sizeof rings_.across[0]);
      return;
    }
    const Taps w = taps_;
    const float *picture = picture_ + layout_.at(x0_ - kHalo, y), *photo = photo_ + layout_.at(x0_ - kHalo, y);
    const std::size_t ahead = kRowsAhead * static_cast<std::size_t>(layout_.stride);
    RowWalk px(picture), ph(photo);
    for (int x = 0, end = columns_ + 2 * kHalo; x < end; x += kWidth) {
      prefetch(picture + ahead + x);
      prefetch(photo + ahead + x);
      Floats a = w[0] * px.at<0>(), b = a * px.at<0>(), c = a * ph.at<0>();
      Floats a2 = zeros(), b2 = zeros(), c2 = zeros();   // two chains of sums hide the additions' latency
      tap<1>(w, px, ph, a, b, c);
      tap<2>(w, px, ph, a2, b2, c2);
      tap<3>(w, px, ph, a, b, c);
      tap<4>(w, px, ph, a2, b2, c2);
      tap<5>(w, px, ph, a, b, c);
      store(out[0] + x, a + a2);
      store(out[1] + x, b + b2);
      store(out[2] + x, c + c2);
      px.advance();
      ph.advance();
    }
  }

  // The window down one of a ring's three columns of rows, at row y.
  template <int Width>
  [[gnu::always_inline]] static Floats down(const Taps& w, const float (*ring)[3][Width], int map, int y, int x) {
    return blur_down([&](int row) __attribute__((always_inline)) { return ring[row & (kRing - 1)][map] + x; }, y, w);
  }

  // Which pixels of a row count: those inside of the picture that no mask hides.
  struct Counted {
    const float* kept;
    Floats first, width;
    Counted(const LossBlock& block, int x, int y)
        : kept(Masked ? block.kept_ + block.layout_.at(x, y) : nullptr),
          first(lane_numbers() + static_cast<float>(x)),
          width(all(static_cast<float>(block.layout_.width))) {}
    Mask at(int x) const {
      if constexpr (Masked) return greater(load(kept + x), all(.5f));
      const Floats column = first + static_cast<float>(x);
      return both(at_least(column, zeros()), greater(width, column));
    }
  };

  void make_maps(int y) {
    auto* out = rings_.maps[y & (kRing - 1)];
    if (!in_picture(y)) {
      __builtin_memset(out, 0, sizeof rings_.maps[0]);
      return;
    }
    const bool mine = y >= y0_ && y < y1_;
    // Locals: members would be loaded again after every store.
    const Taps w = taps_;
    const auto* ring = rings_.across;
    auto* row = rings_.row;
    const std::size_t start = layout_.at(x0_ - kHalo, y);
    const float *mean = mean_ + start, *square = square_ + start;
    const Counted counted(*this, x0_ - kHalo, y);
    const int columns = columns_;
    const Floats weight = weight_of(y);
    Floats ssim = zeros();
    // The block's own pixels: all others belong to its neighbours' sums.
    const Floats own_first = all(static_cast<float>(kHalo));
    const Floats own_last = all(mine ? static_cast<float>(kHalo + columns - 1) : -1.f);
    const std::size_t ahead = kRowsAhead * static_cast<std::size_t>(layout_.stride);
    for (int x = 0; x < columns + 2 * kHalo; x += kWidth) {
      prefetch(mean + ahead + x);
      prefetch(square + ahead + x);
      const Floats mx = down(w, ring, 0, y, x), xx = down(w, ring, 1, y, x), xy = down(w, ring, 2, y, x);
      const Floats my = load(mean + x), yy = load(square + x);
      const Floats n1 = 2.f * mx * my + kSsimC1, n2 = 2.f * (xy - mx * my) + kSsimC2;
      const Floats d1 = mx * mx + my * my + kSsimC1, d2 = xx - mx * mx + yy - my * my + kSsimC2;
      const Floats i1 = reciprocal(d1), i2 = reciprocal(d2), s1 = n1 * i1;
      Floats s2 = n2 * i2, i2_weighted = i2;
      if constexpr (Weighted) s2 = s2 * weight, i2_weighted = i2 * weight;
      const Floats s = s1 * s2;   // this and what follows from it by the row's weight
      const Floats by_n1 = 2.f * s2 * i1, by_n2 = 2.f * s1 * i2_weighted, by_d1 = -2.f * s * i1, by_d2 = -s * i2;
      const Mask in = counted.at(x);
      store(row[0] + LossRings::kSide + x, keep(in, my * (by_n1 - by_n2) + mx * (by_d1 - 2.f * by_d2)));
      store(row[1] + LossRings::kSide + x, keep(in, by_d2));
      store(row[2] + LossRings::kSide + x, keep(in, by_n2));
      const Floats column = lane_numbers() + static_cast<float>(x);
      ssim = ssim + keep(both(in, within(column, own_first, own_last)), s);
    }
    ssim_ = ssim_ + ssim;
    for (int map = 0; map < 3; ++map) {
      RowWalk walk(row[map] + LossRings::kSide + kHalo);
      for (int x = 0; x < columns; x += kWidth) {
        store(out[map] + x, blur_across(walk, w));
        walk.advance();
      }
    }
  }

  void write_gradient(int y) {
    const Taps w = taps_;
    const auto* ring = rings_.maps;
    const std::size_t start = layout_.at(x0_, y);
    const float *picture = picture_ + start, *photo = photo_ + start;
    float* out = gradient_ + start;
    const Counted counted(*this, x0_, y);
    const Floats weight = weight_of(y), l1_slope = l1_slope_ * weight, ssim_slope = all(ssim_slope_);
    Floats l1 = zeros();
    const std::size_t ahead = kRowsAhead * static_cast<std::size_t>(layout_.stride);
    for (int x = 0, columns = columns_; x < columns; x += kWidth) {
      prefetch_to_write(out + ahead + x);
      const Floats g = down(w, ring, 0, y, x), f = down(w, ring, 1, y, x), e = down(w, ring, 2, y, x);
      const Floats px = load(picture + x), ph = load(photo + x), difference = px - ph;
      const Floats sign =
          keep(greater(difference, zeros()), l1_slope) - keep(greater(zeros(), difference), l1_slope);
      Floats gradient = sign + ssim_slope * (g + 2.f * px * f + ph * e);
      const Mask in = counted.at(x);
      l1 = l1 + keep(in, absolute(difference));
      if constexpr (Masked) gradient = keep(in, gradient);
      store(out + x, gradient);
    }
    l1_ = l1_ + weight * l1;
  }

  const PlaneLayout layout_;
  const float *picture_, *photo_, *mean_, *square_, *kept_, *row_weights_;
  float* gradient_;
  LossRings& rings_;
  const int x0_, y0_, y1_, columns_;
  const Taps taps_;
  Floats l1_, ssim_;
  float l1_slope_, ssim_slope_;
};

Loss photo_loss(Workspace& ws, Pool& pool, const PhotoPlanes& photo, float ssim_weight) {
  const PlaneLayout& layout = ws.layout;
  if (!(photo.kept_weight > 0)) {
    __builtin_memset(ws.d_image.data(), 0, 3 * layout.size * sizeof(float));
    return {};
  }
  const int blocks = (layout.width + kBlockWidth - 1) / kBlockWidth;
  const int strips = (layout.height + kStripHeight - 1) / kStripHeight, tasks = 3 * blocks * strips;
  ws.partial_sums.reserve(static_cast<std::size_t>(tasks) * 2);
  pool.run(tasks, [&](int task, int) {
    LossRings rings;   // 54 kB; every row is written before it is read
    const int channel = task / (blocks * strips), x0 = task % blocks * kBlockWidth;
    const int y0 = task / blocks % strips * kStripHeight;
    double* sums = &ws.partial_sums[static_cast<std::size_t>(task) * 2];
    const auto run = [&](auto masked, auto weighted) {
      LossBlock<masked.value, weighted.value>(ws, photo, ssim_weight, channel, x0, y0, rings).run(sums, sums + 1);
    };
    using std::true_type, std::false_type;
    if (photo.masked)
      photo.weighted ? run(true_type{}, true_type{}) : run(true_type{}, false_type{});
    else
      photo.weighted ? run(false_type{}, true_type{}) : run(false_type{}, false_type{});
  });
  Loss loss;
  for (int task = 0; task < tasks; ++task) {
    loss.l1 += ws.partial_sums[static_cast<std::size_t>(task) * 2];
    loss.ssim += ws.partial_sums[static_cast<std::size_t>(task) * 2 + 1];
  }
  const double each = 1.0 / (3.0 * photo.kept_weight);
  loss.l1 *= each;
  loss.ssim *= each;
  loss.total = (1 - ssim_weight) * loss.l1 + ssim_weight * (1 - loss.ssim);
  return loss;
}

}  // namespace diorama::DIORAMA_LEVEL
