// The kernels strung together: a picture, its gradient, a training step.
#pragma once
#include <memory>

#include "level.h"
#include "photo_cache.h"

namespace diorama {

// A workspace lent for as long as this lives, then reused by whoever asks next.
class WorkspaceLoan {
 public:
  WorkspaceLoan();
  ~WorkspaceLoan();
  WorkspaceLoan(WorkspaceLoan&&) = default;
  WorkspaceLoan& operator=(WorkspaceLoan&&) = delete;
  Workspace& operator*() { return *workspace_; }
  Workspace* operator->() { return workspace_.get(); }
  // A workspace on which work was broken off by an error is not used again: spoil() before, keep() after.
  void spoil() { spoilt_ = true; }
  void keep() { spoilt_ = false; }

 private:
  std::unique_ptr<Workspace> workspace_;
  bool spoilt_ = false;
};
void free_workspaces();

struct StepOptions {
  AdamOptions adam;
  int sh_degree = 3;
  float ssim_weight = 0.2f, depth_weight = 0, empty_weight = 0;
  float background[3] = {0, 0, 0};
  bool deterministic = false, tight_tiles = true;
  bool antialiased = false, pose_gradient = false;
  float low_pass = kLowPass;
};

// Mip-Splatting's filters: of the picture, and of the splats (count,) in world units, null for none.
struct Filters {
  bool antialiased = false;
  float low_pass = kLowPass;
  const float* smoothing = nullptr;
  const float* opacity_factors = nullptr;   // (count,) at least 0, or null
};

struct Statistics {   // (count,) each, or null; see SplatStatistics in kernels/steps.py
  float *gradient_norms = nullptr, *views = nullptr, *max_radii = nullptr, *abs_gradient_norms = nullptr;
};

// Where the gradients by a picture go; centres and abs_centres may be null, see GradientSink.
struct PictureGradients {
  float *splats = nullptr, *centres = nullptr, *abs_centres = nullptr;
};

// Phases project to forward. With depth, ws.left and ws.depth are ready for render_backward too.
void render(Workspace& ws, Pool& pool, const Level& level, const Camera& camera, const Splats& splats,
            const float* background, bool with_depth, const Filters& filters);

// From ws.d_image, ws.d_left and ws.d_depth to the gradients of the parameters and to ws.d_camera. Only after `render`
// with depth.
void render_backward(Workspace& ws, Pool& pool, const Level& level, const Splats& splats, const PictureGradients& out);

// From the features' picture (height, width, channels) to the gradients of the features (added to), of the splats'
// shapes and opacities, and to ws.d_camera. Only after `render`.
void render_features(Workspace& ws, Pool& pool, const Level& level, const Features& features, float* picture);
void render_features_backward(Workspace& ws, Pool& pool, const Level& level, const Splats& splats,
                              const Features& features, const float* d_picture, float* d_features, const PictureGradients& out);

// What each splat adds to the picture, weighted by `map` (height, width) or null; added to. Only after `render`.
void contribution(Workspace& ws, Pool& pool, const Level& level, int splat_count, const float* map,
                  const ContributionSink& out);

// (height, width); only after `render`.
void median_depth(Workspace& ws, Pool& pool, const Level& level, float* picture);

// A photo of a step: what is seen, from where, through which filter and exposure.
struct Shot {
  Camera camera;
  Photo* photo = nullptr;
  const float* smoothing = nullptr;        // (count,), or null
  const float* opacity_factors = nullptr;  // (count,) at least 0, or null
  const float* exposure = nullptr;   // (3, 4), or null for the picture as it is
  double d_exposure[12] = {};        // by the exposure, where there is one
};

// One step, in place. Splats.degree is overruled by the options.
Loss train_step(Workspace& ws, Pool& pool, const Level& level, Splats splats, const AdamMoments& moments,
                Shot& shot, const StepOptions& options, const Statistics& statistics);

// The same in two: the loss's gradients are added to `gradients` (blocks) and `seen` is set for the splats in sight,
// for any number of views; then the splats move by the mean, and both are zero again.
Loss accumulate_step(Workspace& ws, Pool& pool, const Level& level, Splats splats, float* gradients,
                     std::uint8_t* seen, Shot& shot, const StepOptions& options, const Statistics& statistics);
void apply_step(Pool& pool, const Level& level, Splats splats, const AdamMoments& moments, float* gradients,
                std::uint8_t* seen, int views, const StepOptions& options);

void fit_planes(Workspace& ws, int width, int height, bool with_depth);

// d_left = -d_alpha, as alpha = 1 - left; null counts as zero. Both are (height, width).
void set_extra_gradients(Workspace& ws, const float* d_alpha, const float* d_depth);

// Sets the picture's masked pixels to 0, like the photo's.
void hide_masked(Workspace& ws, const PhotoPlanes& photo);

// Between planes and (height, width, channels) arrays.
void read_planes(const PlaneLayout& layout, const float* planes, int channels, float* out);
void write_planes(const PlaneLayout& layout, const float* values, int channels, float* planes);

}  // namespace diorama
