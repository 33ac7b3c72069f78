// Plain types that all kernels share. No knowledge of Python, scenes or SIMD levels.
#pragma once
#include <cstdint>

namespace diorama {

// Splat parameters are stored in blocks of 16 splats: blocks[block][parameter][lane], float32. 16 is the widest SIMD
// register; narrower levels work through a block in several groups.
constexpr int kLanes = 16;
constexpr int kParameters = 59;
constexpr int kMean = 0;         // 3, world
constexpr int kQuaternion = 3;   // 4, wxyz, any length but zero
constexpr int kLogScale = 7;     // 3
constexpr int kLogitOpacity = 10;
constexpr int kHarmonics = 11;   // 16 coefficients x 3 channels, coefficient-major
constexpr int kBlockFloats = kParameters * kLanes;

// bfloat16: the upper half of a float32, its sign and exponent and 8 of its 24 digits.
using BFloat = std::uint16_t;

// The picture model; the same constants, with their meaning, stand in kernels/twin.py.
constexpr float kNear = 0.01f;
constexpr float kLowPass = 0.3f;              // px^2, added to the covariance's diagonal unless told otherwise
constexpr float kMaxCovariance = 1e15f;       // px^2, larger splats are dropped before float32 overflows
constexpr float kMinAlpha = 1.f / 255.f;
constexpr float kMaxAlpha = 0.999f;
constexpr float kStop = 1e-4f;                // transmittance up to which a pixel counts as full
constexpr float kKnownAlpha = 0.5f;           // alpha from which a pixel's depth is compared with what is known
constexpr float kSigmaShare = 0.15f;          // of its depth: the size as which larger splats pass through a lens
constexpr float kMargin = 0.3f;               // of the half picture, beyond which the Jacobian is held

constexpr int kMaxSize = 16000;               // px; tile columns must fit into 16 bits (Span)

enum class Lens { kPinhole, kOpenCv, kFisheye, kEquirectangular };
// Lenses that may see behind themselves: depth is the distance, and order goes by the largest coordinate.
constexpr bool is_all_round(Lens lens) { return lens == Lens::kFisheye || lens == Lens::kEquirectangular; }

struct Camera {
  int width = 0, height = 0;
  float fx = 0, fy = 0, cx = 0, cy = 0;
  float rotation[9] = {}, translation[3] = {};   // cam_from_world, row-major
  Lens lens = Lens::kPinhole;
  float distortion[8] = {};                      // k1 k2 p1 p2 k3 k4 k5 k6, or k1 k2 k3 k4 of a fisheye
  float limit = 0, hold = 0;                     // see kernels/_lens.py
};

struct Splats {
  float* blocks = nullptr;
  int count = 0;                                 // lanes from `count` on are padding
  int degree = 3;                                // of the spherical harmonics that are read, 0 to 3
  int block_count() const { return (count + kLanes - 1) / kLanes; }
};

// Learning rates by kind of parameter and the rest of Adam (Kingma and Ba 2015), and the regularizers of 3DGS-MCMC
// (Kheradmand et al. 2024, eq. 11).
struct AdamOptions {
  int step = 1;                                  // 1 for the first
  float lr_means = 0, lr_quats = 0, lr_log_scales = 0, lr_opacities = 0, lr_sh0 = 0, lr_sh_rest = 0;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-15f;
  float opacity_reg = 0, scale_reg = 0;
  float needle_reg = 0, log_needle = 0;          // weight, and the log of the ratio that costs nothing
  bool dense = true;                             // false: splats that the picture does not show keep still
};

// Adam's running means of gradients and of their squares, in blocks like the parameters.
template <class T>
struct MomentBlocks {
  T *first = nullptr, *second = nullptr;
};
// Of one kind or the other; null where there are none.
struct AdamMoments {
  MomentBlocks<float> full;
  MomentBlocks<BFloat> half;
  bool any() const { return full.first || half.first; }
};

// What happens to the gradients of the 59 parameters once they are known: written out, added up, or used up by Adam on
// the spot.
struct GradientSink {
  float* gradients = nullptr;                    // blocks, or null
  std::uint8_t* seen = nullptr;                  // (block_count * 16,): not null for adding; 1 where a view saw the splat
  AdamMoments moments;                           // none for no Adam step
  AdamOptions adam;
  // Statistics for densification, each (count,) or null; see SplatStatistics in kernels/steps.py.
  float *gradient_norms = nullptr, *abs_gradient_norms = nullptr, *views = nullptr, *max_radii = nullptr;
  bool pose_gradient = false;                    // add up the camera's gradient too
  // The gradient by the centres in pixels, and the sums over pixels of its absolute values: (count, 2) or null each.
  float *centres = nullptr, *abs_centres = nullptr;
  bool absolute() const { return abs_gradient_norms || abs_centres; }
};

// Values (count, channels) to be blended like colours.
struct Features {
  const float* values = nullptr;
  int channels = 0;
};

// Added to, (count,) each; see `Contribution` in kernels/_outputs.py.
struct ContributionSink {
  float *total = nullptr, *most = nullptr;
  std::int32_t* pixels = nullptr;
};

struct Loss {
  double total = 0, l1 = 0, ssim = 0;            // l1, ssim: means over the kept pixels and channels
  double depth = 0, empty = 0;                   // means over the pixels of known depth, and of nothing to be seen
};

}  // namespace diorama
