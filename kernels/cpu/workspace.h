// Everything a picture or a training step works on between its parameters and its result. Reused from call to call.
#pragma once
#include "memory.h"
#include "types.h"

namespace diorama {

// Pictures are kept as one plane per channel with a border of zeros, so that SSIM's window and whole registers may
// reach over the edge.
struct PlaneLayout {
  static constexpr int kBorderX = 32, kBorderY = 5;
  int width = 0, height = 0, stride = 0;
  std::size_t size = 0;   // floats of one plane

  [[gnu::always_inline]] static PlaneLayout of(int width, int height) {
    PlaneLayout p;
    p.width = width;
    p.height = height;
    p.stride = (width + kBorderX + 48 + 15) / 16 * 16 + 16;
    p.size = static_cast<std::size_t>(p.stride) * (height + 2 * kBorderY);
    return p;
  }
  [[gnu::always_inline]] std::size_t at(int x, int y) const {
    return static_cast<std::size_t>(y + kBorderY) * stride + kBorderX + x;
  }
  [[gnu::always_inline]] bool fits(int w, int h) const { return w == width && h == height; }
};

// One visible splat as the picture sees it: an ellipse `d^T conic d = reach` around its mean, d = (x, y) in pixels.
// Exactly one cache line.
struct alignas(64) Record {
  float mean_x, mean_y;
  float xx, xy, yy;          // log2 alpha = log2_opacity + xx x^2 + xy x y + yy y^2
  float log2_opacity;
  float color[3];
  float extent_x, extent_y;  // half size of the box around the ellipse where alpha reaches its least
  // The ellipse's cut with the line at height y: from slope_x y - half_x w to slope_x y + half_x w,
  // w = sqrt(1 - (y / extent_y)^2); and the same with x and y exchanged.
  // Of a panorama x and y are not in pixels but on the plane at distance 1 that the splat's ray is straight on (sphere.h),
  // and the four are sine and cosine of the ray's azimuth and latitude.
  float slope_x, half_x, slope_y, half_y;
  float bend;                // by which alpha's ratio from one row to the next changes per row (see column.h)
};
static_assert(sizeof(Record) == 64, "records are read and written as 16 floats");
enum RecordPlace {
  kAtMeanX, kAtMeanY, kAtXx, kAtXy, kAtYy, kAtLog2Opacity,
  kAtExtentX = 9, kAtExtentY, kAtSlopeX, kAtHalfX, kAtSlopeY, kAtHalfY, kAtBend,
  kAtSinX = kAtSlopeX, kAtCosX, kAtSinY, kAtCosY
};
static_assert(offsetof(Record, extent_x) == kAtExtentX * sizeof(float) &&
              offsetof(Record, half_y) == kAtHalfY * sizeof(float));

// What the pixels say about a splat: sums over its pixels of e, e x, ... with e = d loss / d log alpha, plus the
// gradients of its colour and depth, plus, where asked for, the sums of |d loss / d centre|. One cache line per splat.
// Of a panorama kEx and kEy are the gradient by the centre itself.
enum GradientSum { kE, kEx, kEy, kExx, kExy, kEyy, kRed, kGreen, kBlue, kDepth, kAbsX, kAbsY, kGradientSums = 16 };

// Threads add gradients into slots of their own; a splat's sums are zero in every slot where it is not `touched`.
struct GradientSlot {
  Scratch<float> sums;             // (splats, 16)
  Scratch<std::uint8_t> touched;   // (splats,)
};

// One splat over one row of tiles.
struct Span {
  std::uint32_t splat;
  std::uint16_t row, first, last;   // tile row, first and last tile in it
};

// One per thread, on cache lines of its own: `count` is written all the time.
struct alignas(128) SpanList {
  Scratch<Span> spans;
  std::size_t count = 0;
};

enum Phase { kProject, kSort, kBin, kForward, kLossPhase, kBackward, kUpdate, kPhases };

struct Workspace {
  static constexpr int kMaxSlots = 256;

  Camera camera;
  PlaneLayout layout;
  int tiles_x = 0, tiles_y = 0;
  bool tight_tiles = true;   // ellipses are looked for where they are, not in the boxes around them

  // Planes. image: 3; left: transmittance that no splat took; depth: sum of weight times z; d_...: loss gradients.
  Scratch<float> feature_planes;   // as many as there are channels; of the features' picture or its gradient
  // exposed: the picture as a photo's exposure shows it (exposure.h), with its own layout as it is used by some steps.
  Scratch<float> image, left, depth, d_image, d_left, d_depth, exposed;
  PlaneLayout exposed_layout;

  // Per splat, as given and padded with zeros. smoothing: see smooth_scale in geometry.h; used when `smoothed`. factors:
  // of the opacities, 0 for a splat that is left out; used when `weighed`.
  Scratch<float> smoothing, factors;
  bool smoothed = false, weighed = false;
  bool antialiased = false;   // opacities make up for the low-pass
  float low_pass = kLowPass;
  [[gnu::always_inline]] const float* smoothing_at(int splat) { return smoothed ? &smoothing[splat] : nullptr; }
  [[gnu::always_inline]] const float* factors_at(int splat) { return weighed ? &factors[splat] : nullptr; }
  Scratch<Record> records;
  Scratch<float> depths;
  Scratch<float> order;   // what splats are sorted by, where that is not their depth
  const float* sorted_by() const { return is_all_round(camera.lens) ? order.data() : depths.data(); }
  Scratch<std::uint8_t> visible;

  // Of a panorama of this size: sine and cosine of every column's azimuth and line's latitude.
  Scratch<float> column_rays, line_rays;
  int rays_width = 0, rays_height = 0;

  // Visible splats by depth; the second pair is the sort's other half.
  Scratch<std::uint32_t> keys, ids, other_keys, other_ids;
  Scratch<std::uint32_t> histograms;
  int visible_count = 0;

  // Lists of splats per tile, near to far: list[offsets[tile] .. offsets[tile + 1]).
  SpanList spans[kMaxSlots];
  Scratch<std::uint32_t> counts, offsets, list;
  Scratch<std::uint32_t> row_masks;   // per list entry: which of the tile's 32 rows the splat had a say in
  Scratch<std::uint32_t> ends;        // per tile: where the last pixel was full
  std::size_t pairs = 0;

  GradientSlot slots[kMaxSlots];
  int slot_count = 0;

  Scratch<double> partial_sums;
  double d_camera[6] = {};   // gradient by the twist (v, w) of exp((v, w)) * cam_from_world, where asked for
  double phase_ms[kPhases] = {};
};

// What the loss needs of a photo, computed once: its values, and SSIM's blurred values and blurred squares.
struct PhotoPlanes {
  PlaneLayout layout;
  Scratch<float> values, mean, square;   // 3 planes each
  Scratch<float> kept;                   // 1 plane of 0 and 1; empty when no pixel is masked
  double kept_weight = 0;                // sum over the pixels that no mask hides of their rows' weights
  bool masked = false, weighted = false;
  Scratch<float> row_weights;            // what a pixel of each row counts for in the loss; where not weighted, 1
  // 1 plane each, for as long as its count is not 0: depth with its weight (0: not known), and 1 where nothing is seen.
  Scratch<float> depth, depth_weight, empty;
  std::size_t depth_count = 0, empty_count = 0;
};

struct PhotoBytes {
  int width = 0, height = 0;
  const std::uint8_t* rgb = nullptr;    // (H, W, 3)
  const std::uint8_t* mask = nullptr;   // (H, W) or null; 0 hides
  const float* depth = nullptr;         // (H, W) or null; unknown where it is not a positive number, and where hidden
  const float* confidence = nullptr;    // (H, W) or null for 1; weighs the depth
  const std::uint8_t* empty = nullptr;  // (H, W) or null; nothing is to be seen where it is not 0
  const float* row_weights = nullptr;   // (H,) or null for 1; what a pixel of each row counts for
};

}  // namespace diorama
