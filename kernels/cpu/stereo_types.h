// What multi-view stereo works on: a reference picture, neighbouring views, and a plane for each pixel.
//
// A plane is an affine function of the pixel in inverse depth: rho(x + dx, y + dy) = rho + gx dx + gy dy. Pixels are
// counted by their centres here: the first one's is (0, 0).
#pragma once
#include <cstdint>

namespace diorama {

constexpr int kMaxStereoSamples = 128, kMaxStereoViews = 16, kMaxStereoOffsets = 64;

struct StereoView {
  int width = 0, height = 0;
  // Per pixel its own grey and those to the right, below and below right, in a word's bytes, the lowest first.
  const std::uint32_t* quads = nullptr;
  float warp[9] = {}, shift[3] = {};   // a pixel p at inverse depth rho is seen at warp p + shift rho, homogeneous
  // The view's own inverse depths (0: unknown), in the reference's unit, and the way back; null without.
  const float* inverse_depth = nullptr;
  float back_warp[9] = {}, back_shift[3] = {};
};

// Planes 3, cost 1 and view_costs as many as there are views: pictures of the reference's size.
struct StereoField {
  float *planes = nullptr, *cost = nullptr, *view_costs = nullptr;
};

struct StereoOptions {
  float rho_low = 0.f, rho_high = 1.f;   // inverse depths are kept between these
  float focal = 1.f;                     // pixels
  float step_rho = 0.f, step_slope = 0.f;   // half widths of random steps: inverse depth, and inverse depth per pixel
  float color_sigma = 12.f, space_sigma = 5.f, noise = 2.f;   // grey levels, pixels, grey levels
  float geometric_weight = 0.f;          // what a pixel of disagreement with a view's own depth costs
  int refinements = 3;
  bool fresh = false;                    // the planes are new: their costs are not known yet
  std::uint32_t seed = 0, sweep = 0;
};

struct StereoJob {
  int width = 0, height = 0;
  const float* gray = nullptr;            // (height + 2 pad, stride), kHidden where nothing may be compared
  int stride = 0, pad = 0;
  const std::uint8_t* keep = nullptr;     // (height, width) or null: pixels of 0 are left alone
  const std::int32_t* samples = nullptr;  // (sample_count, 2): the window's dx, dy
  int sample_count = 0;
  const std::int32_t* regions = nullptr;  // (region_count, region_size, 2): where planes are taken over from
  int region_count = 0, region_size = 0;
  const StereoView* views = nullptr;
  int view_count = 0;
  StereoField from, to;
  StereoOptions options;
};

}  // namespace diorama
